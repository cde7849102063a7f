//! Arc tangent: `1 / (1 + x^2)`.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ATAN: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let square = b.mul(x, x);
        let sum = b.add_scalar(square, 1.0);
        b.reciprocal(sum)
    })
}
