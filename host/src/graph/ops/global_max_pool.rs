//! The largest element over all axes after the second.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Dim, Value};

pub(super) const GLOBAL_MAX_POOL: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let shape = input
        .shape
        .map(|shape| shape.into_iter().enumerate().map(|(i, dim)| if i < 2 { dim } else { Dim::Known(1) }).collect());
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let x = r.input(0)?;
    let axes: Vec<i64> = (2..r.rank(x)? as i64).collect();
    let b = &mut *r.builder;
    Ok(vec![b.reduce_max(x, &axes, true)])
}
