//! Operators that ONNX Runtime 1.28 gets wrong on empty tensors are never given one.
//!
//! Seen with 1.27 to 1.30: a reduction with a negative axis keeps the shape of an empty tensor (the builder makes axes
//! positive where the rank is known), `TopK` and `LpNormalization` divide by zero, `LSTM`, `GRU` and
//! `InstanceNormalization` end the process, `GroupNormalization` and `Attention` fail, and `Gemm` forgets its `beta` over an empty
//! inner axis. An axis without elements is padded with one before such an operator, and cropped after it; where it has elements,
//! nothing is added. Matrix products take the form that [`Builder::matmul`] gives them.

use super::super::builder::{Builder, Node, Value};
use super::super::shape::Dim;
use super::super::{Attributes, DataType};

/// What the node makes when it is kept from empty tensors; `None` if it needs no guard.
pub(super) fn guarded(b: &mut Builder, node: &Node) -> Option<Vec<Value>> {
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return None;
    }
    match node.op.as_str() {
        "TopK" => top_k(b, node),
        "LpNormalization" => {
            let rank = b.facts(input(node, 0)?).rank()?;
            along(b, node, &[axis(node, -1, rank)?])
        }
        // All but the channels.
        "MatMul" => Some(vec![b.other_form_of_product(input(node, 0)?, input(node, 1)?)?]),
        "GroupNormalization" | "InstanceNormalization" => {
            let rank = b.facts(input(node, 0)?).rank()?;
            let axes: Vec<usize> = (0..rank).filter(|axis| *axis != 1).collect();
            along(b, node, &axes)
        }
        "LSTM" | "GRU" | "RNN" => recurrent(b, node),
        "Attention" => attention(b, node),
        "Gemm" => gemm(b, node),
        op if op.starts_with("Reduce") => reduction(b, node),
        _ => None,
    }
}

fn input(node: &Node, i: usize) -> Option<Value> {
    node.inputs.get(i).copied().flatten()
}

fn axis(node: &Node, default: i64, rank: usize) -> Option<usize> {
    let axis = node.attributes.get_int("axis").unwrap_or(default);
    usize::try_from(if axis < 0 { axis + rank as i64 } else { axis }).ok().filter(|axis| *axis < rank)
}

/// Axes that may have no elements.
fn doubtful(b: &Builder, x: Value) -> Option<Vec<usize>> {
    let shape = b.shape(x)?;
    Some((0..shape.len()).filter(|i| shape[*i].known().is_none_or(|n| n == 0)).collect())
}

/// Axes that are only known when the graph runs, or in a tensor of unknown rank, are made positive then.
fn reduction(b: &mut Builder, node: &Node) -> Option<Vec<Value>> {
    let (x, axes) = (input(node, 0)?, input(node, 1)?);
    let content = b.facts(axes).known_content();
    let rank_known = b.facts(x).rank().is_some();
    if content.is_some_and(|axes| rank_known || axes.iter().all(|axis| *axis >= 0)) {
        return None;
    }
    let shape = b.shape_of(x);
    let rank = b.shape_of(shape);
    let zero = b.ints(&[0]);
    let negative = b.less(axes, zero);
    let shifted = b.add(axes, rank);
    let positive = b.where_(negative, shifted, axes);
    Some(b.node_with(&node.op, &[Some(x), Some(positive)], 1, node.attributes.clone()))
}

fn top_k(b: &mut Builder, node: &Node) -> Option<Vec<Value>> {
    let (x, k) = (input(node, 0)?, input(node, 1)?);
    let sorted = axis(node, -1, b.facts(x).rank()?)?;
    let axes: Vec<usize> = doubtful(b, x)?.into_iter().filter(|i| *i != sorted).collect();
    if axes.is_empty() {
        return None;
    }
    let padded = pad_empty(b, x, &axes)?;
    let outputs = b.node_with("TopK", &[Some(padded), Some(k)], 2, node.attributes.clone());
    let pairs: Vec<(usize, usize)> = axes.iter().map(|axis| (*axis, *axis)).collect();
    Some(outputs.into_iter().map(|y| crop(b, y, x, &pairs)).collect())
}

/// An operator whose first output has the shape of its first input, of which `axes` may have no elements.
fn along(b: &mut Builder, node: &Node, axes: &[usize]) -> Option<Vec<Value>> {
    let x = input(node, 0)?;
    let axes: Vec<usize> = doubtful(b, x)?.into_iter().filter(|axis| axes.contains(axis)).collect();
    if axes.is_empty() {
        return None;
    }
    let mut inputs = node.inputs.clone();
    inputs[0] = Some(pad_empty(b, x, &axes)?);
    let y = b.node_with(&node.op, &inputs, 1, node.attributes.clone())[0];
    let pairs: Vec<(usize, usize)> = axes.into_iter().map(|axis| (axis, axis)).collect();
    Some(vec![crop(b, y, x, &pairs)])
}

/// The bias is scaled before, where the inner axis may be empty.
fn gemm(b: &mut Builder, node: &Node) -> Option<Vec<Value>> {
    let (x, y, bias) = (input(node, 0)?, input(node, 1)?, input(node, 2)?);
    let beta = f64::from(node.attributes.get_float("beta").unwrap_or(1.0));
    let turned = |name: &str| node.attributes.get_int(name).unwrap_or(0);
    let inner = usize::from(turned("transA") == 0);
    if beta == 1.0 || !doubtful(b, x)?.contains(&inner) {
        return None;
    }
    let scaled = b.mul_scalar(bias, beta);
    let alpha = node.attributes.get_float("alpha").unwrap_or(1.0);
    let attributes = Attributes::none().float("alpha", alpha);
    let attributes = attributes.int("transA", turned("transA")).int("transB", turned("transB"));
    Some(vec![b.node("Gemm", &[x, y, scaled], attributes)])
}

/// Sequences without steps and batches without rows. Without steps the last state is the first. Inputs and outputs are those of
/// the operators' default layout.
fn recurrent(b: &mut Builder, node: &Node) -> Option<Vec<Value>> {
    let x = input(node, 0)?;
    let doubtful = doubtful(b, x)?;
    let (steps, batch) = (doubtful.contains(&0), doubtful.contains(&1));
    if node.attributes.get_int("layout").unwrap_or(0) != 0 || !(steps || batch) {
        return None;
    }
    let mut inputs = node.inputs.clone();
    let of_x: Vec<usize> = [(0, steps), (1, batch)].into_iter().filter(|(_, may)| *may).map(|(axis, _)| axis).collect();
    inputs[0] = Some(pad_empty(b, x, &of_x)?);
    for (i, axis) in [(4, 0), (5, 1), (6, 1)].into_iter().filter(|_| batch) {
        if let Some(given) = input(node, i) {
            inputs[i] = Some(pad_empty(b, given, &[axis])?);
        }
    }
    let count = if node.op == "LSTM" { 3 } else { 2 };
    let mut outputs = b.node_with(&node.op, &inputs, count, node.attributes.clone());
    let all: Vec<(usize, usize)> = of_x.iter().map(|axis| (2 * axis, *axis)).collect();
    outputs[0] = crop(b, outputs[0], x, &all);
    for (output, first) in outputs.iter_mut().skip(1).zip([5, 6]) {
        if batch {
            *output = crop(b, *output, x, &[(1, 1)]);
        }
        if steps {
            *output = without_steps(b, x, *output, input(node, first));
        }
    }
    Some(outputs)
}

/// The last state of a recurrence, or the first where the sequence has no steps: zero if none is given.
fn without_steps(b: &mut Builder, x: Value, last: Value, first: Option<Value>) -> Value {
    let first = first.unwrap_or_else(|| b.zeros_like(last));
    let extents = b.shape_of(x);
    let (place, zero) = (b.ints(&[0]), b.ints(&[0]));
    let steps = b.gather(extents, place, 0);
    let none = b.equal(steps, zero);
    b.where_(none, first, last)
}

/// Batches, queries and keys that may be absent; a query without keys gets nothing. Past keys and values are left alone, and so is
/// a mask, which would have to be padded too.
fn attention(b: &mut Builder, node: &Node) -> Option<Vec<Value>> {
    let parts = [input(node, 0)?, input(node, 1)?, input(node, 2)?];
    let used = node.outputs.iter().skip(1).any(Option::is_some);
    if used || (3..node.inputs.len()).any(|i| input(node, i).is_some()) {
        return None;
    }
    let rank = b.facts(parts[0]).rank()?;
    let sequence = rank.checked_sub(2)?;
    let mut inputs = node.inputs.clone();
    let mut padded = false;
    for (i, part) in parts.into_iter().enumerate() {
        let axes: Vec<usize> = doubtful(b, part)?.into_iter().filter(|axis| [0, sequence].contains(axis)).collect();
        if !axes.is_empty() {
            inputs[i] = Some(pad_empty(b, part, &axes)?);
            padded = true;
        }
    }
    if !padded {
        return None;
    }
    let y = b.node_with("Attention", &inputs, 1, node.attributes.clone())[0];
    Some(vec![crop(b, y, parts[0], &[(0, 0), (sequence, sequence)])])
}

/// One element more along those of `axes` that have none.
pub(in crate::graph) fn pad_empty(b: &mut Builder, x: Value, axes: &[usize]) -> Option<Value> {
    let rank = b.facts(x).rank()?;
    let chosen: Vec<i64> = (0..rank).map(|i| i64::from(axes.contains(&i))).collect();
    let (chosen, zero, before) = (b.ints(&chosen), b.ints(&[0]), b.ints(&vec![0; rank]));
    let extents = b.shape_of(x);
    let empty = b.equal(extents, zero);
    let empty = b.cast(empty, DataType::I64);
    let after = b.mul(empty, chosen);
    let pads = b.concat(&[before, after], 0);
    let padded = b.node("Pad", &[x, pads], Attributes::none());
    let shape = b.shape(x)?;
    let shape: Vec<Dim> =
        shape.into_iter().enumerate().map(|(i, dim)| if axes.contains(&i) { b.symbols.fresh() } else { dim }).collect();
    Some(b.assume_shape(padded, &shape))
}

/// `y` with the extents of `x` again: pairs of an axis of `y` and the axis of `x` that it comes from.
pub(in crate::graph) fn crop(b: &mut Builder, y: Value, x: Value, pairs: &[(usize, usize)]) -> Value {
    let axes: Vec<i64> = pairs.iter().map(|(axis, _)| *axis as i64).collect();
    let from: Vec<i64> = pairs.iter().map(|(_, axis)| *axis as i64).collect();
    let (starts, axes, from) = (b.ints(&vec![0; pairs.len()]), b.ints(&axes), b.ints(&from));
    let extents = b.shape_of(x);
    let ends = b.gather(extents, from, 0);
    let cropped = b.node("Slice", &[y, starts, ends, axes], Attributes::none());
    if let (Some(mut shape), Some(original)) = (b.shape(y), b.shape(x)) {
        pairs.iter().for_each(|(axis, from)| shape[*axis] = original[*from]);
        b.assume_shape(cropped, &shape);
    }
    cropped
}
