//! Number of elements.

use super::context::{InferContext, Inferred};
use super::{Derivative, Operator};
use crate::graph::DataType;
use crate::graph::shape::{TypeFacts, product};

pub(super) const SIZE: Operator = Operator { infer, derivative: Derivative::Zero };

fn infer(cx: InferContext) -> Inferred {
    let count = cx.input(0).shape.as_deref().and_then(product);
    Ok(vec![TypeFacts { content: count.map(|n| vec![n]), ..TypeFacts::new(DataType::I64, vec![]) }])
}
