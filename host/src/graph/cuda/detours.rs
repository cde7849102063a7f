//! Operators of integers and booleans that have a kernel for another type: they are computed in that one. The same numbers; of
//! int64 in float64, those up to 2^53.

use super::super::DataType;
use super::super::builder::{Builder, Node, Value};
use super::input;

pub(super) const OPERATORS: &[&str] = &["ArgMax", "ArgMin", "Clip", "GatherND", "MatMul", "Pad", "Relu", "Tile"];

/// Operator, type, the type in which it is computed, and which inputs have that type.
const DETOURS: &[(&str, DataType, DataType, &[usize])] = &[
    ("ArgMax", DataType::I32, DataType::F64, &[0]),
    ("ArgMax", DataType::I64, DataType::F64, &[0]),
    ("ArgMin", DataType::I32, DataType::F64, &[0]),
    ("ArgMin", DataType::I64, DataType::F64, &[0]),
    ("Clip", DataType::I32, DataType::I64, &[0, 1, 2]),
    ("GatherND", DataType::I32, DataType::I64, &[0]),
    ("MatMul", DataType::I32, DataType::F64, &[0, 1]),
    ("MatMul", DataType::I64, DataType::F64, &[0, 1]),
    ("Pad", DataType::I32, DataType::F64, &[0, 2]),
    ("Pad", DataType::I64, DataType::F64, &[0, 2]),
    ("Relu", DataType::I32, DataType::F64, &[0]),
    ("Relu", DataType::I64, DataType::F64, &[0]),
    ("Tile", DataType::Bool, DataType::I32, &[0]),
];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let first = input(node, 0)?;
    let own = super::data_type(b, first)?;
    let (_, _, through, of_type) = DETOURS.iter().find(|(op, from, _, _)| *op == node.op && *from == own)?;
    // Vectors of integers are arithmetic on shapes, which the processor does.
    if b.facts(first).rank()? < 2 && own != DataType::Bool {
        return None;
    }
    let mut inputs = node.inputs.clone();
    for i in of_type.iter() {
        if let Some(Some(x)) = inputs.get_mut(*i) {
            *x = b.cast(*x, *through);
        }
    }
    let result = b.node_with(&node.op, &inputs, 1, node.attributes.clone())[0];
    let index = matches!(node.op.as_str(), "ArgMax" | "ArgMin");
    Some(if index { result } else { b.cast(result, own) })
}
