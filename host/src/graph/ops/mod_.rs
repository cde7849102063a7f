//! Remainder `x - q y` with a whole number `q`, which is constant almost everywhere: 1 and `-q`.

use super::context::{InferContext, Inferred, with_content};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const MOD: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    // With fmod the sign follows x, else y; for numbers that are not negative both agree.
    with_content(cx, |a, b| if a >= 0 && b > 0 { a.checked_rem(b) } else { None })
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, z, g) = (r.input(0)?, r.input(1)?, r.output(0)?, r.grad()?);
    let by_x = r.wants(0).then(|| r.builder.sum_to_shape_of(g, x));
    let by_y = r.wants(1).then(|| {
        let b = r.builder;
        let difference = b.sub(x, z);
        let quotient = b.div(difference, y);
        let whole = b.node("Round", &[quotient], Attributes::none());
        let product = b.mul(g, whole);
        let summed = b.sum_to_shape_of(product, y);
        b.neg(summed)
    });
    Ok(vec![by_x, by_y])
}
