//! Concatenation along an axis.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::TypeFacts;

pub(super) const CONCAT: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let parts: Vec<TypeFacts> = (0..cx.inputs()).map(|i| cx.input(i)).collect();
    let first = cx.input(0);
    let Some(mut shape) = first.shape.clone() else {
        return Ok(vec![TypeFacts { content: None, ..first }]);
    };
    let axis = axis_of(cx.int("axis", 0), shape.len())?;
    let extents: Option<Vec<i64>> = parts.iter().map(|p| p.shape.as_ref()?.get(axis)?.known()).collect();
    let total = extents.and_then(|e| e.into_iter().try_fold(0i64, i64::checked_add));
    shape[axis] = total.map_or_else(|| cx.symbols.fresh(), Dim::Known);
    let content: Option<Vec<Vec<Dim>>> = parts.iter().map(|p| p.content.clone()).collect();
    let content = content.filter(|_| shape.len() == 1).map(|c| c.concat());
    Ok(vec![TypeFacts { data_type: first.data_type, shape: Some(shape), content }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let g = r.grad()?;
    let rank = r.rank(r.input(0)?)?;
    let axis = axis_of(r.node.attributes.get_int("axis").unwrap_or(0), rank).map_err(|e| r.fail(e))?;
    let parts = (0..r.node.inputs.len()).map(|i| r.input(i)).collect::<Result<Vec<_>, _>>()?;
    let b = r.builder;
    let extents: Vec<_> = parts
        .iter()
        .map(|p| match b.shape(*p).and_then(|s| s.get(axis)?.known()) {
            Some(n) => b.ints(&[n]),
            None => {
                let shape = b.shape_of(*p);
                b.slice(shape, 0, axis as i64, axis as i64 + 1)
            }
        })
        .collect();
    let sizes = b.concat(&extents, 0);
    let attributes = crate::graph::Attributes::none().int("axis", axis as i64);
    let pieces = b.node_with("Split", &[Some(g), Some(sizes)], parts.len(), attributes);
    for (piece, part) in pieces.iter().zip(&parts) {
        if let Some(shape) = b.shape(*part) {
            b.assume_shape(*piece, &shape);
        }
    }
    Ok(pieces.into_iter().map(Some).collect())
}
