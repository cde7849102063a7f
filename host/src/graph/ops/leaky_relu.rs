//! `x` above 0, `alpha x` up to it; the derivative at 0 is `alpha`, as in PyTorch.

use super::context::same_as_input;
use super::elementwise::{chain, float, piecewise};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const LEAKY_RELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let alpha = float(&r, "alpha", 0.01);
    chain(r, |b, x, _| {
        let below = b.scalar_like(x, alpha);
        piecewise(b, x, 1.0, below)
    })
}
