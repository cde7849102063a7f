//! Gaussian error linear unit, exact or in its tanh form (Hendrycks and Gimpel 2016, section 2).

use super::context::same_as_input;
use super::elementwise::chain;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::{Attributes, Builder, Value};

pub(super) const GELU: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let tanh_form = r.node.attributes.get_string("approximate") == Some("tanh");
    chain(r, |b, x, _| if tanh_form { tanh_slope(b, x) } else { exact_slope(b, x) })
}

/// With `t = tanh(c (x + a x^3))`: `(1 + t)/2 + x (1 - t^2) c (1 + 3 a x^2)/2`.
pub(super) fn tanh_slope(b: &mut Builder, x: Value) -> Value {
    let (a, c) = (0.044715, (2.0 / std::f64::consts::PI).sqrt());
    let square = b.mul(x, x);
    let inner = b.mul_scalar(square, a * c);
    let inner = b.add_scalar(inner, c);
    let argument = b.mul(x, inner);
    let t = b.tanh(argument);
    let steep = b.mul_scalar(square, 3.0 * a * c);
    let steep = b.add_scalar(steep, c);
    let steep = b.mul(x, steep);
    let one_minus = b.mul(t, t);
    let one_minus = b.neg(one_minus);
    let one_minus = b.add_scalar(one_minus, 1.0);
    let second = b.mul(steep, one_minus);
    let first = b.add_scalar(t, 1.0);
    let sum = b.add(first, second);
    b.mul_scalar(sum, 0.5)
}

/// `Phi(x) + x phi(x)` with the normal distribution's function and density.
fn exact_slope(b: &mut Builder, x: Value) -> Value {
    let scaled = b.mul_scalar(x, std::f64::consts::FRAC_1_SQRT_2);
    let erf = b.node("Erf", &[scaled], Attributes::none());
    let distribution = b.add_scalar(erf, 1.0);
    let distribution = b.mul_scalar(distribution, 0.5);
    let square = b.mul(x, x);
    let exponent = b.mul_scalar(square, -0.5);
    let density = b.exp(exponent);
    let density = b.mul_scalar(density, 1.0 / (2.0 * std::f64::consts::PI).sqrt());
    let second = b.mul(x, density);
    b.add(distribution, second)
}
