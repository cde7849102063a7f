//! The distinct elements or slices, and their positions. No derivative is written for the former.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, Operator};
use crate::graph::DataType;
use crate::graph::shape::TypeFacts;

pub(super) const UNIQUE: Operator = Operator { infer, derivative: Derivative::Missing };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let count = cx.symbols.fresh();
    let (shape, whole) = match (cx.node.attributes.get_int("axis"), input.shape) {
        (None, shape) => (Some(vec![count]), shape.as_deref().and_then(crate::graph::shape::product)),
        (Some(axis), Some(mut shape)) => {
            let axis = axis_of(axis, shape.len())?;
            let whole = std::mem::replace(&mut shape[axis], count);
            (Some(shape), Some(whole))
        }
        (Some(_), None) => (None, None),
    };
    let whole = whole.unwrap_or_else(|| cx.symbols.fresh());
    let positions = |extent| TypeFacts::new(DataType::I64, vec![extent]);
    let distinct = TypeFacts { data_type: input.data_type, shape, content: None };
    Ok(vec![distinct, positions(count), positions(whole), positions(count)])
}
