//! Inverse hyperbolic tangent: `1 / (1 - x^2)`.

use super::context::same_as_input;
use super::elementwise::{chain, one_minus_square};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ATANH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let difference = one_minus_square(b, x);
        b.reciprocal(difference)
    })
}
