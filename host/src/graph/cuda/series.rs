//! Polynomials for the functions that have no kernel.

use super::super::builder::{Builder, Value};

/// (atanh(sqrt u) / sqrt u - 1) / u, and with -u that of the arc tangent, for |u| up to tan(pi/8)^2: interpolated at the
/// zeros of a Chebyshev polynomial. Error of the function: 1.2e-8 of its value.
const ARC: [f64; 6] = [0.333333388381, 0.200000048615, 0.142823526097, 0.111081423672, 0.093931733553, 0.0795919133218];

/// (sinh(sqrt u) / sqrt u - 1) / u for u up to 1: the series. Error of the function: 2.6e-8 of its value.
const SINH: [f64; 4] = [1.0 / 6.0, 1.0 / 120.0, 1.0 / 5040.0, 1.0 / 362_880.0];

/// Tangent of pi/8: up to it the series of the inverse functions hold.
pub(super) const TAN_PI_8: f64 = std::f64::consts::SQRT_2 - 1.0;

/// Arc tangent, for arguments from 0 to tan(pi/8).
pub(super) fn small_atan(b: &mut Builder, x: Value) -> Value {
    let square = b.mul(x, x);
    let square = b.neg(square);
    odd(b, x, square, &ARC)
}

/// Inverse hyperbolic tangent, for arguments from 0 to tan(pi/8).
pub(super) fn small_atanh(b: &mut Builder, x: Value) -> Value {
    let square = b.mul(x, x);
    odd(b, x, square, &ARC)
}

/// Hyperbolic sine, for arguments from -1 to 1.
pub(super) fn small_sinh(b: &mut Builder, x: Value) -> Value {
    let square = b.mul(x, x);
    odd(b, x, square, &SINH)
}

/// `x + x u p(u)`.
fn odd(b: &mut Builder, x: Value, u: Value, coefficients: &[f64]) -> Value {
    let mut rest = coefficients.iter().rev();
    let top = rest.next().copied().unwrap_or(0.0);
    let mut sum = b.scalar_like(x, top);
    for c in rest {
        let product = b.mul(sum, u);
        sum = b.add_scalar(product, *c);
    }
    let share = b.mul(sum, u);
    let share = b.mul(share, x);
    b.add(x, share)
}

/// `magnitude` with the sign of `x`.
pub(super) fn with_sign_of(b: &mut Builder, x: Value, magnitude: Value) -> Value {
    let zero = b.scalar_like(x, 0.0);
    let negative = b.less(x, zero);
    let opposite = b.neg(magnitude);
    b.where_(negative, opposite, magnitude)
}
