//! The value itself, under another name.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const IDENTITY: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    Ok(vec![cx.input(0)])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    Ok(vec![Some(r.grad()?)])
}
