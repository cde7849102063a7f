//! Part of a tensor. The derivative puts it back into zeros.

use super::context::{InferContext, Inferred, axis_of};
use super::selection::add_back;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Dim};

pub(super) const SLICE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let (starts, ends) = (cx.ints("starts", 1), cx.ints("ends", 2));
    let steps = if cx.inputs() > 4 { cx.input(4).known_content() } else { starts.as_ref().map(|s| vec![1; s.len()]) };
    let Some(mut shape) = input.shape.clone() else {
        return Ok(vec![TypeFacts { content: None, ..input }]);
    };
    let axes = match (&starts, cx.has("axes", 3)) {
        (Some(s), false) => Some((0..s.len() as i64).collect()),
        _ => cx.ints("axes", 3),
    };
    let Some(axes) = axes else {
        let shape = shape.iter().map(|_| cx.symbols.fresh()).collect();
        return Ok(vec![TypeFacts { data_type: input.data_type, shape: Some(shape), content: None }]);
    };
    let mut content = input.content.clone();
    for (k, axis) in axes.iter().enumerate() {
        let axis = axis_of(*axis, shape.len())?;
        let at = |list: &Option<Vec<i64>>| list.as_ref().and_then(|l| l.get(k)).copied();
        let range = match (at(&starts), at(&ends), at(&steps)) {
            (Some(start), Some(end), Some(step)) if step != 0 => Some((start, end, step)),
            _ => None,
        };
        content = match (range, content) {
            (Some((start, end, 1)), Some(c)) => {
                let n = c.len() as i64;
                let clamp = |i: i64| (if i < 0 { i + n } else { i }).clamp(0, n) as usize;
                Some(c.get(clamp(start)..clamp(end).max(clamp(start))).unwrap_or_default().to_vec())
            }
            _ => None,
        };
        shape[axis] = match (range, shape[axis]) {
            (Some(range), Dim::Known(n)) => Dim::Known(count(range, n)),
            (Some((0, i64::MAX, 1)), dim) => dim,
            _ => cx.symbols.fresh(),
        };
    }
    Ok(vec![TypeFacts { data_type: input.data_type, shape: Some(shape), content }])
}

/// Number of elements of `start..end` by `step` in an axis of extent `n` (ONNX's clamping).
fn count((start, end, step): (i64, i64, i64), n: i64) -> i64 {
    let from_end = |i: i64| if i < 0 { i.saturating_add(n) } else { i };
    let (start, end) = (from_end(start), from_end(end));
    let span =
        if step > 0 { end.clamp(0, n) - start.clamp(0, n) } else { start.min(n - 1).max(-1) - end.min(n - 1).max(-1) };
    let count = i128::from(span.max(0)) + i128::from(step.unsigned_abs()) - 1;
    i64::try_from(count / i128::from(step.unsigned_abs())).unwrap_or(0)
}

/// A plain slice of known bounds is padded with zeros, which is fast; any other is added back element by element.
fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    if let Some((axis, before, after)) = plain(&r, x)? {
        let rank = r.rank(x)?;
        let mut pads = vec![0; 2 * rank];
        pads[axis] = before;
        pads[rank + axis] = after;
        let pads = r.builder.ints(&pads);
        let padded = r.builder.node("Pad", &[g, pads], Attributes::none());
        if let Some(shape) = r.builder.shape(x) {
            r.builder.assume_shape(padded, &shape);
        }
        return Ok(vec![Some(padded)]);
    }
    add_back(r)
}

/// Axis and the extents before and after it, for a slice of one axis of known extent and bounds with step 1.
fn plain(r: &Reverse, x: crate::graph::Value) -> Result<Option<(usize, i64, i64)>, GraphError> {
    let content = |i: usize| r.node.inputs.get(i).copied().flatten().and_then(|v| r.builder.facts(v).known_content());
    let steps = r.node.inputs.get(4).copied().flatten();
    let (Some(starts), Some(ends)) = (content(1), content(2)) else { return Ok(None) };
    let axes = if r.node.inputs.get(3).copied().flatten().is_some() { content(3) } else { Some(vec![0]) };
    let (&[start], &[end], Some(&[axis])) = (&starts[..], &ends[..], axes.as_deref()) else { return Ok(None) };
    if steps.is_some() && content(4).as_deref() != Some(&[1]) {
        return Ok(None);
    }
    let shape = r.builder.shape(x).unwrap_or_default();
    let axis = axis_of(axis, shape.len()).map_err(|e| r.fail(e))?;
    let Some(n) = shape[axis].known() else { return Ok(None) };
    let clamp = |i: i64| (if i < 0 { i.saturating_add(n) } else { i }).clamp(0, n);
    Ok(Some((axis, clamp(start), n - clamp(end).max(clamp(start)))))
}
