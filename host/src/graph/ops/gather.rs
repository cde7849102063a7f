//! Slices at integer indices. The derivative adds each slice back to where it came from.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, DataType, Dim};

pub(super) const GATHER: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let (data, indices) = (cx.input(0), cx.input(1));
    let (Some(shape), Some(at)) = (&data.shape, &indices.shape) else {
        return Ok(vec![TypeFacts { data_type: data.data_type, ..TypeFacts::default() }]);
    };
    let axis = axis_of(cx.int("axis", 0), shape.len())?;
    let out = [&shape[..axis], at, &shape[axis + 1..]].concat();
    let pick = |i: i64| -> Option<Dim> {
        let content = data.content.as_ref()?;
        let i = if i < 0 { i + content.len() as i64 } else { i };
        content.get(usize::try_from(i).ok()?).copied()
    };
    let content = indices.known_content().and_then(|list| list.into_iter().map(pick).collect());
    Ok(vec![TypeFacts { data_type: data.data_type, shape: Some(out), content }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (data, indices, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let (rank, count) = (r.rank(data)?, r.rank(indices)?);
    let axis = axis_of(r.node.attributes.get_int("axis").unwrap_or(0), rank).map_err(|e| r.fail(e))?;
    let b = r.builder;
    // `ScatterND` takes int64 indices only.
    let at = b.cast(indices, DataType::I64);
    let at = b.unsqueeze(at, &[-1]);
    let add = Attributes::none().string("reduction", "add");
    if axis == 0 {
        let zeros = b.zeros_like(data);
        return Ok(vec![Some(b.node("ScatterND", &[zeros, at, g], add)), None]);
    }
    // ScatterND works on the leading axis: bring the gathered one to the front and back.
    let (axis, rank, count) = (axis as i64, rank as i64, count as i64);
    let front: Vec<i64> = std::iter::once(axis).chain((0..rank).filter(|i| *i != axis)).collect();
    let indices_front: Vec<i64> = (axis..axis + count).chain(0..axis).chain(axis + count..rank + count - 1).collect();
    let turned = b.transpose(data, &front);
    let zeros = b.zeros_like(turned);
    let updates = b.transpose(g, &indices_front);
    let summed = b.node("ScatterND", &[zeros, at, updates], add);
    let back: Vec<i64> = (1..=axis).chain(std::iter::once(0)).chain(axis + 1..rank).collect();
    if let Some(shape) = b.shape(turned) {
        b.assume_shape(summed, &shape);
    }
    Ok(vec![Some(b.transpose(summed, &back)), None])
}
