//! Determinant of the last two axes. The derivative, written for 3 x 3, is the matrix of cofactors: right for singular ones.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Builder, Dim, Value};

pub(super) const DET: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let shape = match input.shape {
        Some(shape) if shape.len() < 2 => return Err(format!("rank {} is not a matrix", shape.len())),
        Some(shape) => Some(shape[..shape.len() - 2].to_vec()),
        None => None,
    };
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let three = [Dim::Known(3), Dim::Known(3)];
    if !r.builder.shape(x).is_some_and(|shape| shape.ends_with(&three)) {
        return Err(r.no_derivative("of other matrices than 3 x 3"));
    }
    let b = r.builder;
    let rows = [0, 1, 2].map(|i| b.slice(x, -2, i, i + 1));
    let cofactors = [(1, 2), (2, 0), (0, 1)].map(|(i, j)| cross(b, rows[i], rows[j]));
    let cofactors = b.concat(&cofactors, -2);
    let g = b.unsqueeze(g, &[-1, -2]);
    Ok(vec![Some(b.mul(g, cofactors))])
}

/// Cross product along the last axis.
fn cross(b: &mut Builder, x: Value, y: Value) -> Value {
    let (forth, back) = (b.ints(&[1, 2, 0]), b.ints(&[2, 0, 1]));
    let first = [b.gather(x, forth, -1), b.gather(y, back, -1)];
    let second = [b.gather(x, back, -1), b.gather(y, forth, -1)];
    let (first, second) = (b.mul(first[0], first[1]), b.mul(second[0], second[1]));
    b.sub(first, second)
}
