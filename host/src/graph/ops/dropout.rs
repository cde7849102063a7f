//! Dropout as it is outside training: the value itself.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{DataType, Tensor};

pub(super) const DROPOUT: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = TypeFacts { content: None, ..cx.input(0) };
    let mask = TypeFacts { data_type: Some(DataType::Bool), ..input.clone() };
    Ok(vec![input, mask])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let training = r.node.inputs.get(2).copied().flatten();
    let off = |v| matches!(r.builder.constant_of(v), Some(Tensor::Bool(flag)) if flag.iter().all(|on| !on));
    if training.is_some_and(|v| !off(v)) {
        return Err(r.no_derivative("in training"));
    }
    Ok(vec![Some(r.grad()?), None, None])
}
