//! Batch normalisation as it is outside training: `scale (x - mean) / sqrt(variance + epsilon) + bias`, per channel (axis 1).

use super::context::{InferContext, Inferred};
use super::normalization::inverse_deviation;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Builder, Value};

pub(super) const BATCH_NORMALIZATION: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let statistics = TypeFacts { content: None, ..cx.input(3) };
    Ok(vec![TypeFacts { content: None, ..cx.input(0) }, statistics.clone(), statistics])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    if r.node.attributes.get_int("training_mode").unwrap_or(0) != 0 {
        return Err(r.no_derivative("in training"));
    }
    let (x, scale, mean, variance, g) = (r.input(0)?, r.input(1)?, r.input(3)?, r.input(4)?, r.grad()?);
    let rank = r.rank(x)?;
    let epsilon = f64::from(r.node.attributes.get_float("epsilon").unwrap_or(1e-5));
    let wants: Vec<bool> = (0..5).map(|i| r.wants(i)).collect();
    let b = r.builder;
    let inverse = inverse_deviation(b, variance, epsilon);
    let slope = b.mul(scale, inverse);
    let total = sum_by_channel(b, g, rank);
    let wide = by_channel(b, slope, rank);
    let by_x = wants[0].then(|| b.mul(g, wide));
    let level = by_channel(b, mean, rank);
    let centred = b.sub(x, level);
    let product = b.mul(g, centred);
    let product = sum_by_channel(b, product, rank);
    let by_scale = b.mul(product, inverse);
    let by_mean = wants[3].then(|| {
        let product = b.mul(total, slope);
        b.neg(product)
    });
    let by_variance = wants[4].then(|| {
        let square = b.mul(inverse, inverse);
        let product = b.mul(by_scale, square);
        let product = b.mul(product, scale);
        b.mul_scalar(product, -0.5)
    });
    Ok(vec![by_x, wants[1].then_some(by_scale), wants[2].then_some(total), by_mean, by_variance])
}

/// A vector over the channels, ready to be broadcast against a tensor whose axis 1 they are.
pub(super) fn by_channel(b: &mut Builder, vector: Value, rank: usize) -> Value {
    let axes: Vec<i64> = (1..rank as i64 - 1).collect();
    if axes.is_empty() { vector } else { b.unsqueeze(vector, &axes) }
}

/// The sum over all axes but axis 1.
pub(super) fn sum_by_channel(b: &mut Builder, x: Value, rank: usize) -> Value {
    let axes: Vec<i64> = (0..rank as i64).filter(|axis| *axis != 1).collect();
    b.reduce_sum(x, &axes, false)
}
