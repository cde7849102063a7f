//! Hyperbolic tangent: `1 - y^2`.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const TANH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, _, y| {
        let square = b.mul(y, y);
        let negative = b.neg(square);
        b.add_scalar(negative, 1.0)
    })
}
