//! Sum of squares over axes: `2 x`.

use super::reduction::{spread, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_SUM_SQUARE: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    spread(r, |b, _, x, _| b.mul_scalar(x, 2.0))
}
