//! New axes of extent 1.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::TypeFacts;

pub(super) const UNSQUEEZE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let (Some(shape), Some(axes)) = (&input.shape, cx.ints("axes", 1)) else {
        return Ok(vec![TypeFacts { shape: None, ..input }]);
    };
    let rank = shape.len() + axes.len();
    let axes = axes.iter().map(|a| axis_of(*a, rank)).collect::<Result<Vec<_>, _>>()?;
    if axes.iter().enumerate().any(|(i, axis)| axes[..i].contains(axis)) {
        return Err(format!("an axis twice in {axes:?}"));
    }
    let mut old = shape.iter().copied();
    let shape = (0..rank).map(|i| if axes.contains(&i) { Dim::Known(1) } else { old.next().unwrap_or(Dim::Known(1)) });
    let shape: Vec<_> = shape.collect();
    let content = if rank <= 1 { input.content } else { None };
    Ok(vec![TypeFacts { data_type: input.data_type, shape: Some(shape), content }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.reshape_as(g, x)), None])
}
