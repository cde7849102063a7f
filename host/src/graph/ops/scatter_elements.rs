//! Elements written, added, or compared into a tensor, one index per element along an axis.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::{Attributes, Builder, Value};

pub(super) const SCATTER_ELEMENTS: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (indices, g) = (r.input(1)?, r.grad()?);
    let axis = r.node.attributes.get_int("axis").unwrap_or(0);
    match r.node.attributes.get_string("reduction").unwrap_or("none") {
        "none" => {
            let updates = r.input(2)?;
            let by_data = r.wants(0).then(|| {
                let zeros = r.builder.zeros_like(updates);
                scatter(r.builder, g, indices, zeros, axis, "none")
            });
            let by_updates = r.wants(2).then(|| r.builder.gather_elements(g, indices, axis));
            Ok(vec![by_data, None, by_updates])
        }
        "add" => {
            let by_updates = r.wants(2).then(|| r.builder.gather_elements(g, indices, axis));
            Ok(vec![Some(g), None, by_updates])
        }
        "max" | "min" => extreme(r, axis),
        other => Err(r.no_derivative(&format!("with reduction = {other}"))),
    }
}

/// All that reach the extreme, the tensor's own element among them, share the derivative (PyTorch's `scatter_reduce`).
fn extreme(r: Reverse, axis: i64) -> Result<InputGrads, GraphError> {
    let (data, indices, updates, y, g) = (r.input(0)?, r.input(1)?, r.input(2)?, r.output(0)?, r.grad()?);
    let (want_data, want_updates) = (r.wants(0), r.wants(2));
    let b = r.builder;
    let own = b.equal(data, y);
    let own = b.cast_like(own, y);
    let reached = b.gather_elements(y, indices, axis);
    let reached = b.equal(updates, reached);
    let reached = b.cast_like(reached, y);
    let count = scatter(b, own, indices, reached, axis, "add");
    let share = b.div(g, count);
    let by_data = want_data.then(|| b.mul(share, own));
    let by_updates = want_updates.then(|| {
        let part = b.gather_elements(share, indices, axis);
        b.mul(part, reached)
    });
    Ok(vec![by_data, None, by_updates])
}

fn scatter(b: &mut Builder, data: Value, indices: Value, updates: Value, axis: i64, reduction: &str) -> Value {
    let attributes = Attributes::none().int("axis", axis);
    let attributes = if reduction == "none" { attributes } else { attributes.string("reduction", reduction) };
    b.node("ScatterElements", &[data, indices, updates], attributes)
}
