//! The other operators, against ONNX Runtime's own kernels.

use ndarray::{Array2, Array3, ArrayD, IxDyn, arr0, arr1};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, Value, for_cuda};

use crate::{both, graph, rewritten, run};

fn floats(shape: &[usize], seed: u64) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    Tensor::F32(ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.random_range(-2.0..2.0)))
}

fn integers(shape: &[usize], seed: u64, data_type: DataType) -> Tensor {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let numbers = ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.random_range(-9_i32..9));
    if data_type == DataType::I64 { Tensor::I64(numbers.mapv(|x| i64::from(x) << 40)) } else { Tensor::I32(numbers) }
}

/// States the extents of an input.
fn stated(b: &mut Builder, x: Value, shape: &[usize]) -> Value {
    let shape: Vec<Dim> = shape.iter().map(|n| Dim::Known(*n as i64)).collect();
    b.assume_shape(x, &shape)
}

fn as_f64(tensor: &Tensor) -> ArrayD<f64> {
    match tensor {
        Tensor::F32(a) => a.mapv(f64::from),
        Tensor::F64(a) => a.clone(),
        other => panic!("{}", other.data_type()),
    }
}

#[test]
fn sums_and_extremes_of_many_are_the_same_numbers() {
    let shapes: [&[&[usize]]; 4] =
        [&[&[3, 4], &[4], &[3, 1]], &[&[5], &[5], &[5], &[5], &[5]], &[&[0, 2], &[2], &[0, 2]], &[&[2, 1], &[3]]];
    for (shapes, op) in shapes.into_iter().flat_map(|s| ["Sum", "Max", "Min", "Mean"].map(|op| (s, op))) {
        let inputs: Vec<Tensor> = shapes.iter().zip(3..).map(|(shape, seed)| floats(shape, seed)).collect();
        if inputs.len() < 3 && op != "Mean" {
            let model = graph(&inputs, |b, v| b.node(op, v, Attributes::none()));
            assert_eq!(for_cuda(&model).unwrap().rewritten, None, "two inputs are as they should be");
            continue;
        }
        let [own, other] = both(&inputs, |b, v| b.node(op, v, Attributes::none()));
        assert_eq!(own, other, "{op}");
    }
}

#[test]
fn reductions_are_the_same_numbers_or_sums_in_another_order() {
    let shape = [4, 7, 1, 16];
    let ops = ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"];
    let axes: [&[i64]; 5] = [&[-1], &[1], &[0, 3], &[2], &[]];
    for (op, axes) in ops.into_iter().flat_map(|op| axes.map(|axes| (op, axes))) {
        for (keep, double) in [(0, false), (1, false), (1, true)] {
            if axes == [2] && keep == 1 {
                // Changes nothing, and is never emitted.
                continue;
            }
            let input = floats(&shape, 9);
            let input = if double { as_f64(&input).into() } else { input };
            let [own, other] = both(&[input], |b, v| {
                let x = stated(b, v[0], &shape);
                let axes = (!axes.is_empty()).then(|| b.ints(axes));
                let inputs: Vec<Option<Value>> = [Some(x)].into_iter().chain(axes.map(Some)).collect();
                b.node_with(op, &inputs, 1, Attributes::none().int("keepdims", keep))[0]
            });
            assert_eq!(own.shape(), other.shape());
            let bound = if op.ends_with("Max") || op.ends_with("Min") { 0.0 } else { 2e-6 };
            let off = (as_f64(&own) - as_f64(&other)).mapv(f64::abs).into_iter().fold(0.0, f64::max);
            assert!(off <= bound * as_f64(&own).mapv(f64::abs).into_iter().fold(1.0, f64::max), "{op} {axes:?}: {off}");
        }
    }
}

/// Of axes whose extents are unknown, a mean is a sum all the same, and the largest element is left to cuDNN.
#[test]
fn what_needs_cudnn_is_said() {
    let input = [floats(&[5, 3], 1)];
    let reduce = |op: &'static str| {
        graph(&input, move |b, v| {
            let axes = b.ints(&[0]);
            b.node(op, &[v[0], axes], Attributes::none())
        })
    };
    let [own, other] =
        [reduce("ReduceMean"), rewritten(&reduce("ReduceMean"))].map(|model| run(&model, &input).unwrap());
    assert!((as_f64(&own) - as_f64(&other)).iter().all(|off| off.abs() < 1e-6));
    for op in ["ReduceMax", "ReduceProd", "ReduceLogSumExp"] {
        let found = for_cuda(&reduce(op)).unwrap();
        assert!(found.rewritten.is_none() && found.needs_cudnn(), "{found:?}");
        assert_eq!(
            found.obstacles[0].to_string(),
            format!("{op} of float32 needs cuDNN: node `{}`", found.obstacles[0].node)
        );
    }
}

#[test]
fn sums_of_exponentials_of_infinities_are_as_they_were() {
    let (inf, low) = (f32::INFINITY, f32::NEG_INFINITY);
    let input = Tensor::from(ndarray::arr2(&[[low, low, low], [low, 1.0, 2.0], [inf, 0.0, low], [80.0, 90.0, -90.0]]));
    let [_, found] = both(&[input], |b, v| {
        let x = stated(b, v[0], &[4, 3]);
        let axes = b.ints(&[1]);
        b.node("ReduceLogSumExp", &[x, axes], Attributes::none().int("keepdims", 0))
    });
    let found = as_f64(&found).into_raw_vec_and_offset().0;
    assert_eq!((found[0], found[2]), (f64::NEG_INFINITY, f64::INFINITY));
    assert!((found[1] - (1.0_f64.exp() + 2.0_f64.exp()).ln()).abs() < 1e-6 && (found[3] - 90.000_045).abs() < 1e-5);
}

#[test]
fn extremes_of_whole_numbers_are_exact() {
    for data_type in [DataType::I64, DataType::I32] {
        let input = integers(&[6, 5], 4, data_type);
        let [own, other] = both(&[input], |b, v| {
            let x = stated(b, v[0], &[6, 5]);
            let axes = b.ints(&[1]);
            b.node("ReduceMax", &[x, axes], Attributes::none())
        });
        assert_eq!(own, other);
    }
}

#[test]
fn operators_of_other_types_are_computed_in_one_that_has_a_kernel() {
    type Build = fn(&mut Builder, &[Value]) -> Value;
    let whole = |seed, data_type| integers(&[4, 5], seed, data_type);
    let flags = Tensor::from(Array2::from_shape_fn((4, 5), |(i, j)| (i + j) % 3 == 0));
    let clip: Build = |b, v| {
        let (low, high) = (b.constant(arr0(-3_i32)), b.constant(arr0(4_i32)));
        b.node("Clip", &[v[0], low, high], Attributes::none())
    };
    let padded: Build = |b, v| {
        let pads = b.ints(&[1, 0, 0, 2]);
        b.node("Pad", &[v[0], pads], Attributes::none())
    };
    let tiled: Build = |b, v| {
        let times = b.ints(&[2, 1]);
        b.node("Tile", &[v[0], times], Attributes::none())
    };
    let gathered: Build = |b, v| {
        let indices = b.constant(ndarray::arr2(&[[0_i64, 1], [3, 4], [-1, -1]]));
        b.node("GatherND", &[v[0], indices], Attributes::none())
    };
    let largest: Build = |b, v| b.node("ArgMax", &[v[0]], Attributes::none().int("axis", 1));
    let product: Build = |b, v| {
        let turned = b.transpose(v[0], &[1, 0]);
        b.node("MatMul", &[v[0], turned], Attributes::none())
    };
    let cases: [(Tensor, Build); 7] = [
        (whole(1, DataType::I32), clip),
        (whole(2, DataType::I32), padded),
        (whole(3, DataType::I64), padded),
        (flags, tiled),
        (whole(4, DataType::I32), gathered),
        (whole(5, DataType::I32), largest),
        (whole(6, DataType::I32), product),
    ];
    for (input, build) in cases {
        let [own, other] = both(&[input], build);
        assert_eq!(own, other);
    }
}

#[test]
fn volumes_are_those_of_the_operator() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let cells = Array3::from_shape_simple_fn((50, 3, 3), || rng.random_range(-5.0_f32..5.0));
    let [own, other] = both(&[cells.into()], |b, v| {
        let x = b.assume_shape(v[0], &[Dim::Known(50), Dim::Known(3), Dim::Known(3)]);
        b.node("Det", &[x], Attributes::none())
    });
    assert!((as_f64(&own) - as_f64(&other)).iter().all(|off| off.abs() < 2e-5 * 75.0));
}

/// Names that outputs and subgraphs read must stay.
#[test]
fn outputs_keep_their_names_and_order() {
    let input = [Tensor::from(arr1(&[0.5_f32, -0.25]))];
    let mut b = Builder::new();
    let n = b.symbol("n");
    let x = b.input("x0", DataType::F32, &[n]);
    let (arc, tangent) = (b.node("Acos", &[x], Attributes::none()), b.node("Tan", &[x], Attributes::none()));
    let sum = b.add(arc, tangent);
    b.output("tangent", tangent);
    b.output("arc", arc);
    b.output("y", sum);
    let model = b.finish("names", &[]).unwrap();
    let found = run(&rewritten(&model), &input).unwrap();
    let expected = |x: f64| x.acos() + x.tan();
    let off = as_f64(&found) - arr1(&[expected(0.5), expected(-0.25)]).into_dyn();
    assert!(off.iter().all(|off| off.abs() < 1e-6), "{off}");
}
