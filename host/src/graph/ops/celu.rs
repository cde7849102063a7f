//! Continuously differentiable exponential linear unit: `exp(x / alpha)` up to 0, 1 above.

use super::context::same_as_input;
use super::elementwise::{chain, float, piecewise};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const CELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let alpha = float(&r, "alpha", 1.0);
    chain(r, |b, x, _| {
        let scaled = b.mul_scalar(x, 1.0 / alpha);
        let curve = b.exp(scaled);
        piecewise(b, x, 1.0, curve)
    })
}
