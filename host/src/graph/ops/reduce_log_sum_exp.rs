//! Logarithm of the sum of exponentials over axes: the softmax, `exp(x - y)`.

use super::reduction::{spread, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_LOG_SUM_EXP: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    spread(r, |b, _, x, y| {
        let difference = b.sub(x, y);
        b.exp(difference)
    })
}
