//! What normalisations share: `y = scale (x - mean) / deviation + bias`, mean and deviation taken over some axes of `x`.

use super::reduction::elements_per;
use crate::graph::{Builder, Value};

/// A tensor, normalised.
pub(super) struct Normalized {
    /// Mean 0, variance 1 over the axes.
    pub unit: Value,
    /// One over the standard deviation.
    pub inverse: Value,
}

/// Mean 0 and variance 1 over `axes`, `epsilon` added to the variance.
pub(super) fn normalize(b: &mut Builder, x: Value, axes: &[i64], epsilon: f64) -> Normalized {
    let mean = mean(b, x, axes);
    let centred = b.sub(x, mean);
    let square = b.mul(centred, centred);
    let variance = self::mean(b, square, axes);
    let inverse = inverse_deviation(b, variance, epsilon);
    Normalized { unit: b.mul(centred, inverse), inverse }
}

/// `1 / sqrt(variance + epsilon)`.
pub(super) fn inverse_deviation(b: &mut Builder, variance: Value, epsilon: f64) -> Value {
    let sum = b.add_scalar(variance, epsilon);
    let deviation = b.sqrt(sum);
    b.reciprocal(deviation)
}

/// Derivative by `x`, from the derivative `g` by the normalised tensor: `(g - mean(g) - unit mean(g unit)) / deviation`.
pub(super) fn through(b: &mut Builder, normalized: &Normalized, g: Value, axes: &[i64]) -> Value {
    let level = mean(b, g, axes);
    let product = b.mul(g, normalized.unit);
    let tilt = mean(b, product, axes);
    let tilted = b.mul(normalized.unit, tilt);
    let rest = b.sub(g, level);
    let rest = b.sub(rest, tilted);
    b.mul(rest, normalized.inverse)
}

/// The mean as a sum and a product: `ReduceMean` changed its form in opset 18.
pub(super) fn mean(b: &mut Builder, x: Value, axes: &[i64]) -> Value {
    let total = b.reduce_sum(x, axes, true);
    let share = elements_per(b, x, total);
    b.div(total, share)
}
