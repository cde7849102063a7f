//! Sum of absolute values over axes: the sign, 0 at 0.

use super::reduction::{spread, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_L1: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    spread(r, |b, _, x, _| b.sign(x))
}
