//! `x` times the hard sigmoid with slope 1/6 (Howard et al. 2019, section 5.2).

use super::context::same_as_input;
use super::elementwise::{chain, inside_unit};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const HARD_SWISH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let attributes = Attributes::none().float("alpha", 1.0 / 6.0).float("beta", 0.5);
        let gate = b.node("HardSigmoid", &[x], attributes);
        let inside = inside_unit(b, x, 1.0 / 6.0, 0.5);
        let inside = b.cast_like(inside, x);
        let part = b.mul(x, inside);
        let part = b.mul_scalar(part, 1.0 / 6.0);
        b.add(gate, part)
    })
}
