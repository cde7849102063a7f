//! A tensor repeated along its axes. The derivative sums over the copies.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::{TypeFacts, product};

pub(super) const TILE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let (input, repeats) = (cx.input(0), cx.input(1).content);
    let shape = input.shape.map(|shape| {
        let mut extent = |i: usize, dim: Dim| {
            let times = repeats.as_ref().and_then(|r| r.get(i).copied());
            times.and_then(|times| product(&[dim, times])).unwrap_or_else(|| cx.symbols.fresh())
        };
        shape.iter().enumerate().map(|(i, dim)| extent(i, *dim)).collect()
    });
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}

/// Each axis is split in two, copies by extent; then the copies are summed.
fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, repeats, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let rank = r.rank(x)? as i64;
    if rank == 0 {
        return Ok(vec![Some(g), None]);
    }
    let b = r.builder;
    let extents = b.shape_of(x);
    let columns = [b.unsqueeze(repeats, &[1]), b.unsqueeze(extents, &[1])];
    let pairs = b.concat(&columns, 1);
    let split = b.reshape(pairs, &[2 * rank]);
    let apart = b.reshape_exactly(g, split);
    let copies: Vec<i64> = (0..rank).map(|axis| 2 * axis).collect();
    let summed = b.reduce_sum(apart, &copies, false);
    Ok(vec![Some(b.assume_shape_of(summed, x)), None])
}
