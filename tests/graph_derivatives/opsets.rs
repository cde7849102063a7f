//! Files of old opsets: raised to the form that derivatives can be added to, they give what ONNX Runtime makes of the files
//! themselves.

use ndarray::{ArrayD, arr2};
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, Value, decode, encode, for_runtime};

use crate::check::session;

type Row = (&'static str, i64, fn(&mut Builder, Value) -> Value);

fn plain() -> Attributes {
    Attributes::none()
}

/// The forms that operators had, on a tensor of 2 x 3 x 4.
const ROWS: [Row; 17] = [
    ("Unsqueeze", 12, |b, x| b.node("Unsqueeze", &[x], plain().ints("axes", &[1, 4]))),
    ("Squeeze", 9, |b, x| {
        let x = b.node("ReduceSum", &[x], plain().ints("axes", &[1]));
        b.node("Squeeze", &[x], plain().ints("axes", &[1]))
    }),
    ("ReduceSum", 11, |b, x| b.node("ReduceSum", &[x], plain().ints("axes", &[-1]).int("keepdims", 0))),
    ("ReduceSum of all", 9, |b, x| b.node("ReduceSum", &[x], plain().int("keepdims", 0))),
    ("ReduceMax", 13, |b, x| b.node("ReduceMax", &[x], plain().ints("axes", &[0, 2]))),
    ("ReduceMean", 17, |b, x| b.node("ReduceMean", &[x], plain().ints("axes", &[-2]))),
    ("Clip", 9, |b, x| b.node("Clip", &[x], plain().float("min", -0.5).float("max", 0.25))),
    ("Clip above", 7, |b, x| b.node("Clip", &[x], plain().float("max", 0.25))),
    ("Slice", 9, |b, x| {
        b.node("Slice", &[x], plain().ints("starts", &[1, 0]).ints("ends", &[3, -1]).ints("axes", &[1, 2]))
    }),
    ("TopK", 9, |b, x| b.node_with("TopK", &[Some(x)], 2, plain().int("k", 2).int("axis", 1))[0]),
    ("Softmax", 9, |b, x| b.node("Softmax", &[x], plain())),
    ("Softmax of the last axis", 11, |b, x| b.node("Softmax", &[x], plain().int("axis", 2))),
    ("LogSoftmax", 12, |b, x| b.node("LogSoftmax", &[x], plain().int("axis", 1))),
    ("Split", 11, |b, x| {
        let parts = b.node_with("Split", &[Some(x)], 2, plain().int("axis", 2).ints("split", &[1, 3]));
        b.mul(parts[0], parts[1])
    }),
    ("Split in equal parts", 13, |b, x| {
        let parts = b.node_with("Split", &[Some(x)], 2, plain().int("axis", 2));
        b.sub(parts[0], parts[1])
    }),
    ("Pad", 10, |b, x| b.node("Pad", &[x], plain().ints("pads", &[0, 1, 0, 0, 0, 2]).float("value", 0.5))),
    ("Scatter", 9, |b, x| {
        let flat = b.node("Flatten", &[x], plain().int("axis", 1));
        let at = b.constant(arr2(&[[0i64, 2, 5]]));
        let new = b.constant(arr2(&[[7.0_f32, 8.0, 9.0]]));
        b.node("Scatter", &[flat, at, new], plain().int("axis", 1))
    }),
];

#[test]
fn old_forms_mean_what_they_meant() {
    let numbers = (0..24).map(|i| ((i * 7 % 24) as f32 - 11.5) / 12.0).collect();
    let x: Tensor = ArrayD::from_shape_vec(vec![2, 3, 4], numbers).unwrap().into();
    for (name, opset, build) in ROWS {
        let mut b = Builder::new();
        let input = b.input("x", DataType::F32, &[2, 3, 4].map(Dim::Known));
        let y = build(&mut b, input);
        b.output("y", y);
        let mut model = b.finish("old", &[]).unwrap();
        model.opset_import[0].version = Some(opset);
        let raised = for_runtime(&decode(&encode(&model)).unwrap()).unwrap().unwrap();
        assert_eq!(raised.opset_import[0].version, Some(18), "{name}");
        let run = |bytes: &[u8]| session(bytes).unwrap().run(&[("x", (&x).into())], &["y"]).unwrap();
        assert_eq!(run(&encode(&raised)), run(&encode(&model)), "{name} of opset {opset}");
    }
}

/// An operator that is not known might have changed its meaning.
#[test]
fn a_file_with_a_strange_operator_keeps_its_opset() {
    let mut b = Builder::new();
    let x = b.input("x", DataType::F32, &[2, 3].map(Dim::Known));
    let y = b.node("Hardmax", &[x], plain());
    b.output("y", y);
    let mut model = b.finish("old", &[]).unwrap();
    model.opset_import[0].version = Some(11);
    assert_eq!(for_runtime(&model).unwrap().unwrap().opset_import[0].version, Some(11));
}
