//! `condition ? x : y`.

use super::context::{InferContext, Inferred, broadcast_from, spread};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Dim;

pub(super) const WHERE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let data_type = cx.data_type(1);
    let content = chosen(&cx);
    let mut out = broadcast_from(cx, 0, data_type)?;
    if let Some(first) = out.first_mut() {
        first.content = content;
    }
    Ok(out)
}

/// Exported shapes are often mended by a `Where`.
fn chosen(cx: &InferContext) -> Option<Vec<Dim>> {
    let (condition, x, y) = (cx.input(0).known_content()?, cx.input(1).content?, cx.input(2).content?);
    let n = condition.len().max(x.len()).max(y.len());
    (0..n).map(|i| if *spread(&condition, i)? != 0 { spread(&x, i).copied() } else { spread(&y, i).copied() }).collect()
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (condition, x, y, g) = (r.input(0)?, r.input(1)?, r.input(2)?, r.grad()?);
    let (want_x, want_y) = (r.wants(1), r.wants(2));
    let b = r.builder;
    let zero = b.scalar_like(g, 0.0);
    let by_x = want_x.then(|| {
        let part = b.where_(condition, g, zero);
        b.sum_to_shape_of(part, x)
    });
    let by_y = want_y.then(|| {
        let part = b.where_(condition, zero, g);
        b.sum_to_shape_of(part, y)
    });
    Ok(vec![None, by_x, by_y])
}
