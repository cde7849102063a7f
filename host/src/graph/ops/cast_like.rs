//! The element type of another tensor. Derivatives pass between float types only.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;

pub(super) const CAST_LIKE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    Ok(vec![TypeFacts { data_type: cx.data_type(1), shape: cx.input(0).shape, content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.node("CastLike", &[g, x], crate::graph::Attributes::none())), None])
}
