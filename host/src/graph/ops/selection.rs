//! Operators whose every output element is one input element, or a constant.

use super::{GraphError, InputGrads, Reverse};
use crate::graph::Attributes;

/// The node itself, applied to the positions of the elements, tells where each came from; the derivative is added back there.
///
/// Right whatever its other inputs are, as long as no output element is a constant.
pub(super) fn add_back(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let b = r.builder;
    let count = b.count(x);
    let positions = b.positions(count);
    let positions = b.reshape_as(positions, x);
    let mut inputs = r.node.inputs.clone();
    if let Some(first) = inputs.first_mut() {
        *first = Some(positions);
    }
    let taken = b.node_with(&r.node.op, &inputs, 1, r.node.attributes.clone())[0];
    let all = b.ints(&[-1]);
    let (taken, flat) = (b.reshape_to(taken, all), b.reshape_to(g, all));
    let zeros = b.zeros_like(x);
    let zeros = b.reshape_to(zeros, all);
    let add = Attributes::none().int("axis", 0).string("reduction", "add");
    let scattered = b.node("ScatterElements", &[zeros, taken, flat], add);
    Ok(vec![Some(b.reshape_as(scattered, x))])
}
