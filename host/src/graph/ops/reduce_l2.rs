//! Euclidean norm over axes: `x / y`, 0 where the norm is 0 (the subgradient that PyTorch takes).

use super::reduction::{spread, with_rule};
use super::{GraphError, InputGrads, Operator, Reverse};

pub(super) const REDUCE_L2: Operator = with_rule(reverse);

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    spread(r, |b, _, x, y| {
        let (zero, one) = (b.scalar_like(x, 0.0), b.scalar_like(x, 1.0));
        let vanishes = b.equal(y, zero);
        let divisor = b.where_(vanishes, one, y);
        b.div(x, divisor)
    })
}
