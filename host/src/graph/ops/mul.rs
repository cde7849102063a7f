//! `x * y`.

use super::context::{InferContext, Inferred, with_content};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const MUL: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    with_content(cx, i64::checked_mul)
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let mut side = |wanted: bool, own, other| {
        wanted.then(|| {
            let product = r.builder.mul(g, other);
            r.builder.sum_to_shape_of(product, own)
        })
    };
    Ok(vec![side(r.wants.first() == Some(&true), x, y), side(r.wants.get(1) == Some(&true), y, x)])
}
