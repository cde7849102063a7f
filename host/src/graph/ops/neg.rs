//! `-x`.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const NEG: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let g = r.grad()?;
    Ok(vec![Some(r.builder.neg(g))])
}
