//! `x sigmoid(alpha x)`; ONNX Runtime's QuickGelu is the same with another default.

use super::context::same_as_input;
use super::elementwise::{chain, float};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SWISH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let default = if r.node.op == "QuickGelu" { 1.702 } else { 1.0 };
    let alpha = float(&r, "alpha", default);
    chain(r, |b, x, y| {
        let scaled = b.mul_scalar(x, alpha);
        let gate = b.sigmoid(scaled);
        let rest = b.mul(gate, y);
        let rest = b.sub(y, rest);
        let rest = b.mul_scalar(rest, alpha);
        b.add(gate, rest)
    })
}
