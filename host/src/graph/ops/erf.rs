//! Error function: `2 / sqrt(pi) exp(-x^2)`.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ERF: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let square = b.mul(x, x);
        let exponent = b.neg(square);
        let bell = b.exp(exponent);
        b.mul_scalar(bell, std::f64::consts::FRAC_2_SQRT_PI)
    })
}
