//! Numbers from start to limit: `start + i delta`.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;
use crate::graph::shape::TypeFacts;

pub(super) const RANGE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let number = |i: usize| cx.input(i).content.and_then(|c| c.first().copied());
    let count = match (number(0), number(1), number(2)) {
        (Some(Dim::Known(0)), Some(limit @ Dim::Symbol(_)), Some(Dim::Known(1))) => Some(limit),
        (Some(Dim::Known(start)), Some(Dim::Known(limit)), Some(Dim::Known(delta))) if delta != 0 => {
            length(start, limit, delta).map(Dim::Known)
        }
        _ => None,
    };
    let count = count.unwrap_or_else(|| cx.symbols.fresh());
    Ok(vec![TypeFacts { data_type: cx.data_type(0), shape: Some(vec![count]), content: None }])
}

fn length(start: i64, limit: i64, delta: i64) -> Option<i64> {
    let (span, step) = (i128::from(limit) - i128::from(start), i128::from(delta));
    let (span, step) = if step < 0 { (-span, -step) } else { (span, step) };
    i64::try_from((span + step - 1).div_euclid(step).max(0)).ok()
}

/// By the start every number changes alike, by the step as many times as it was taken. The limit only ends the row.
fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (start, delta, y, g) = (r.input(0)?, r.input(2)?, r.output(0)?, r.grad()?);
    let by_start = r.wants(0).then(|| r.builder.sum_all(g));
    let by_delta = r.wants(2).then(|| {
        let distance = r.builder.sub(y, start);
        let taken = r.builder.div(distance, delta);
        let product = r.builder.mul(g, taken);
        r.builder.sum_all(product)
    });
    Ok(vec![by_start, None, by_delta])
}
