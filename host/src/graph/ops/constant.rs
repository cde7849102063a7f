//! A constant in the graph.

use super::context::{InferContext, Inferred};
use super::{Derivative, Operator};
use crate::graph::shape::TypeFacts;
use crate::graph::{DataType, Dim};

pub(super) const CONSTANT: Operator = Operator { infer, derivative: Derivative::Zero };

fn infer(cx: InferContext) -> Inferred {
    let attributes = &cx.node.attributes;
    let known = if let Some(tensor) = attributes.get_tensor("value") {
        TypeFacts::of(&tensor)
    } else if let Some(n) = attributes.get_int("value_int") {
        TypeFacts { content: Some(vec![Dim::Known(n)]), ..TypeFacts::new(DataType::I64, vec![]) }
    } else if attributes.get("value_ints").is_some() {
        let content: Vec<_> =
            attributes.get_ints("value_ints").unwrap_or_default().iter().map(|n| Dim::Known(*n)).collect();
        let shape = vec![Dim::Known(content.len() as i64)];
        TypeFacts { content: Some(content), ..TypeFacts::new(DataType::I64, shape) }
    } else if attributes.get("value_float").is_some() {
        TypeFacts::new(DataType::F32, vec![])
    } else {
        TypeFacts::default()
    };
    Ok(vec![known])
}
