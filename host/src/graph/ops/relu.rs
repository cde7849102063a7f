//! `max(x, 0)`; the derivative at 0 is 0.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const RELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let zero = r.builder.scalar_like(x, 0.0);
    let positive = r.builder.greater(x, zero);
    Ok(vec![Some(r.builder.where_(positive, g, zero))])
}
