//! Pieces along an axis.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::TypeFacts;

pub(super) const SPLIT: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let given = cx.ints("split", 1).filter(|_| cx.has("split", 1));
    let parts = cx.outputs();
    if given.as_ref().is_some_and(|given| given.len() != parts) {
        return Err(format!("{parts} outputs for other numbers of pieces"));
    }
    let Some(shape) = input.shape else {
        return Ok(vec![TypeFacts { content: None, ..input }; parts]);
    };
    let axis = axis_of(cx.int("axis", 0), shape.len())?;
    let piece = |cx: &mut InferContext, i: usize| {
        let mut own = shape.clone();
        own[axis] = match given.as_ref().and_then(|g| g.get(i)) {
            Some(n) => Dim::Known(*n),
            None => shape[axis].known().map_or_else(|| cx.symbols.fresh(), |n| equal_piece(n, parts as i64, i as i64)),
        };
        TypeFacts { data_type: input.data_type, shape: Some(own), content: None }
    };
    let mut cx = cx;
    Ok((0..parts).map(|i| piece(&mut cx, i)).collect())
}

/// Extent of piece `i` where all are equal but the last, which may be smaller.
fn equal_piece(extent: i64, parts: i64, i: i64) -> Dim {
    let piece = extent.saturating_add(parts - 1) / parts.max(1);
    Dim::Known((extent - piece.saturating_mul(i)).clamp(0, piece))
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let axis = r.node.attributes.get_int("axis").unwrap_or(0);
    let mut parts = Vec::new();
    for (i, grad) in r.grads.iter().enumerate() {
        let output = r.output(i)?;
        parts.push(grad.unwrap_or_else(|| r.builder.zeros_like(output)));
    }
    Ok(vec![Some(r.builder.concat(&parts, axis)), None])
}
