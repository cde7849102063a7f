//! `x` above `alpha`, else 0.

use super::context::same_as_input;
use super::elementwise::{chain, float};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const THRESHOLDED_RELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let alpha = float(&r, "alpha", 1.0);
    chain(r, |b, x, _| {
        let threshold = b.scalar_like(x, alpha);
        let above = b.greater(x, threshold);
        b.cast_like(above, x)
    })
}
