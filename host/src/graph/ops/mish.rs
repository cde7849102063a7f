//! `x tanh(softplus x)`: with `t` the tangent, `t + x (1 - t^2) sigmoid(x)` (Misra 2019).

use super::context::same_as_input;
use super::elementwise::{chain, one_minus_square};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const MISH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let softplus = b.node("Softplus", &[x], Attributes::none());
        let t = b.tanh(softplus);
        let difference = one_minus_square(b, t);
        let gate = b.sigmoid(x);
        let part = b.mul(difference, gate);
        let part = b.mul(x, part);
        b.add(t, part)
    })
}
