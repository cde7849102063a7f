//! One of two numbers at each index. By these numbers no derivative is written; by the indices there is none.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, Operator};
use crate::graph::shape::TypeFacts;

pub(super) const ONE_HOT: Operator = Operator { infer, derivative: Derivative::Missing };

fn infer(cx: InferContext) -> Inferred {
    let depth = cx.input(1).content.and_then(|c| c.first().copied());
    let shape = match cx.input(0).shape {
        Some(mut shape) => {
            let axis = axis_of(cx.int("axis", -1), shape.len() + 1)?;
            shape.insert(axis, depth.unwrap_or_else(|| cx.symbols.fresh()));
            Some(shape)
        }
        None => None,
    };
    Ok(vec![TypeFacts { data_type: cx.data_type(2), shape, content: None }])
}
