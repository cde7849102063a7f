//! Normalisation of every channel of every sample over the axes after the second (Ulyanov, Vedaldi and Lempitsky 2016).

use super::batch_normalization::{by_channel, sum_by_channel};
use super::context::same_as_input;
use super::normalization::{normalize, through};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const INSTANCE_NORMALIZATION: Operator =
    Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, scale, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let rank = r.rank(x)?;
    let axes: Vec<i64> = (2..rank as i64).collect();
    let epsilon = f64::from(r.node.attributes.get_float("epsilon").unwrap_or(1e-5));
    let (want_x, want_scale, want_bias) = (r.wants(0), r.wants(1), r.wants(2));
    let b = r.builder;
    let normalized = normalize(b, x, &axes, epsilon);
    let by_x = want_x.then(|| {
        let scale = by_channel(b, scale, rank);
        let scaled = b.mul(g, scale);
        through(b, &normalized, scaled, &axes)
    });
    let by_scale = want_scale.then(|| {
        let product = b.mul(g, normalized.unit);
        sum_by_channel(b, product, rank)
    });
    let by_bias = want_bias.then(|| sum_by_channel(b, g, rank));
    Ok(vec![by_x, by_scale, by_bias])
}
