//! Slices written or added into a tensor at index tuples.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const SCATTER_ND: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (indices, updates, g) = (r.input(1)?, r.input(2)?, r.grad()?);
    let by_data = match r.node.attributes.get_string("reduction").unwrap_or("none") {
        "none" => r.wants(0).then(|| {
            let zeros = r.builder.zeros_like(updates);
            r.builder.node("ScatterND", &[g, indices, zeros], Attributes::none())
        }),
        "add" => Some(g),
        other => return Err(r.no_derivative(&format!("with reduction = {other}"))),
    };
    let by_updates = r.wants(2).then(|| r.builder.node("GatherND", &[g, indices], Attributes::none()));
    Ok(vec![by_data, None, by_updates])
}
