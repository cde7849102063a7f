//! Scatters that reduce, against loops over whole numbers.

use ndarray::{ArrayD, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::graph::{Attributes, DataType, Tensor};

use crate::{graph, rewritten, run};

/// Whole numbers of a type.
fn tensor(shape: &[usize], numbers: &[i64], data_type: DataType) -> Tensor {
    let numbers = ArrayD::from_shape_vec(IxDyn(shape), numbers.to_vec()).unwrap();
    match data_type {
        DataType::I64 => Tensor::I64(numbers),
        DataType::I32 => Tensor::I32(numbers.mapv(|x| i32::try_from(x).unwrap())),
        _ => Tensor::F64(numbers.mapv(|x| x as f64)),
    }
}

fn reduce(how: &str, a: i64, b: i64) -> i64 {
    match how {
        "add" => a + b,
        "mul" => a * b,
        "max" => a.max(b),
        _ => a.min(b),
    }
}

/// Small numbers, but for int64 some that float32 does not have.
fn draw(rng: &mut ChaCha8Rng, count: usize, how: &str, data_type: DataType) -> Vec<i64> {
    let wide = data_type == DataType::I64 && how != "mul";
    let one = |rng: &mut ChaCha8Rng| rng.random_range(-3..=3) + if wide { rng.random_range(-1..=1) << 50 } else { 0 };
    (0..count).map(|_| one(rng)).collect()
}

const TYPES: [DataType; 3] = [DataType::I64, DataType::I32, DataType::F64];
const REDUCTIONS: [&str; 4] = ["add", "mul", "max", "min"];

#[test]
fn scatter_nd_reduces_whole_numbers_exactly() {
    // Extents of the data, extents of the indices, and how many axes an index fixes.
    let shapes: [(&[usize], &[usize], usize); 7] = [
        (&[6], &[9], 1),
        (&[6], &[2, 3], 1),
        (&[5, 3], &[7], 1),
        (&[5, 3], &[7], 2),
        (&[3, 4, 2], &[2, 5], 2),
        (&[6], &[0], 1),
        (&[4, 0], &[3], 1),
    ];
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (data, lead, depth) in shapes {
        for (data_type, how) in TYPES.into_iter().flat_map(|t| REDUCTIONS.map(|how| (t, how))) {
            let count: usize = lead.iter().product();
            let row: usize = data[depth..].iter().product();
            let mut expected = draw(&mut rng, data.iter().product(), how, data_type);
            let updates = draw(&mut rng, count * row, how, data_type);
            let mut index = Vec::new();
            let x = tensor(data, &expected, data_type);
            for i in 0..count {
                let at: Vec<usize> = data[..depth].iter().map(|n| rng.random_range(0..*n)).collect();
                // Some are counted from the end.
                let from_end = rng.random_bool(0.3);
                index.extend(at.iter().zip(data).map(|(i, n)| *i as i64 - if from_end { *n as i64 } else { 0 }));
                let first = at.iter().zip(data).fold(0, |sum, (i, n)| sum * n + i) * row;
                for k in 0..row {
                    expected[first + k] = reduce(how, expected[first + k], updates[i * row + k]);
                }
            }
            let indices = tensor(&[lead, &[depth]].concat(), &index, DataType::I64);
            let updates = tensor(&[lead, &data[depth..]].concat(), &updates, data_type);
            let inputs = [x, indices, updates];
            let model = graph(&inputs, |b, v| {
                // How many axes an index fixes is stated by every exporter.
                let mut shape = b.shape(v[1]).unwrap();
                *shape.last_mut().unwrap() = temper::graph::Dim::Known(depth as i64);
                b.assume_shape(v[1], &shape);
                b.node("ScatterND", v, Attributes::none().string("reduction", how))
            });
            let found = run(&rewritten(&model), &inputs).unwrap();
            assert_eq!(found, tensor(data, &expected, data_type), "{data:?} {lead:?} {depth} {data_type} {how}");
        }
    }
}

#[test]
fn scatter_elements_reduces_integers_exactly() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    for (data_type, how) in [DataType::I64, DataType::I32].into_iter().flat_map(|t| REDUCTIONS.map(|how| (t, how))) {
        let (data, rows) = ([5, 3], 8);
        let mut expected = draw(&mut rng, 15, how, data_type);
        let x = tensor(&data, &expected, data_type);
        let updates = draw(&mut rng, rows * 3, how, data_type);
        let index: Vec<i64> = (0..rows * 3).map(|_| rng.random_range(-5..5)).collect();
        for (k, (i, u)) in index.iter().zip(&updates).enumerate() {
            let at = usize::try_from(i.rem_euclid(5)).unwrap() * 3 + k % 3;
            expected[at] = reduce(how, expected[at], *u);
        }
        let inputs = [x, tensor(&[rows, 3], &index, DataType::I64), tensor(&[rows, 3], &updates, data_type)];
        let attributes = Attributes::none().int("axis", 0).string("reduction", how);
        let model = graph(&inputs, |b, v| b.node("ScatterElements", v, attributes));
        let found = run(&rewritten(&model), &inputs).unwrap();
        assert_eq!(found, tensor(&data, &expected, data_type), "{data_type} {how}");
    }
}
