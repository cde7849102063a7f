//! Elementwise maximum of any number of tensors; equal ones share the derivative.

use super::context::broadcast;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const MAX: Operator = Operator { infer: broadcast, derivative: Derivative::Rule(reverse) };

/// To the inputs that the result was taken from; the same for the minimum.
pub(super) fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (y, g) = (r.output(0)?, r.grad()?);
    let b = r.builder;
    let chosen: Vec<_> = r
        .node
        .inputs
        .iter()
        .flatten()
        .map(|x| {
            let equal = b.equal(*x, y);
            (*x, b.cast_like(equal, y))
        })
        .collect();
    let first = chosen.iter().map(|c| c.1).reduce(|sum, c| b.add(sum, c));
    let share = first.map_or(g, |count| b.div(g, count));
    let mut grads = Vec::with_capacity(chosen.len());
    for ((x, chosen), wanted) in chosen.into_iter().zip(r.wants) {
        grads.push(wanted.then(|| {
            let part = b.mul(share, chosen);
            b.sum_to_shape_of(part, x)
        }));
    }
    Ok(grads)
}
