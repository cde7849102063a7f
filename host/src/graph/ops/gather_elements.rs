//! One index per output element along an axis.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;
use crate::graph::shape::TypeFacts;

pub(super) const GATHER_ELEMENTS: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    Ok(vec![TypeFacts { data_type: cx.data_type(0), shape: cx.input(1).shape, content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (data, indices, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let axis = r.node.attributes.get_int("axis").unwrap_or(0);
    let zeros = r.builder.zeros_like(data);
    let attributes = Attributes::none().int("axis", axis).string("reduction", "add");
    let scattered = r.builder.node("ScatterElements", &[zeros, indices, g], attributes);
    if let Some(shape) = r.builder.shape(data) {
        r.builder.assume_shape(scattered, &shape);
    }
    Ok(vec![Some(scattered), None])
}
