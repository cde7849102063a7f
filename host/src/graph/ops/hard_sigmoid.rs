//! `alpha x + beta`, clipped to 0..1; the derivative at the corners is 0, as in PyTorch.

use super::context::same_as_input;
use super::elementwise::{chain, float, inside_unit};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const HARD_SIGMOID: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (alpha, beta) = (float(&r, "alpha", 0.2), float(&r, "beta", 0.5));
    chain(r, |b, x, _| {
        let inside = inside_unit(b, x, alpha, beta);
        let inside = b.cast_like(inside, x);
        b.mul_scalar(inside, alpha)
    })
}
