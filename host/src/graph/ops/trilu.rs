//! The upper or lower triangle of matrices, zeros elsewhere.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const TRILU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let g = r.grad()?;
    let inputs: Vec<_> = std::iter::once(Some(g)).chain(r.node.inputs.iter().skip(1).copied()).collect();
    let part = r.builder.node_with("Trilu", &inputs, 1, r.node.attributes.clone())[0];
    Ok(vec![Some(part), None])
}
