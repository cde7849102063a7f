//! ONNX Runtime's FastGelu: the tanh form of Gelu of `x + bias`, the bias optional.

use super::context::same_as_input;
use super::gelu::tanh_slope;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const FAST_GELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let bias = r.node.inputs.get(1).copied().flatten();
    let want_bias = r.wants(1);
    let b = r.builder;
    let argument = bias.map_or(x, |bias| b.add(x, bias));
    let slope = tanh_slope(b, argument);
    let by_x = b.mul(g, slope);
    let by_bias = bias.filter(|_| want_bias).map(|bias| b.sum_to_shape_of(by_x, bias));
    Ok(vec![Some(by_x), by_bias])
}
