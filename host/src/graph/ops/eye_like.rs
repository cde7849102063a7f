//! A matrix of ones on a diagonal, with the shape of the input.

use super::context::{InferContext, Inferred};
use super::{Derivative, Operator};
use crate::graph::DataType;
use crate::graph::shape::TypeFacts;

pub(super) const EYE_LIKE: Operator = Operator { infer, derivative: Derivative::Zero };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let data_type = match cx.node.attributes.get_int("dtype") {
        Some(number) => i32::try_from(number).ok().and_then(DataType::from_onnx),
        None => input.data_type,
    };
    Ok(vec![TypeFacts { data_type, shape: input.shape, content: None }])
}
