//! Branches and loops: what is inside of a node is rewritten as what is around it.

use ndarray::{arr0, arr1};
use temper::graph::onnx::attribute_proto::AttributeType;
use temper::graph::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto};
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, Trouble, Value, for_cuda};

use crate::{rewritten, run};

fn inside(name: &str, graph: GraphProto) -> AttributeProto {
    let (name, r#type) = (Some(name.to_owned()), Some(AttributeType::Graph as i32));
    AttributeProto { name, r#type, g: Some(graph), ..AttributeProto::default() }
}

fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        op_type: Some(op.into()),
        name: Some(op.to_lowercase()),
        input: inputs.iter().map(|name| (*name).into()).collect(),
        output: vec![output.into()],
        attribute,
        ..NodeProto::default()
    }
}

/// A graph that reads `x0`, float32 (3), from around it and makes `name`.
fn branch(name: &str, build: impl FnOnce(&mut Builder, Value) -> Value) -> GraphProto {
    let mut b = Builder::new();
    let x = b.input("x0", DataType::F32, &[Dim::Known(3)]);
    let y = build(&mut b, x);
    b.output(name, y);
    let mut graph = b.finish(name, &[]).unwrap().graph.unwrap();
    graph.input.clear();
    graph
}

/// Inputs `x0`, float32 (3), and `x1`, bool; the output `y` is what `made` makes.
fn around(made: NodeProto) -> ModelProto {
    let mut b = Builder::new();
    let x = b.input("x0", DataType::F32, &[Dim::Known(3)]);
    b.input("x1", DataType::Bool, &[]);
    b.output("y", x);
    let mut model = b.finish("around", &[]).unwrap();
    model.graph.as_mut().unwrap().node = vec![made];
    model
}

/// How often each of three rows is named among (0, 2, 2).
fn counted(b: &mut Builder, x: Value) -> Value {
    let zeros = b.constant(arr1(&[0_i64, 0, 0]));
    let (rows, ones) = (b.constant(arr1(&[0_i64, 2, 2])), b.constant(arr1(&[1_i64, 1, 1])));
    let rows = b.unsqueeze(rows, &[1]);
    let counts = b.node("ScatterND", &[zeros, rows, ones], Attributes::none().string("reduction", "add"));
    let counts = b.cast(counts, DataType::F32);
    b.mul(counts, x)
}

/// `tan v` for three turns, from `x0` on.
fn turns() -> GraphProto {
    let mut b = Builder::new();
    b.input("turn", DataType::I64, &[]);
    let on = b.input("on", DataType::Bool, &[]);
    let v = b.input("v", DataType::F32, &[Dim::Known(3)]);
    let next = b.node("Tan", &[v], Attributes::none());
    b.output("still_on", on);
    b.output("next", next);
    let body = b.finish("turns", &[]).unwrap().graph.unwrap();
    let mut graph = branch("turned", |b, x| b.node("Neg", &[x], Attributes::none()));
    let mut b = Builder::new();
    let three = b.initializer("three", arr0(3_i64).into());
    b.output("unused", three);
    graph.initializer = b.finish("three", &[]).unwrap().graph.unwrap().initializer;
    graph.node = vec![node("Loop", &["three", "", "x0"], "turned", vec![inside("body", body)])];
    graph
}

/// A branch with a loop inside of it, and one with the same names and a sum of integers by index.
#[test]
fn branches_and_loops_give_the_same_numbers() {
    let arcs = branch("counted", |b, x| {
        let arc = b.node("Acos", &[x], Attributes::none());
        counted(b, arc)
    });
    let model = around(node("If", &["x1"], "y", vec![inside("then_branch", turns()), inside("else_branch", arcs)]));
    let prepared = for_cuda(&model).unwrap();
    let replaced: Vec<(&str, usize)> = prepared.replaced.iter().map(|(op, n)| (op.as_str(), *n)).collect();
    assert_eq!(replaced, [("Acos", 1), ("ScatterND", 1), ("Tan", 1)]);
    let (other, x) = (rewritten(&model), [0.3_f32, -0.2, 0.5]);
    for condition in [true, false] {
        let inputs: [Tensor; 2] = [arr1(&x).into(), arr0(condition).into()];
        let expected = |i: usize| match (condition, f64::from(x[i])) {
            (true, x) => x.tan().tan().tan(),
            (false, x) => x.acos() * [1.0, 0.0, 2.0][i],
        };
        for model in [&model, &other] {
            let found = run(model, &inputs).unwrap();
            let off = |(i, y): (usize, &f32)| (f64::from(*y) - expected(i)).abs();
            assert!(found.as_f32().unwrap().iter().enumerate().map(off).all(|off| off < 1e-6), "{found:?}");
        }
    }
}

#[test]
fn a_branch_that_cannot_be_read_stays_and_is_named() {
    let mut broken = branch("broken", |b, x| b.node("Acos", &[x], Attributes::none()));
    broken.node[0].input[0] = "nowhere".into();
    let sound = branch("sound", |b, x| b.node("Tan", &[x], Attributes::none()));
    let attribute = vec![inside("then_branch", broken.clone()), inside("else_branch", sound)];
    let prepared = for_cuda(&around(node("If", &["x1"], "y", attribute))).unwrap();
    let [obstacle] = &prepared.obstacles[..] else { panic!("{:?}", prepared.obstacles) };
    assert_eq!((obstacle.op.as_str(), obstacle.trouble), ("Acos", Trouble::LeavesDevice));
    let graph = prepared.rewritten.unwrap().graph.unwrap();
    let node = graph.node.iter().find(|node| node.op_type() == "If").unwrap();
    assert_eq!(node.attribute[0].g, Some(broken));
    assert!(node.attribute[1].g.as_ref().unwrap().node.iter().all(|node| node.op_type() != "Tan"));
}
