//! Mean 0 and variance 1 over given axes.

use super::context::same_as_input;
use super::normalization::mean;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::Value;

pub(super) const MEAN_VARIANCE_NORMALIZATION: Operator =
    Operator { infer: same_as_input, derivative: Derivative::Through(outputs) };

/// Added to the standard deviation by the operator's definition.
const EPSILON: f64 = 1e-9;

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let x = r.input(0)?;
    let axes = r.node.attributes.get_ints("axes").unwrap_or(&[0, 2, 3]).to_vec();
    let b = &mut *r.builder;
    let level = mean(b, x, &axes);
    let centred = b.sub(x, level);
    let square = b.mul(centred, centred);
    let variance = mean(b, square, &axes);
    let deviation = b.sqrt(variance);
    let deviation = b.add_scalar(deviation, EPSILON);
    Ok(vec![b.div(centred, deviation)])
}
