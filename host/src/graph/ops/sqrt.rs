//! Square root: `1 / (2 y)`, infinite at 0 as the derivative is.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SQRT: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, _, y| {
        let twice = b.mul_scalar(y, 2.0);
        b.reciprocal(twice)
    })
}
