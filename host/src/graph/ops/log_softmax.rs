//! Log of the softmax over an axis: `g - exp(y) sum(g)`.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const LOG_SOFTMAX: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (y, g) = (r.output(0)?, r.grad()?);
    let axis = r.node.attributes.get_int("axis").unwrap_or(-1);
    let b = r.builder;
    let probability = b.exp(y);
    let total = b.reduce_sum(g, &[axis], true);
    let share = b.mul(probability, total);
    Ok(vec![Some(b.sub(g, share))])
}
