//! Division by the root mean square over the trailing axes (Zhang and Sennrich, arXiv:1910.07467).

use super::context::{axis_of, same_as_input};
use super::normalization::{inverse_deviation, mean};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::Value;

pub(super) const RMS_NORMALIZATION: Operator =
    Operator { infer: same_as_input, derivative: Derivative::Through(outputs) };

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (x, scale) = (r.input(0)?, r.input(1)?);
    let rank = r.rank(x)?;
    let axis = axis_of(r.int("axis", -1), rank).map_err(|e| r.fail(e))?;
    let (axes, epsilon): (Vec<i64>, _) = ((axis as i64..rank as i64).collect(), r.float("epsilon", 1e-5));
    let b = &mut *r.builder;
    let square = b.mul(x, x);
    let square = mean(b, square, &axes);
    let inverse = inverse_deviation(b, square, epsilon);
    let unit = b.mul(x, inverse);
    Ok(vec![b.mul(unit, scale)])
}
