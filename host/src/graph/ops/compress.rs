//! Slices chosen by a mask.

use super::context::{InferContext, Inferred, axis_of};
use super::selection::add_back;
use super::{Derivative, Operator};
use crate::graph::shape::TypeFacts;

pub(super) const COMPRESS: Operator = Operator { infer, derivative: Derivative::Rule(add_back) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let count = cx.symbols.fresh();
    let shape = match (cx.node.attributes.get_int("axis"), input.shape) {
        (None, _) => Some(vec![count]),
        (Some(axis), Some(mut shape)) => {
            let axis = axis_of(axis, shape.len())?;
            shape[axis] = count;
            Some(shape)
        }
        (Some(_), None) => None,
    };
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}
