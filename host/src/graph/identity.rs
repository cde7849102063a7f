//! Operators that change nothing.
//!
//! None is ever emitted: ONNX Runtime 1.28 fuses any two-dimensional `Transpose` beside a `Gemm` as if it turned the matrix
//! over, the identity too, and every such operator costs a copy.

use super::builder::{Node, Value, ValueData};
use super::shape::TypeFacts;
use super::{DataType, Tensor};

/// The input that a node with one output hands on unchanged, if it does so for certain; `facts` is what is known of the output.
pub(super) fn passed_on(node: &Node, values: &[ValueData], facts: &TypeFacts) -> Option<Value> {
    let input = |i: usize| node.inputs.get(i).copied().flatten();
    let known = |value: Value| &values[value.0 as usize];
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return None;
    }
    let first = input(0)?;
    let own = &known(first).facts;
    let same_shape = own.shape.is_some() && own.shape == facts.shape;
    let content = |i: usize| input(i).and_then(|value| known(value).facts.known_content());
    let alone = node.inputs.len() == 1;
    let nothing_happens = match node.op.as_str() {
        "Transpose" => turns_nothing(node, own),
        "Reshape" | "Expand" | "Flatten" | "Squeeze" | "Unsqueeze" | "Tile" => same_shape,
        "Slice" => same_shape && (input(4).is_none() || content(4).is_some_and(|steps| steps.iter().all(|s| *s > 0))),
        "Pad" => content(1).is_some_and(|pads| pads.iter().all(|n| *n == 0)),
        "Cast" | "CastLike" => own.data_type.is_some() && own.data_type == facts.data_type,
        "Concat" | "Sum" | "Mean" | "Max" | "Min" => alone,
        "Split" => same_shape && node.attributes.get("num_outputs").is_none_or(|n| n.i == Some(1)),
        "ReduceSum" | "ReduceMean" | "ReduceMax" | "ReduceMin" | "ReduceProd" => same_shape,
        "Mul" | "Div" => same_shape && input(1).is_some_and(|y| is_one(known(y))),
        _ => false,
    };
    nothing_happens.then_some(first)
}

fn turns_nothing(node: &Node, input: &TypeFacts) -> bool {
    match node.attributes.get_ints("perm") {
        Some(order) => order.iter().enumerate().all(|(new, old)| *old == new as i64),
        None => input.rank().is_some_and(|rank| rank < 2),
    }
}

fn is_one(value: &ValueData) -> bool {
    let ones = |tensor: &Tensor| match tensor {
        Tensor::F32(a) => a.iter().all(|x| *x == 1.0),
        Tensor::F64(a) => a.iter().all(|x| *x == 1.0),
        Tensor::I64(a) => a.iter().all(|x| *x == 1),
        Tensor::I32(a) => a.iter().all(|x| *x == 1),
        Tensor::Bool(_) | Tensor::Other(_) => false,
    };
    value.facts.data_type != Some(DataType::Bool) && value.constant.as_ref().is_some_and(ones)
}
