//! The largest element in a window; equal ones share the derivative.

use super::context::{InferContext, Inferred};
use super::windows::{Window, infer as infer_window, kernel_shape};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, DataType, Value};

pub(super) const MAX_POOL: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let values = infer_window(cx, None)?.remove(0);
    let positions = TypeFacts { data_type: Some(DataType::I64), ..values.clone() };
    Ok(vec![values, positions])
}

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let x = r.input(0)?;
    let kernel = kernel_shape(r)?;
    let window = Window::new(r, kernel)?;
    let padded = if window.pads_something() { window.padded(r, x, f64::NEG_INFINITY) } else { x };
    let seen: Vec<Value> = window.offsets().iter().map(|offset| window.seen(r, padded, offset)).collect();
    Ok(vec![r.builder.node("Max", &seen, Attributes::none())])
}
