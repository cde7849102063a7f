//! ONNX Runtime's RotaryEmbedding (Su et al. 2021): halves of the last axis rotated against each other. The transpose of a rotation
//! is the one by the opposite angle.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ROTARY_EMBEDDING: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (positions, cos, sin, g) = (r.input(1)?, r.input(2)?, r.input(3)?, r.grad()?);
    if r.wants(2) || r.wants(3) {
        return Err(r.no_derivative("by its tables"));
    }
    let attributes = r.node.attributes.clone();
    let b = r.builder;
    let back = b.neg(sin);
    Ok(vec![Some(b.node("com.microsoft.RotaryEmbedding", &[g, positions, cos, back], attributes)), None, None, None])
}
