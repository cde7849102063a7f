//! `x ^ p`: `p x^(p-1)`, and `y ln x` by the exponent.
//!
//! As in PyTorch, both are 0 where the limit is: by `x` for `p = 0`, by `p` for `x = 0` and `p >= 0`.

use super::context::broadcast;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::{Builder, Tensor, Value};

pub(super) const POW: Operator = Operator { infer: broadcast, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, p, y, g) = (r.input(0)?, r.input(1)?, r.output(0)?, r.grad()?);
    let (want_x, want_p) = (r.wants(0), r.wants(1));
    let b = r.builder;
    let by_x = want_x.then(|| {
        let slope = match single(b, p) {
            Some(power) => constant_power(b, x, power),
            None => any_power(b, x, p),
        };
        let product = b.mul(g, slope);
        b.sum_to_shape_of(product, x)
    });
    let by_p = want_p.then(|| {
        let (zero, none) = (b.scalar_like(x, 0.0), b.scalar_like(p, 0.0));
        let log = b.log(x);
        let slope = b.mul(y, log);
        let (at_zero, negative) = (b.equal(x, zero), b.less(p, none));
        let finite = b.node("Not", &[negative], crate::graph::Attributes::none());
        let vanishes = b.node("And", &[at_zero, finite], crate::graph::Attributes::none());
        let slope = b.where_(vanishes, zero, slope);
        let product = b.mul(g, slope);
        b.sum_to_shape_of(product, p)
    });
    Ok(vec![by_x, by_p])
}

/// The exponent, if it is one constant number.
fn single(b: &Builder, p: Value) -> Option<f64> {
    match b.constant_of(p)? {
        Tensor::F32(a) if a.len() == 1 => a.first().map(|n| f64::from(*n)),
        Tensor::F64(a) if a.len() == 1 => a.first().copied(),
        Tensor::I64(a) if a.len() == 1 => a.first().map(|n| *n as f64),
        Tensor::I32(a) if a.len() == 1 => a.first().map(|n| f64::from(*n)),
        _ => None,
    }
}

fn constant_power(b: &mut Builder, x: Value, power: f64) -> Value {
    if power == 0.0 {
        return b.zeros_like(x);
    }
    if power == 2.0 {
        return b.mul_scalar(x, 2.0);
    }
    let lower = b.scalar_like(x, power - 1.0);
    let raised = b.pow(x, lower);
    b.mul_scalar(raised, power)
}

fn any_power(b: &mut Builder, x: Value, p: Value) -> Value {
    let power = b.cast_like(p, x);
    let zero = b.scalar_like(x, 0.0);
    let lower = b.add_scalar(power, -1.0);
    let raised = b.pow(x, lower);
    let slope = b.mul(power, raised);
    let constant = b.equal(power, zero);
    b.where_(constant, zero, slope)
}
