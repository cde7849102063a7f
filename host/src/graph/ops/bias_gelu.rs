//! ONNX Runtime's BiasGelu: `Gelu(x + bias)`.

use super::context::same_as_input;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::{Attributes, Value};

pub(super) const BIAS_GELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Through(outputs) };

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (x, bias) = (r.input(0)?, r.input(1)?);
    let sum = r.builder.add(x, bias);
    Ok(vec![r.builder.node("com.microsoft.Gelu", &[sum], Attributes::none())])
}
