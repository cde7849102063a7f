//! Logistic function: `y (1 - y)`.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SIGMOID: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, _, y| {
        let square = b.mul(y, y);
        b.sub(y, square)
    })
}
