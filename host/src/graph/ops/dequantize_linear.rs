//! Integers as floats: `(x - zero point) scale`. Weights that are stored as integers are off the path of a derivative.

use super::context::{InferContext, Inferred};
use super::{Derivative, Operator};
use crate::graph::shape::TypeFacts;

pub(super) const DEQUANTIZE_LINEAR: Operator = Operator { infer, derivative: Derivative::Missing };

fn infer(cx: InferContext) -> Inferred {
    Ok(vec![TypeFacts { data_type: cx.data_type(1), shape: cx.input(0).shape, content: None }])
}
