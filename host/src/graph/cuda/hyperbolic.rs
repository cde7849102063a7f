//! Hyperbolic sine and cosine of float32 and the inverse functions: no kernel on CUDA. Within 4e-7 of their value.
//!
//! The exponential is taken of half the argument, so that it overflows no sooner than the result. The inverses are logarithms
//! of sums without cancellation, and series where the logarithm would be of nearly 1: asinh x = 2 atanh(x / (1 + sqrt(1 + x^2))),
//! acosh x = asinh sqrt(x^2 - 1) (Abramowitz and Stegun, 4.6).

use super::super::builder::{Builder, Node, Value};
use super::series::{TAN_PI_8, small_atanh, small_sinh, with_sign_of};

pub(super) const OPERATORS: &[&str] = &["Sinh", "Cosh", "Asinh", "Acosh", "Atanh"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = super::float32(b, node)?;
    let size = b.abs(x);
    Some(match node.op.as_str() {
        "Cosh" => {
            let (growing, falling) = halves_of_exponentials(b, size);
            b.add(growing, falling)
        }
        "Sinh" => sinh(b, x, size),
        "Acosh" => acosh(b, x),
        "Atanh" => {
            let result = atanh(b, size);
            with_sign_of(b, x, result)
        }
        _ => {
            let result = asinh(b, size);
            with_sign_of(b, x, result)
        }
    })
}

/// e^x / 2 and e^-x / 2.
fn halves_of_exponentials(b: &mut Builder, x: Value) -> (Value, Value) {
    let half = b.mul_scalar(x, 0.5);
    let root = b.exp(half);
    let halved = b.mul_scalar(root, 0.5);
    let growing = b.mul(halved, root);
    let minus = b.neg(half);
    let root = b.exp(minus);
    let halved = b.mul_scalar(root, 0.5);
    (growing, b.mul(halved, root))
}

fn sinh(b: &mut Builder, x: Value, size: Value) -> Value {
    let (growing, falling) = halves_of_exponentials(b, size);
    let large = b.sub(growing, falling);
    let large = with_sign_of(b, x, large);
    let small = small_sinh(b, x);
    let one = b.scalar_like(x, 1.0);
    let is_small = b.less(size, one);
    b.where_(is_small, small, large)
}

/// Of what is not negative: log x + log(1 + sqrt(1 + 1/x^2)) above 1.
fn asinh(b: &mut Builder, x: Value) -> Value {
    let one = b.scalar_like(x, 1.0);
    let square = b.mul(x, x);
    let root = b.add(square, one);
    let root = b.sqrt(root);
    let root = b.add(root, one);
    let tangent = b.div(x, root);
    let small = small_atanh(b, tangent);
    let small = b.add(small, small);
    let inverse = b.reciprocal(x);
    let square = b.mul(inverse, inverse);
    let root = b.add(square, one);
    let root = b.sqrt(root);
    let root = b.add(root, one);
    let (first, second) = (b.log(x), b.log(root));
    let large = b.add(first, second);
    let is_small = b.less(x, one);
    b.where_(is_small, small, large)
}

fn acosh(b: &mut Builder, x: Value) -> Value {
    let (less, more) = (b.add_scalar(x, -1.0), b.add_scalar(x, 1.0));
    let (less, more) = (b.sqrt(less), b.sqrt(more));
    let sine = b.mul(less, more);
    asinh(b, sine)
}

/// Of what is not negative: log((1 + x) / (1 - x)) / 2 above tan(pi/8).
fn atanh(b: &mut Builder, x: Value) -> Value {
    let one = b.scalar_like(x, 1.0);
    let (more, less) = (b.add(one, x), b.sub(one, x));
    let ratio = b.div(more, less);
    let large = b.log(ratio);
    let large = b.mul_scalar(large, 0.5);
    let small = small_atanh(b, x);
    let limit = b.scalar_like(x, TAN_PI_8);
    let is_small = b.less(x, limit);
    b.where_(is_small, small, large)
}
