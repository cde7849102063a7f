//! The same numbers under another shape.

use super::context::{InferContext, Inferred, length};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::TypeFacts;

pub(super) const RESHAPE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let (input, target) = (cx.input(0), cx.input(1));
    let rank = length(&target)?;
    let keep_zeros = cx.int("allowzero", 0) != 0;
    let shape = match (&target.content, rank) {
        (Some(content), _) if keep_zeros => {
            Some(content.iter().map(|dim| Some(*dim).filter(|d| *d != Dim::Known(-1))).collect())
        }
        (Some(content), _) => {
            Some(content.iter().enumerate().map(|(i, dim)| extent(&input, content, i, *dim)).collect())
        }
        (None, Some(rank)) => Some(vec![None; rank]),
        _ => None,
    };
    let shape: Option<Vec<Option<Dim>>> = shape;
    let shape = shape.map(|s| s.into_iter().map(|d| d.unwrap_or_else(|| cx.symbols.fresh())).collect::<Vec<_>>());
    let content = if shape.as_ref().is_some_and(|s| s.len() <= 1) { input.content } else { None };
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content }])
}

/// Extent `i` of the new shape, if it can be told: 0 keeps, -1 takes what is left.
fn extent(input: &TypeFacts, target: &[Dim], i: usize, dim: Dim) -> Option<Dim> {
    match dim {
        Dim::Known(0) => input.shape.as_ref()?.get(i).copied(),
        Dim::Known(-1) => left_over(input.shape.as_ref()?, target),
        other => Some(other),
    }
}

/// What `-1` stands for: the old extents divided by the other new ones, symbols cancelling.
fn left_over(old: &[Dim], target: &[Dim]) -> Option<Dim> {
    let mut symbols: Vec<Dim> = old.iter().copied().filter(|d| d.known().is_none()).collect();
    let mut number = old.iter().filter_map(|d| d.known()).try_fold(1i64, i64::checked_mul)?;
    for (i, dim) in target.iter().enumerate() {
        let dim = if *dim == Dim::Known(0) { *old.get(i)? } else { *dim };
        match dim {
            Dim::Known(-1) => {}
            Dim::Known(n) if n > 0 && number % n == 0 => number /= n,
            Dim::Known(_) => return None,
            symbol => {
                let at = symbols.iter().position(|s| *s == symbol)?;
                symbols.remove(at);
            }
        }
    }
    match (symbols.as_slice(), number) {
        ([], n) => Some(Dim::Known(n)),
        ([symbol], 1) => Some(*symbol),
        _ => None,
    }
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    Ok(vec![Some(r.builder.reshape_as(g, x)), None])
}
