//! Logarithm of the sum over axes: `1 / sum x = exp(-y)`.

use super::reduction::{keep_axes, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_LOG_SUM: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.output(0)?, r.grad()?);
    let negative = r.builder.neg(y);
    let slope = r.builder.exp(negative);
    let product = r.builder.mul(g, slope);
    let kept = keep_axes(r.builder, r.node, x, product);
    Ok(vec![Some(r.builder.expand_as(kept, x)), None])
}
