//! A tensor of one number.

use super::context::{InferContext, Inferred, length};
use super::{Derivative, Operator};
use crate::graph::shape::TypeFacts;
use crate::graph::{DataType, Dim, Tensor};

pub(super) const CONSTANT_OF_SHAPE: Operator = Operator { infer, derivative: Derivative::Zero };

fn infer(cx: InferContext) -> Inferred {
    let fill = cx.node.attributes.get_tensor("value");
    let data_type = fill.as_ref().map_or(DataType::F32, Tensor::data_type);
    let input = cx.input(0);
    let rank = length(&input)?;
    let number = fill.as_ref().and_then(Tensor::as_i64).and_then(|a| a.first().copied());
    let shape = match (input.content, rank) {
        (Some(content), _) => Some(content),
        (None, Some(rank)) => Some((0..rank).map(|_| cx.symbols.fresh()).collect()),
        _ => None,
    };
    let content = number.zip(shape.as_deref()).and_then(|(number, shape)| repeated(number, shape));
    Ok(vec![TypeFacts { data_type: Some(data_type), shape, content }])
}

fn repeated(number: i64, shape: &[Dim]) -> Option<Vec<Dim>> {
    let count = match shape {
        [] => 1,
        [Dim::Known(n @ 0..=64)] => *n as usize,
        _ => return None,
    };
    Some(vec![Dim::Known(number); count])
}
