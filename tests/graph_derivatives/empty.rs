//! Operators on tensors without elements, of which ONNX Runtime 1.28 gives wrong numbers, an error, or the end of the process. What
//! is right follows from the definitions: a sum over nothing is zero, and a recurrence without steps ends where it began.

use ndarray::{ArrayD, IxDyn};
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, encode};

use crate::check::{as_loaded, session};

/// The numbers of what `build` makes, with shapes known only as symbols.
fn run(
    shapes: &[&[usize]],
    fixed: &[&[usize]],
    build: impl Fn(&mut Builder, &[temper::graph::Value]) -> Vec<temper::graph::Value>,
    opset: i64,
) -> Vec<(Vec<usize>, Vec<f32>)> {
    let mut b = Builder::new();
    let mut feeds = Vec::new();
    let mut values = Vec::new();
    for (i, shape) in shapes.iter().enumerate() {
        let dims: Vec<Dim> = (0..shape.len())
            .map(|axis| match fixed[i].contains(&axis) {
                true => Dim::Known(shape[axis] as i64),
                false => b.symbol(&format!("x{i}_{axis}")),
            })
            .collect();
        values.push(b.input(&format!("x{i}"), DataType::F32, &dims));
        let count: usize = shape.iter().product();
        let numbers = (0..count).map(|k| (k + 1) as f32 / 10.0).collect();
        feeds.push(Tensor::from(ArrayD::from_shape_vec(IxDyn(shape), numbers).unwrap()));
    }
    let outputs = build(&mut b, &values);
    let names: Vec<String> = (0..outputs.len()).map(|i| format!("y{i}")).collect();
    names.iter().zip(outputs).for_each(|(name, value)| b.output(name, value));
    let mut model = b.finish("empty", &[]).unwrap();
    model.opset_import[0].version = Some(opset);
    let mut session = session(&as_loaded(&encode(&model))).unwrap();
    let inputs: Vec<(String, &Tensor)> =
        feeds.iter().enumerate().map(|(i, tensor)| (format!("x{i}"), tensor)).collect();
    let inputs: Vec<_> = inputs.iter().map(|(name, tensor)| (name.as_str(), (*tensor).into())).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let tensors = session.run(&inputs, &names).unwrap();
    tensors.iter().map(|t| (t.shape().to_vec(), t.as_f32().unwrap().iter().copied().collect())).collect()
}

#[test]
fn a_recurrence_without_steps_ends_where_it_began() {
    for (op, gates, states) in [("GRU", 3, 1), ("LSTM", 4, 2), ("RNN", 1, 1)] {
        for (steps, batch) in [(0, 4), (0, 0), (2, 0)] {
            let shapes: [&[usize]; 4] = [&[steps, batch, 3], &[1, gates * 2, 3], &[1, gates * 2, 2], &[1, batch, 2]];
            let fixed: [&[usize]; 4] = [&[2], &[0, 1, 2], &[0, 1, 2], &[0, 2]];
            let build = |b: &mut Builder, v: &[temper::graph::Value]| {
                let mut inputs = vec![Some(v[0]), Some(v[1]), Some(v[2]), None, None, Some(v[3])];
                inputs.extend((states == 2).then_some(Some(v[3])));
                b.node_with(op, &inputs, 1 + states, Attributes::none().int("hidden_size", 2))
            };
            let found = run(&shapes, &fixed, build, 21);
            assert_eq!(found[0], (vec![steps, 1, batch, 2], vec![]), "{op}");
            let first: Vec<f32> = (0..2 * batch).map(|k| (k + 1) as f32 / 10.0).collect();
            for state in &found[1..] {
                assert_eq!(*state, (vec![1, batch, 2], first.clone()), "{op}, {steps} steps");
            }
        }
    }
}

#[test]
fn a_product_over_nothing_leaves_the_scaled_bias() {
    for (turned, x) in [(0, [2, 0]), (1, [0, 2])] {
        let build = |b: &mut Builder, v: &[temper::graph::Value]| {
            vec![b.node("Gemm", v, Attributes::none().float("beta", 2.0).int("transA", turned))]
        };
        let found = run(&[&x, &[0, 3], &[3]], &[&[], &[], &[]], build, 21);
        assert_eq!(found, [(vec![2, 3], [0.2, 0.4, 0.6].repeat(2))]);
    }
}

#[test]
fn attention_over_nothing_is_nothing() {
    for (batch, queries, keys) in [(1, 0, 3), (1, 2, 0), (0, 2, 3), (1, 0, 0)] {
        let shapes: [&[usize]; 3] = [&[batch, 2, queries, 4], &[batch, 2, keys, 4], &[batch, 2, keys, 4]];
        let build = |b: &mut Builder, v: &[temper::graph::Value]| vec![b.node("Attention", v, Attributes::none())];
        let found = run(&shapes, &[&[1, 3], &[1, 3], &[1, 3]], build, 23);
        let zeros = vec![0.0; batch * 2 * queries * 4];
        assert_eq!(found, [(vec![batch, 2, queries, 4], zeros)], "{batch} {queries} {keys}");
    }
}

#[test]
fn a_batch_without_matrices_times_a_repeated_one_has_none() {
    let rows: [(&[usize], &[usize], &[usize]); 5] = [
        (&[1, 2, 3], &[0, 3, 2], &[0, 2, 2]),
        (&[0, 2, 3], &[1, 3, 2], &[0, 2, 2]),
        (&[0, 2, 2, 3], &[2, 3, 2], &[0, 2, 2, 2]),
        (&[2, 2, 3], &[0, 1, 3, 2], &[0, 2, 2, 2]),
        (&[0, 1, 2, 3], &[2, 3, 1], &[0, 2, 2, 1]),
    ];
    for (x, y, expected) in rows {
        let known = |shape: &[usize]| (0..shape.len()).filter(|axis| shape[*axis] != 0).collect::<Vec<usize>>();
        let build = |b: &mut Builder, v: &[temper::graph::Value]| vec![b.node("MatMul", v, Attributes::none())];
        let found = run(&[x, y], &[&known(x), &known(y)], build, 21);
        assert_eq!(found, [(expected.to_vec(), vec![])], "{x:?} {y:?}");
        // With one element in place of none, the product is what it always was.
        let filled = |shape: &[usize]| shape.iter().map(|n| (*n).max(1)).collect::<Vec<usize>>();
        let plain = run(&[&filled(x), &filled(y)], &[&known(x), &known(y)], build, 21);
        assert!(plain[0].1.iter().all(|number| *number > 0.0), "{plain:?}");
    }
}
