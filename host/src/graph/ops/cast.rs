//! Another element type. Derivatives pass between float types only.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{DataType, Dim};

pub(super) const CAST: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let to = i32::try_from(cx.int("to", 0)).ok().and_then(DataType::from_onnx);
    let input = cx.input(0);
    let content = match to {
        Some(DataType::I64 | DataType::I32) => input.content,
        Some(DataType::Bool) => {
            input.known_content().map(|numbers| numbers.iter().map(|n| Dim::Known(i64::from(*n != 0))).collect())
        }
        _ => None,
    };
    Ok(vec![TypeFacts { data_type: to, shape: input.shape, content }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.cast_like(g, x))])
}
