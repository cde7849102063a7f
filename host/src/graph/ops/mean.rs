//! Mean of any number of tensors.

use super::context::broadcast;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const MEAN: Operator = Operator { infer: broadcast, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let count = r.node.inputs.len();
    let g = r.grad()?;
    let share = r.builder.mul_scalar(g, 1.0 / count as f64);
    (0..count)
        .map(|i| {
            let x = r.input(i)?;
            Ok(r.wants(i).then(|| r.builder.sum_to_shape_of(share, x)))
        })
        .collect()
}
