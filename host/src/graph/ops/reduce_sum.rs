//! Sum over axes.

use super::reduction::{keep_axes, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_SUM: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let kept = keep_axes(r.builder, r.node, x, g);
    Ok(vec![Some(r.builder.expand_as(kept, x)), None])
}
