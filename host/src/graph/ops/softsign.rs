//! `x / (1 + |x|)`: `1 / (1 + |x|)^2`.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SOFTSIGN: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let size = b.abs(x);
        let sum = b.add_scalar(size, 1.0);
        let square = b.mul(sum, sum);
        b.reciprocal(square)
    })
}
