//! Elements added around a tensor, or taken off where the count is negative.

use super::context::{InferContext, Inferred, axis_of};
use super::selection::add_back;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Dim};

pub(super) const PAD: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let unknown = TypeFacts { data_type: input.data_type, ..TypeFacts::default() };
    let Some(mut shape) = input.shape else { return Ok(vec![unknown]) };
    let axes = if cx.has("axes", 3) { cx.input(3).known_content() } else { Some((0..shape.len() as i64).collect()) };
    let (Some(pads), Some(axes)) = (cx.ints("pads", 1), axes) else {
        let shape = shape.iter().map(|_| cx.symbols.fresh()).collect();
        return Ok(vec![TypeFacts { shape: Some(shape), ..unknown }]);
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads for {} axes", pads.len(), axes.len()));
    }
    for (k, axis) in axes.iter().enumerate() {
        let axis = axis_of(*axis, shape.len())?;
        let more = pads[k].checked_add(pads[axes.len() + k]).ok_or("the pads overflow")?;
        shape[axis] = match shape[axis] {
            dim if more == 0 => dim,
            Dim::Known(n) => Dim::Known(n.saturating_add(more).max(0)),
            Dim::Symbol(_) => cx.symbols.fresh(),
        };
    }
    Ok(vec![TypeFacts { shape: Some(shape), ..unknown }])
}

/// A constant is taken off again; in the other modes, elements are copies.
fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    if r.node.attributes.get_string("mode").unwrap_or("constant") != "constant" {
        return add_back(r);
    }
    if r.wants(2) {
        return Err(r.no_derivative("by the constant that is filled in"));
    }
    let (x, pads, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let axes = r.node.inputs.get(3).copied().flatten();
    let b = r.builder;
    let back = b.neg(pads);
    let inputs = [Some(g), Some(back), None, axes];
    let cropped = b.node_with("Pad", &inputs[..if axes.is_some() { 4 } else { 2 }], 1, Attributes::none())[0];
    Ok(vec![Some(b.assume_shape_of(cropped, x)), None, None, None])
}
