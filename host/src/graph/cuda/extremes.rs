//! ReduceMax and ReduceMin along axes of known, moderate extent, by halves: pairs of slices are compared until one is left.
//! The kernels need cuDNN, and those of integers compare float32. The same numbers, but for the sign of a zero.

use super::super::builder::{Builder, Node, Value};
use super::super::{Attributes, DataType};
use super::input;

pub(super) const OPERATORS: &[&str] = &["ReduceMax", "ReduceMin"];

/// Beyond this extent one call of cuDNN is less work than the comparisons.
const LARGEST: i64 = 256;

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = input(node, 0)?;
    let known = matches!(super::data_type(b, x)?, DataType::F32 | DataType::F64 | DataType::I64 | DataType::I32);
    let axes = reduced_axes(b, node, x)?;
    // Vectors of integers are arithmetic on shapes, which the processor does.
    if !known || axes.is_empty() || (b.facts(x).rank()? < 2 && !is_float(b, x)) {
        return None;
    }
    let op = if node.op == "ReduceMax" { "Max" } else { "Min" };
    let kept = extreme(b, x, &axes, op)?;
    let keep = node.attributes.get_int("keepdims").unwrap_or(1) == 1;
    Some(if keep { kept } else { b.squeeze(kept, &axes) })
}

/// The largest or smallest elements along `axes`, which are kept with extent 1; `None` where an extent is unknown or large.
pub(super) fn extreme(b: &mut Builder, x: Value, axes: &[i64], op: &str) -> Option<Value> {
    let shape = b.shape(x)?;
    let extents: Vec<i64> = axes
        .iter()
        .map(|axis| shape.get(usize::try_from(*axis).ok()?)?.known().filter(|n| (1..=LARGEST).contains(n)))
        .collect::<Option<_>>()?;
    let mut left = x;
    for (axis, mut extent) in axes.iter().zip(extents) {
        while extent > 1 {
            // Of an odd number, the element in the middle is in both halves.
            let half = (extent + 1) / 2;
            let (first, second) = (b.slice(left, *axis, 0, half), b.slice(left, *axis, extent - half, extent));
            left = b.node(op, &[first, second], Attributes::none());
            extent = half;
        }
    }
    Some(left)
}

/// The axes that a reduction takes, counted from the front, if they are known; none where it changes nothing.
pub(super) fn reduced_axes(b: &Builder, node: &Node, x: Value) -> Option<Vec<i64>> {
    let rank = i64::try_from(b.facts(x).rank()?).ok()?;
    let given = match input(node, 1) {
        Some(axes) => b.facts(axes).known_content()?,
        None => node.attributes.get_ints("axes").unwrap_or_default().to_vec(),
    };
    if given.is_empty() {
        let noop = node.attributes.get_int("noop_with_empty_axes") == Some(1);
        return Some(if noop { Vec::new() } else { (0..rank).collect() });
    }
    let counted = |axis: i64| Some(if axis < 0 { axis + rank } else { axis }).filter(|axis| (0..rank).contains(axis));
    given.into_iter().map(counted).collect()
}

fn is_float(b: &Builder, x: Value) -> bool {
    matches!(super::data_type(b, x), Some(DataType::F32 | DataType::F64))
}
