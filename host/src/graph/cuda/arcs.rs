//! Arc tangent, sine and cosine of float32: no kernel on CUDA. Within 4e-7 of their value.
//!
//! asin x = 2 atan(x / (1 + sqrt(1 - x^2))), acos x = 2 atan(sqrt(1 - x) / sqrt(1 + x)), which is as precise for x near 1 as
//! the difference 1 - x, which is exact. The arc tangent itself is brought below tan(pi/8) by atan x = pi/2 - atan(1/x) and
//! atan x = 2 atan(x / (1 + sqrt(1 + x^2))) (Abramowitz and Stegun, 4.4.34 and following).

use std::f64::consts::FRAC_PI_2;

use super::super::builder::{Builder, Node, Value};
use super::series::{small_atan, with_sign_of};

pub(super) const OPERATORS: &[&str] = &["Acos", "Asin", "Atan"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = super::float32(b, node)?;
    Some(match node.op.as_str() {
        "Acos" => acos(b, x),
        "Asin" => asin(b, x),
        _ => {
            let size = b.abs(x);
            let angle = atan(b, size);
            with_sign_of(b, x, angle)
        }
    })
}

fn acos(b: &mut Builder, x: Value) -> Value {
    let (below, above) = one_less_and_more(b, x);
    let (sine, cosine) = (b.sqrt(below), b.sqrt(above));
    let tangent = b.div(sine, cosine);
    let half = atan(b, tangent);
    b.mul_scalar(half, 2.0)
}

fn asin(b: &mut Builder, x: Value) -> Value {
    let size = b.abs(x);
    let (below, above) = one_less_and_more(b, size);
    let square = b.mul(below, above);
    let cosine = b.sqrt(square);
    let one_more = b.add_scalar(cosine, 1.0);
    let tangent = b.div(size, one_more);
    let half = atan(b, tangent);
    let angle = b.mul_scalar(half, 2.0);
    with_sign_of(b, x, angle)
}

/// `1 - x` and `1 + x`.
fn one_less_and_more(b: &mut Builder, x: Value) -> (Value, Value) {
    let one = b.scalar_like(x, 1.0);
    (b.sub(one, x), b.add(one, x))
}

/// Arc tangent of what is not negative.
fn atan(b: &mut Builder, x: Value) -> Value {
    let one = b.scalar_like(x, 1.0);
    let steep = b.greater(x, one);
    let inverse = b.reciprocal(x);
    let reduced = b.where_(steep, inverse, x);
    let square = b.mul(reduced, reduced);
    let secant = b.add(square, one);
    let secant = b.sqrt(secant);
    let one_more = b.add(secant, one);
    let tangent = b.div(reduced, one_more);
    let half = small_atan(b, tangent);
    let angle = b.add(half, half);
    let right = b.scalar_like(x, FRAC_PI_2);
    let rest = b.sub(right, angle);
    b.where_(steep, rest, angle)
}
