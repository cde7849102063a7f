//! Hyperbolic sine.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const SINH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| b.node("Cosh", &[x], Attributes::none()))
}
