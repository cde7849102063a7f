//! Extents of a tensor.

use super::context::{InferContext, Inferred};
use super::{Derivative, Operator};
use crate::graph::shape::TypeFacts;
use crate::graph::{DataType, Dim};

pub(super) const SHAPE: Operator = Operator { infer, derivative: Derivative::Zero };

fn infer(cx: InferContext) -> Inferred {
    let Some(shape) = cx.input(0).shape else {
        return Ok(vec![TypeFacts { data_type: Some(DataType::I64), ..TypeFacts::default() }]);
    };
    let rank = shape.len() as i64;
    let clamp = |n: i64| (if n < 0 { n + rank } else { n }).clamp(0, rank) as usize;
    let (start, end) = (clamp(cx.int("start", 0)), clamp(cx.int("end", rank)));
    let content = shape.get(start..end.max(start)).unwrap_or_default().to_vec();
    let extent = vec![Dim::Known(content.len() as i64)];
    Ok(vec![TypeFacts { content: Some(content), ..TypeFacts::new(DataType::I64, extent) }])
}
