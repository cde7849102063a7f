//! Reductions that are functions of a sum, of which CUDA has a kernel that needs no cuDNN: the processor's numbers up to the
//! order of the sum. ReduceLogSumExp also needs the largest element, and is rewritten where [`extremes`] finds it.

use super::super::builder::{Builder, Node, Value};
use super::super::ops::elements_per;
use super::super::{Attributes, DataType};
use super::{extremes, input};

pub(super) const OPERATORS: &[&str] = &["ReduceMean", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum"];
pub(super) const EXPONENTIALS: &[&str] = &["ReduceLogSumExp"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = float(b, node)?;
    if changes_nothing(b, node) {
        return None;
    }
    Some(match node.op.as_str() {
        "ReduceMean" => {
            let total = sum(b, node, x);
            let count = elements_per(b, x, total);
            b.div(total, count)
        }
        "ReduceL1" => {
            let sizes = b.abs(x);
            sum(b, node, sizes)
        }
        "ReduceLogSum" => {
            let total = sum(b, node, x);
            b.log(total)
        }
        op => {
            let squares = b.mul(x, x);
            let total = sum(b, node, squares);
            if op == "ReduceL2" { b.sqrt(total) } else { total }
        }
    })
}

/// Largest and smallest number that the largest element is taken for: an infinite one would give NaN.
const BOUNDS: (f64, f64) = (f32::MIN as f64, f32::MAX as f64);

pub(super) fn log_sum_exp(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = float(b, node)?;
    let axes = extremes::reduced_axes(b, node, x).filter(|axes| !axes.is_empty())?;
    let top = extremes::extreme(b, x, &axes, "Max")?;
    let (lowest, highest) = (b.scalar_like(x, BOUNDS.0), b.scalar_like(x, BOUNDS.1));
    let top = b.max(top, lowest);
    let top = b.min(top, highest);
    let shifted = b.sub(x, top);
    let powers = b.exp(shifted);
    let total = sum(b, node, powers);
    let log = b.log(total);
    let keep = node.attributes.get_int("keepdims").unwrap_or(1) == 1;
    let top = if keep { top } else { b.squeeze(top, &axes) };
    Some(b.add(log, top))
}

fn float(b: &Builder, node: &Node) -> Option<Value> {
    input(node, 0).filter(|x| matches!(super::data_type(b, *x), Some(DataType::F32 | DataType::F64)))
}

/// With `noop_with_empty_axes`, a reduction over no axes; whether there are any may be known only when the graph runs.
fn changes_nothing(b: &Builder, node: &Node) -> bool {
    let noop = node.attributes.get_int("noop_with_empty_axes") == Some(1);
    let axes = input(node, 1).map(|axes| b.facts(axes).known_content());
    noop && !matches!(axes, Some(Some(axes)) if !axes.is_empty())
}

/// `x` summed over the axes that the node reduces.
fn sum(b: &mut Builder, node: &Node, x: Value) -> Value {
    let keep = node.attributes.get_int("keepdims").unwrap_or(1);
    let axes = match (input(node, 1), node.attributes.get_ints("axes")) {
        (Some(axes), _) => Some(axes),
        (None, Some(axes)) if !axes.is_empty() => Some(b.ints(axes)),
        _ => None,
    };
    let inputs: Vec<Option<Value>> = std::iter::once(Some(x)).chain(axes.map(Some)).collect();
    b.node_with("ReduceSum", &inputs, 1, Attributes::none().int("keepdims", keep))[0]
}
