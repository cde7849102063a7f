//! Broadcast to a given shape.

use super::context::{InferContext, Inferred, length};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;

pub(super) const EXPAND: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let (input, target) = (cx.input(0), cx.input(1));
    let rank = length(&target)?;
    let shape = match (&input.shape, target.content, rank) {
        (Some(shape), Some(content), _) => {
            let both = cx.symbols.broadcast_shapes(shape, &content);
            Some(both.ok_or_else(|| format!("{shape:?} cannot be expanded to {content:?}"))?)
        }
        (Some(shape), None, Some(rank)) => {
            let rank = shape.len().max(rank);
            Some((0..rank).map(|_| cx.symbols.fresh()).collect())
        }
        _ => None,
    };
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.sum_to_shape_of(g, x)), None])
}
