//! Scaled exponential linear unit (Klambauer et al. 2017, equation 2).

use super::context::same_as_input;
use super::elementwise::{chain, float, piecewise};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (alpha, gamma) = (float(&r, "alpha", 1.673_263_2), float(&r, "gamma", 1.050_701));
    chain(r, |b, x, _| {
        let curve = b.exp(x);
        let curve = b.mul_scalar(curve, alpha * gamma);
        piecewise(b, x, gamma, curve)
    })
}
