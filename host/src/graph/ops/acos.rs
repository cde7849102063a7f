//! Arc cosine: `-1 / sqrt(1 - x^2)`, infinite at -1 and 1 as in PyTorch.

use super::context::same_as_input;
use super::elementwise::{chain, one_minus_square};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ACOS: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let root = one_minus_square(b, x);
        let root = b.sqrt(root);
        let slope = b.reciprocal(root);
        b.neg(slope)
    })
}
