//! ONNX Runtime's SkipLayerNormalization: the sum of two tensors and a bias, normalised over the last axis.

use super::context::{InferContext, Inferred};
use super::normalization::normalize;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::Value;
use crate::graph::shape::TypeFacts;

pub(super) const SKIP_LAYER_NORMALIZATION: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let input = TypeFacts { content: None, ..cx.input(0) };
    let statistics = TypeFacts { data_type: input.data_type, ..TypeFacts::default() };
    Ok(vec![input.clone(), statistics.clone(), statistics, input])
}

/// The normalised tensor and, as output 3, the sum; mean and deviation are only kept for training.
fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (x, skip, scale) = (r.input(0)?, r.input(1)?, r.input(2)?);
    let (shift, bias) = (r.optional(3), r.optional(4));
    let epsilon = r.float("epsilon", 1e-12);
    if r.grads.iter().skip(1).take(2).any(Option::is_some) {
        return Err(r.no_derivative("by its mean or deviation"));
    }
    let b = &mut *r.builder;
    let sum = b.add(x, skip);
    let sum = bias.map_or(sum, |bias| b.add(sum, bias));
    let unit = normalize(b, sum, &[-1], epsilon).unit;
    let scaled = b.mul(unit, scale);
    let y = shift.map_or(scaled, |shift| b.add(scaled, shift));
    Ok(vec![y, sum, sum, sum])
}
