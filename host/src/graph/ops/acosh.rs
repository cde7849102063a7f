//! Inverse hyperbolic cosine: `1 / sqrt(x^2 - 1)`, infinite at 1.

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ACOSH: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    chain(r, |b, x, _| {
        let (below, above) = (b.add_scalar(x, -1.0), b.add_scalar(x, 1.0));
        let product = b.mul(below, above);
        let root = b.sqrt(product);
        b.reciprocal(root)
    })
}
