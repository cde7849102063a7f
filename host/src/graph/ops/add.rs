//! `x + y`.

use super::context::{InferContext, Inferred, with_content};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const ADD: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    with_content(cx, i64::checked_add)
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let by_x = r.wants(0).then(|| r.builder.sum_to_shape_of(g, x));
    let by_y = r.wants(1).then(|| r.builder.sum_to_shape_of(g, y));
    Ok(vec![by_x, by_y])
}
