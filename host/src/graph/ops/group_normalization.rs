//! Normalisation over groups of channels (Wu and He, arXiv:1803.08494).

use super::batch_normalization::by_channel;
use super::context::same_as_input;
use super::normalization::normalize;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::{Attributes, Value};

pub(super) const GROUP_NORMALIZATION: Operator =
    Operator { infer: same_as_input, derivative: Derivative::Through(outputs) };

/// Scale and bias are one number for each channel from opset 21 on; before it, one for each group.
fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (x, scale, bias) = (r.input(0)?, r.input(1)?, r.input(2)?);
    let rank = r.rank(x)?;
    let (groups, epsilon) = (r.int("num_groups", 1), r.float("epsilon", 1e-5));
    let b = &mut *r.builder;
    let per_group = b.opset < 21;
    let shape = b.shape_of(x);
    let (rows, rest) = (b.slice(shape, 0, 0, 1), b.slice(shape, 0, 1, i64::MAX));
    let count = b.ints(&[groups]);
    let elements = b.node("ReduceProd", &[rest], Attributes::none().int("keepdims", 1));
    let each = b.div(elements, count);
    let grouped = b.concat(&[rows, count, each], 0);
    let grouped = b.reshape_exactly(x, grouped);
    let unit = normalize(b, grouped, &[2], epsilon).unit;
    let affine = |b: &mut crate::graph::Builder, unit: Value, scale: Value, bias: Value| {
        let scaled = b.mul(unit, scale);
        b.add(scaled, bias)
    };
    if per_group {
        let (scale, bias) = (b.unsqueeze(scale, &[1]), b.unsqueeze(bias, &[1]));
        let result = affine(b, unit, scale, bias);
        return Ok(vec![b.reshape_as(result, x)]);
    }
    let unit = b.reshape_as(unit, x);
    let (scale, bias) = (by_channel(b, scale, rank), by_channel(b, bias, rank));
    Ok(vec![affine(b, unit, scale, bias)])
}
