//! Axes of extent 1 removed.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::TypeFacts;

pub(super) const SQUEEZE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let shape = match (&input.shape, cx.has("axes", 1)) {
        (Some(shape), true) => match cx.ints("axes", 1) {
            Some(axes) => Some(without(shape, &axes)?),
            None => None,
        },
        (Some(shape), false) if shape.iter().all(|d| d.known().is_some()) => {
            Some(shape.iter().copied().filter(|d| *d != Dim::Known(1)).collect())
        }
        _ => None,
    };
    Ok(vec![TypeFacts { shape, ..input }])
}

fn without(shape: &[Dim], axes: &[i64]) -> Result<Vec<Dim>, String> {
    let axes = axes.iter().map(|a| axis_of(*a, shape.len())).collect::<Result<Vec<_>, _>>()?;
    Ok(shape.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, d)| *d).collect())
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.reshape_as(g, x)), None])
}
