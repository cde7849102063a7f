//! Softmax over an axis: `y (g - sum(g y))`.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const SOFTMAX: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (y, g) = (r.output(0)?, r.grad()?);
    let axis = r.node.attributes.get_int("axis").unwrap_or(-1);
    let b = r.builder;
    let product = b.mul(g, y);
    let total = b.reduce_sum(product, &[axis], true);
    let centred = b.mul(y, total);
    Ok(vec![Some(b.sub(product, centred))])
}
