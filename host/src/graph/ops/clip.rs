//! Limits to a range, bounds included in it: the derivative passes inside, and to the bound outside, as in PyTorch.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const CLIP: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let zero = r.builder.scalar_like(x, 0.0);
    let mut by_x = g;
    let mut grads = vec![None; 3];
    for (i, outside) in [(1, "Less"), (2, "Greater")] {
        let Some(bound) = r.node.inputs.get(i).copied().flatten() else { continue };
        let outside = r.builder.node(outside, &[x, bound], Attributes::none());
        by_x = r.builder.where_(outside, zero, by_x);
        grads[i] = r.wants(i).then(|| {
            let part = r.builder.where_(outside, g, zero);
            r.builder.sum_to_shape_of(part, bound)
        });
    }
    grads[0] = Some(by_x);
    Ok(grads)
}
