//! Product over axes: for each element the product of the others, zeros among them included.

use super::context::{InferContext, Inferred};
use super::reduction::{reduction, spread, sum_like};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::product;
use crate::graph::{Attributes, Builder, Node, Value};

pub(super) const REDUCE_PROD: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

/// The product of extents is the size of a tensor.
fn infer(cx: InferContext) -> Inferred {
    let content = cx.input(0).content.as_deref().and_then(product).map(|n| vec![n]);
    let mut out = reduction(cx)?;
    if let Some(first) = out.first_mut() {
        first.content = content;
    }
    Ok(out)
}

/// With the zeros set aside: `P / x` where there is none, `P` at the only zero, else 0.
fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    spread(r, |b, node, x, _| {
        let (zero, one) = (b.scalar_like(x, 0.0), b.scalar_like(x, 1.0));
        let is_zero = b.equal(x, zero);
        let others = b.where_(is_zero, one, x);
        let product = product_like(b, node, others);
        let counted = b.cast_like(is_zero, x);
        let zeros = sum_like(b, node, counted);
        let (none, single) = (b.equal(zeros, zero), b.equal(zeros, one));
        let at_zero = b.where_(single, product, zero);
        let quotient = b.div(product, others);
        let elsewhere = b.where_(none, quotient, zero);
        b.where_(is_zero, at_zero, elsewhere)
    })
}

/// The node's own reduction of other numbers, with its axes kept.
fn product_like(b: &mut Builder, node: &Node, x: Value) -> Value {
    let mut attributes = Attributes::none().int("keepdims", 1);
    if let Some(axes) = node.attributes.get_ints("axes") {
        attributes = attributes.ints("axes", axes);
    }
    if let Some(noop) = node.attributes.get_int("noop_with_empty_axes") {
        attributes = attributes.int("noop_with_empty_axes", noop);
    }
    let inputs: Vec<_> = std::iter::once(Some(x)).chain(node.inputs.get(1).copied()).collect();
    b.node_with("ReduceProd", &inputs, 1, attributes)[0]
}
