//! Slices at index tuples. The derivative adds each slice back to where it came from.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Builder, Dim, Value};

pub(super) const GATHER_ND: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let (data, indices) = (cx.input(0), cx.input(1));
    let unknown = TypeFacts { data_type: data.data_type, ..TypeFacts::default() };
    let (Some(shape), Some(at)) = (&data.shape, &indices.shape) else { return Ok(vec![unknown]) };
    let Some((Dim::Known(length), lead)) = at.split_last() else { return Ok(vec![unknown]) };
    let first = usize::try_from(*length).ok().zip(usize::try_from(cx.int("batch_dims", 0)).ok());
    let rest = first.and_then(|(length, batch)| shape.get(length.checked_add(batch)?..));
    let rest = rest.ok_or_else(|| format!("index tuples of {length} do not fit rank {}", shape.len()))?;
    Ok(vec![TypeFacts { shape: Some([lead, rest].concat()), ..unknown }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (data, indices, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let batch = r.node.attributes.get_int("batch_dims").unwrap_or(0);
    let rank = if batch > 0 { r.rank(indices)? } else { 0 };
    let b = r.builder;
    let indices = if batch > 0 { with_batch(b, indices, batch, rank) } else { indices };
    let zeros = b.zeros_like(data);
    let add = Attributes::none().string("reduction", "add");
    Ok(vec![Some(b.node("ScatterND", &[zeros, indices, g], add)), None])
}

/// The index tuples, each preceded by its own position along the leading `batch` axes.
fn with_batch(b: &mut Builder, indices: Value, batch: i64, rank: usize) -> Value {
    let shape = b.shape_of(indices);
    let (lead, one) = (b.slice(shape, 0, 0, -1), b.ints(&[1]));
    let column = b.concat(&[lead, one], 0);
    let mut parts: Vec<Value> = (0..batch.min(rank as i64))
        .map(|axis| {
            let extent = b.slice(shape, 0, axis, axis + 1);
            let extent = b.squeeze(extent, &[0]);
            let positions = b.positions(extent);
            let mut along = vec![1; rank];
            along[axis as usize] = -1;
            let positions = b.reshape(positions, &along);
            b.expand_to(positions, column)
        })
        .collect();
    parts.push(indices);
    b.concat(&parts, -1)
}
