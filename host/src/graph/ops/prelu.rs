//! `x` above 0, `slope x` up to it.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const PRELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, slope, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let (want_x, want_slope) = (r.wants(0), r.wants(1));
    let b = r.builder;
    let zero = b.scalar_like(x, 0.0);
    let positive = b.greater(x, zero);
    let by_x = want_x.then(|| {
        let below = b.mul(g, slope);
        b.where_(positive, g, below)
    });
    let by_slope = want_slope.then(|| {
        let below = b.mul(g, x);
        let part = b.where_(positive, zero, below);
        b.sum_to_shape_of(part, slope)
    });
    Ok(vec![by_x, by_slope])
}
