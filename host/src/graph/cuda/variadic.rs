//! Sum, Max, Min and Mean of many tensors as chains of two: with three or more inputs the kernels of CUDA refuse tensors
//! without elements, and Mean has none. A sum is taken in the order of the processor's, so that it is the same number.

use super::super::builder::{Builder, Node, Value};
use super::super::{Attributes, DataType};

pub(super) const OPERATORS: &[&str] = &["Sum", "Max", "Min", "Mean"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let inputs: Vec<Value> = node.inputs.iter().copied().collect::<Option<_>>()?;
    let mean = node.op == "Mean";
    let float = matches!(super::data_type(b, *inputs.first()?), Some(DataType::F32 | DataType::F64));
    if if mean { inputs.len() < 2 || !float } else { inputs.len() < 3 } {
        return None;
    }
    let op = if matches!(node.op.as_str(), "Sum" | "Mean") { "Add" } else { &node.op };
    let count = inputs.len() as f64;
    let total = inputs.into_iter().reduce(|total, next| b.node(op, &[total, next], Attributes::none()))?;
    if !mean {
        return Some(total);
    }
    Some(b.mul_scalar(total, 1.0 / count))
}
