//! Absolute value: the sign, 0 at 0.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ABS: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| b.sign(x))
}
