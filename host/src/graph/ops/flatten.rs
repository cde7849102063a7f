//! A matrix: the axes before `axis` by the others.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::{TypeFacts, product};

pub(super) const FLATTEN: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let axis = cx.int("axis", 1);
    let shape = match input.shape {
        Some(shape) => {
            let from_end = if axis < 0 { axis + shape.len() as i64 } else { axis };
            let at = usize::try_from(from_end).ok().filter(|at| *at <= shape.len());
            let at = at.ok_or_else(|| format!("axis {axis} does not exist in rank {}", shape.len()))?;
            let (rows, columns) = shape.split_at(at);
            [rows, columns].map(|part| product(part).unwrap_or_else(|| cx.symbols.fresh()))
        }
        None => [cx.symbols.fresh(), cx.symbols.fresh()],
    };
    Ok(vec![TypeFacts { data_type: input.data_type, shape: Some(shape.to_vec()), content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.reshape_as(g, x))])
}
