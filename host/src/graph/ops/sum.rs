//! Sum of any number of tensors.

use super::context::broadcast;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SUM: Operator = Operator { infer: broadcast, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let g = r.grad()?;
    (0..r.node.inputs.len())
        .map(|i| {
            let x = r.input(i)?;
            Ok(r.wants(i).then(|| r.builder.sum_to_shape_of(g, x)))
        })
        .collect()
}
