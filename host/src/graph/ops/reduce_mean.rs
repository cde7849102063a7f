//! Mean over axes.

use super::reduction::{elements_per, keep_axes, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_MEAN: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.output(0)?, r.grad()?);
    let kept = keep_axes(r.builder, r.node, x, g);
    let b = r.builder;
    let elements = elements_per(b, x, y);
    let share = b.div(kept, elements);
    Ok(vec![Some(b.expand_as(share, x)), None])
}
