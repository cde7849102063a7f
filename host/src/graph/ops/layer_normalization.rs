//! Normalisation over the trailing axes (Ba, Kiros and Hinton 2016).

use super::context::{InferContext, Inferred, axis_of};
use super::normalization::{normalize, through};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{DataType, Dim};

pub(super) const LAYER_NORMALIZATION: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = TypeFacts { content: None, ..cx.input(0) };
    let shape = match &input.shape {
        Some(shape) => {
            let axis = axis_of(cx.int("axis", -1), shape.len())?;
            Some(shape.iter().enumerate().map(|(i, d)| if i < axis { *d } else { Dim::Known(1) }).collect())
        }
        None => None,
    };
    let data_type = if cx.int("stash_type", 1) == 1 { Some(DataType::F32) } else { input.data_type };
    let statistics = TypeFacts { data_type, shape, content: None };
    Ok(vec![input, statistics.clone(), statistics])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, scale, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    if r.grads.iter().skip(1).any(Option::is_some) {
        return Err(r.no_derivative("by its mean or deviation"));
    }
    let axis = r.node.attributes.get_int("axis").unwrap_or(-1);
    let rank = if axis < 0 { 0 } else { r.rank(x)? as i64 };
    let axes: Vec<i64> = (axis - rank..0).collect();
    let epsilon = f64::from(r.node.attributes.get_float("epsilon").unwrap_or(1e-5));
    let (want_x, want_scale) = (r.wants(0), r.wants(1));
    let bias = r.node.inputs.get(2).copied().flatten().filter(|_| r.wants(2));
    let b = r.builder;
    let normalized = normalize(b, x, &axes, epsilon);
    let by_x = want_x.then(|| {
        let scaled = b.mul(g, scale);
        through(b, &normalized, scaled, &axes)
    });
    let by_scale = want_scale.then(|| {
        let product = b.mul(g, normalized.unit);
        b.sum_to_shape_of(product, scale)
    });
    let by_bias = bias.map(|bias| b.sum_to_shape_of(g, bias));
    Ok(vec![by_x, by_scale, by_bias])
}
