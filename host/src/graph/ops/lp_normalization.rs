//! Division by the sum of sizes (p = 1) or the Euclidean length (p = 2) along an axis; a vector of zeros stays.

use super::context::same_as_input;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::Value;

pub(super) const LP_NORMALIZATION: Operator =
    Operator { infer: same_as_input, derivative: Derivative::Through(outputs) };

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let x = r.input(0)?;
    let (axis, p) = (r.int("axis", -1), r.int("p", 2));
    let b = &mut *r.builder;
    let sizes = if p == 1 { b.abs(x) } else { b.mul(x, x) };
    let total = b.reduce_sum(sizes, &[axis], true);
    let (zero, one) = (b.scalar_like(total, 0.0), b.scalar_like(total, 1.0));
    let none = b.equal(total, zero);
    let total = b.where_(none, one, total);
    let norm = if p == 1 { total } else { b.sqrt(total) };
    Ok(vec![b.div(x, norm)])
}
