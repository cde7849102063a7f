//! What `ScatterElements` and `ScatterND` share: slices written, added, multiplied or compared into a tensor.

use super::{GraphError, InputGrads, Reverse};
use crate::graph::{Attributes, Builder, Value};

/// Where the slices go: one index for each element along an axis, or one index tuple for each slice.
#[derive(Clone, Copy)]
pub(super) enum Places {
    /// `ScatterElements` along the axis.
    Elements(i64),
    /// `ScatterND`.
    Slices,
}

impl Places {
    fn gather(self, b: &mut Builder, x: Value, indices: Value) -> Value {
        match self {
            Self::Elements(axis) => b.gather_elements(x, indices, axis),
            Self::Slices => b.node("GatherND", &[x, indices], Attributes::none()),
        }
    }

    fn scatter(self, b: &mut Builder, [data, indices, updates]: [Value; 3], reduction: &str) -> Value {
        let (op, attributes) = match self {
            Self::Elements(axis) => ("ScatterElements", Attributes::none().int("axis", axis)),
            Self::Slices => ("ScatterND", Attributes::none()),
        };
        let attributes = if reduction == "none" { attributes } else { attributes.string("reduction", reduction) };
        b.node(op, &[data, indices, updates], attributes)
    }
}

/// The rule of both operators.
pub(super) fn reverse(r: Reverse, places: Places) -> Result<InputGrads, GraphError> {
    let (indices, updates, g) = (r.input(1)?, r.input(2)?, r.grad()?);
    let (want_data, want_updates) = (r.wants(0), r.wants(2));
    match r.node.attributes.get_string("reduction").unwrap_or("none") {
        "none" => {
            let by_data = want_data.then(|| {
                let zeros = r.builder.zeros_like(updates);
                places.scatter(r.builder, [g, indices, zeros], "none")
            });
            Ok(vec![by_data, None, want_updates.then(|| places.gather(r.builder, g, indices))])
        }
        "add" => Ok(vec![Some(g), None, want_updates.then(|| places.gather(r.builder, g, indices))]),
        "mul" => product(r, places),
        "max" | "min" => extreme(r, places),
        other => Err(r.no_derivative(&format!("with reduction = {other}"))),
    }
}

/// By each factor the product of the others, which is a number also where a factor is zero.
fn product(r: Reverse, places: Places) -> Result<InputGrads, GraphError> {
    let (data, indices, updates, g) = (r.input(0)?, r.input(1)?, r.input(2)?, r.grad()?);
    let (want_data, want_updates) = (r.wants(0), r.wants(2));
    let b = r.builder;
    let [own, given] = [data, updates].map(|x| Factor::new(b, x));
    let product = places.scatter(b, [own.not_zero, indices, given.not_zero], "mul");
    let zeros = places.scatter(b, [own.zero, indices, given.zero], "add");
    let by_data = want_data.then(|| own.derivative(b, product, zeros, g));
    let by_updates = want_updates.then(|| {
        let [product, zeros, g] = [product, zeros, g].map(|x| places.gather(b, x, indices));
        given.derivative(b, product, zeros, g)
    });
    Ok(vec![by_data, None, by_updates])
}

/// Factors of a product, of which some may be zero.
struct Factor {
    /// The factor, 1 where it is zero.
    not_zero: Value,
    /// 1 where it is zero, else 0.
    zero: Value,
}

impl Factor {
    fn new(b: &mut Builder, x: Value) -> Self {
        let (none, one) = (b.scalar_like(x, 0.0), b.scalar_like(x, 1.0));
        let is_zero = b.equal(x, none);
        Self { not_zero: b.where_(is_zero, one, x), zero: b.cast_like(is_zero, x) }
    }

    /// `g` times the product of the other factors: zero if one of these is.
    fn derivative(&self, b: &mut Builder, product: Value, zeros: Value, g: Value) -> Value {
        let none = b.scalar_like(product, 0.0);
        let others = b.sub(zeros, self.zero);
        let all = b.equal(others, none);
        let rest = b.div(product, self.not_zero);
        let rest = b.where_(all, rest, none);
        b.mul(g, rest)
    }
}

/// All that reach the extreme, the tensor's own element among them, share the derivative (PyTorch's `scatter_reduce`).
fn extreme(r: Reverse, places: Places) -> Result<InputGrads, GraphError> {
    let (data, indices, updates, y, g) = (r.input(0)?, r.input(1)?, r.input(2)?, r.output(0)?, r.grad()?);
    let (want_data, want_updates) = (r.wants(0), r.wants(2));
    let b = r.builder;
    let own = b.equal(data, y);
    let own = b.cast_like(own, y);
    let reached = places.gather(b, y, indices);
    let reached = b.equal(updates, reached);
    let reached = b.cast_like(reached, y);
    let count = places.scatter(b, [own, indices, reached], "add");
    let share = b.div(g, count);
    let by_data = want_data.then(|| b.mul(share, own));
    let by_updates = want_updates.then(|| {
        let part = places.gather(b, share, indices);
        b.mul(part, reached)
    });
    Ok(vec![by_data, None, by_updates])
}
