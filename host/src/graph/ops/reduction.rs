//! What reductions share: their shape rule, and how a reduced value meets the tensor that it was made of again.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::builder::ValueData;
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Builder, Dim, Node, Value};

/// A reduction with a reverse rule.
pub(super) const fn with_rule(rule: fn(Reverse) -> Result<InputGrads, GraphError>) -> Operator {
    Operator { infer: reduction, derivative: Derivative::Rule(rule) }
}

/// Axes from the attribute or input 1, `keepdims` default 1.
pub(super) fn reduction(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let keep = cx.int("keepdims", 1) == 1;
    let given = cx.has("axes", 1);
    let axes = cx.ints("axes", 1);
    let none = !given || axes.as_ref().is_some_and(Vec::is_empty);
    let noop = cx.int("noop_with_empty_axes", 0) == 1;
    let shape = match (input.shape, axes) {
        (Some(shape), _) if none && noop => Some(shape),
        (Some(shape), _) if none => Some(if keep { vec![Dim::Known(1); shape.len()] } else { vec![] }),
        (Some(shape), Some(axes)) => Some(reduced(&shape, &axes, keep)?),
        (Some(shape), None) if keep => Some(shape.iter().map(|_| cx.symbols.fresh()).collect()),
        _ => None,
    };
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}

/// The axes of a reduction counted from the front, if they are given from the end: ONNX Runtime 1.27 to 1.30 leave an empty
/// tensor as it is when an axis is negative.
pub(in super::super) fn positive_axes(node: &Node, values: &[ValueData]) -> Option<Vec<i64>> {
    let facts = |i: usize| node.inputs.get(i).copied().flatten().map(|v| &values[v.0 as usize].facts);
    let axes = match node.op.as_str() {
        "ArgMax" | "ArgMin" => vec![node.attributes.get_int("axis")?],
        op if op.starts_with("Reduce") => match facts(1) {
            Some(axes) => axes.known_content()?,
            None => node.attributes.get_ints("axes")?.to_vec(),
        },
        _ => return None,
    };
    let rank = facts(0)?.rank()?;
    let counted = |axis: &i64| axis_of(*axis, rank).ok().map(|axis| axis as i64);
    axes.iter().any(|axis| *axis < 0).then(|| axes.iter().map(counted).collect())?
}

fn reduced(shape: &[Dim], axes: &[i64], keep: bool) -> Result<Vec<Dim>, String> {
    let axes = axes.iter().map(|a| axis_of(*a, shape.len())).collect::<Result<Vec<_>, _>>()?;
    let extents = shape.iter().enumerate().filter_map(|(i, dim)| match (axes.contains(&i), keep) {
        (true, true) => Some(Dim::Known(1)),
        (true, false) => None,
        (false, _) => Some(*dim),
    });
    Ok(extents.collect())
}

/// The rule of a reduction: the derivative times what `slope(builder, node, x, y)` builds, `y` with its axes kept.
pub(super) fn spread(
    r: Reverse,
    slope: impl FnOnce(&mut Builder, &Node, Value, Value) -> Value,
) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.output(0)?, r.grad()?);
    let y = keep_axes(r.builder, r.node, x, y);
    let g = keep_axes(r.builder, r.node, x, g);
    let slope = slope(r.builder, r.node, x, y);
    Ok(vec![Some(r.builder.mul(g, slope)), None])
}

/// The derivative of extremes: equal ones share it, as PyTorch's `amax` and `amin` do.
pub(super) fn share_among_equals(r: Reverse) -> Result<InputGrads, GraphError> {
    spread(r, |b, node, x, y| {
        let reached = b.equal(x, y);
        let reached = b.cast_like(reached, x);
        let count = sum_like(b, node, reached);
        b.div(reached, count)
    })
}

/// `g` (a reduction of `x`) with the reduced axes as extents of 1, so that it can be broadcast against `x`.
pub(super) fn keep_axes(b: &mut Builder, node: &Node, x: Value, g: Value) -> Value {
    if node.attributes.get_int("keepdims").unwrap_or(1) == 1 || reduces_nothing(b, node) {
        return g;
    }
    if let Some(axes) = node.inputs.get(1).copied().flatten() {
        return b.node("Unsqueeze", &[g, axes], Attributes::none());
    }
    match (node.attributes.get_ints("axes"), b.facts(x).rank()) {
        (Some(axes), _) => b.unsqueeze(g, axes),
        (None, Some(rank)) if rank > 0 => {
            let kept = b.reshape(g, &vec![1; rank]);
            b.assume_shape(kept, &vec![Dim::Known(1); rank])
        }
        // A scalar is broadcast against anything.
        _ => g,
    }
}

/// `x` summed over the axes that the node reduces, which are kept with extent 1.
pub(super) fn sum_like(b: &mut Builder, node: &Node, x: Value) -> Value {
    let noop = node.attributes.get_int("noop_with_empty_axes").unwrap_or(0);
    let attributes = Attributes::none().int("keepdims", 1).int("noop_with_empty_axes", noop);
    let axes = match (node.inputs.get(1).copied().flatten(), node.attributes.get_ints("axes")) {
        (Some(axes), _) => Some(axes),
        (None, Some(axes)) => Some(b.ints(axes)),
        (None, None) => None,
    };
    b.node_with("ReduceSum", &[Some(x), axes][..1 + usize::from(axes.is_some())], 1, attributes)[0]
}

/// How many elements of `x` fall on one of its reduction `y`, as a scalar of their type.
pub(in super::super) fn elements_per(b: &mut Builder, x: Value, y: Value) -> Value {
    if let Some((all, left)) = b.shape(x).zip(b.shape(y)).and_then(|(x, y)| static_counts(&x, &y)) {
        return b.scalar_like(x, all / left);
    }
    let (all, left, one) = (b.count(x), b.count(y), b.constant(ndarray::arr0(1i64)));
    // An empty tensor must not divide by zero.
    let left = b.max(left, one);
    let ratio = b.div(all, left);
    b.cast_like(ratio, x)
}

/// Numbers of elements up to the extents that both have and that are unknown.
fn static_counts(x: &[Dim], y: &[Dim]) -> Option<(f64, f64)> {
    let mut symbols: Vec<Dim> = x.iter().copied().filter(|d| d.known().is_none()).collect();
    for symbol in y.iter().filter(|d| d.known().is_none()) {
        let at = symbols.iter().position(|s| s == symbol)?;
        symbols.remove(at);
    }
    let count = |dims: &[Dim]| dims.iter().filter_map(|d| d.known()).map(|n| n as f64).product::<f64>();
    let (all, left) = (count(x), count(y));
    (symbols.is_empty() && left > 0.0).then_some((all, left))
}

fn reduces_nothing(b: &Builder, node: &Node) -> bool {
    let empty = match node.inputs.get(1).copied().flatten() {
        Some(axes) => b.facts(axes).known_content().is_some_and(|axes| axes.is_empty()),
        None => node.attributes.get_ints("axes").is_none_or(<[i64]>::is_empty),
    };
    empty && node.attributes.get_int("noop_with_empty_axes") == Some(1)
}
