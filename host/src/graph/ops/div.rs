//! `x / y`: `g / y` and `-g z / y` with `z = x / y`.

use super::context::{InferContext, Inferred, with_content};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};

pub(super) const DIV: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    with_content(cx, |a, b| a.checked_div(b))
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, z, g) = (r.input(0)?, r.input(1)?, r.output(0)?, r.grad()?);
    let quotient = r.builder.div(g, y);
    let by_x = r.wants(0).then(|| r.builder.sum_to_shape_of(quotient, x));
    let by_y = r.wants(1).then(|| {
        let product = r.builder.mul(quotient, z);
        let summed = r.builder.sum_to_shape_of(product, y);
        r.builder.neg(summed)
    });
    Ok(vec![by_x, by_y])
}
