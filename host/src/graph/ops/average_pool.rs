//! The mean of a window.

use super::context::{InferContext, Inferred};
use super::windows::{Window, infer as infer_window, kernel_shape};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::{Attributes, Value};

pub(super) const AVERAGE_POOL: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    infer_window(cx, None)
}

/// What is added around the tensor counts only if the node says so.
fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let x = r.input(0)?;
    let kernel = kernel_shape(r)?;
    let window = Window::new(r, kernel)?;
    let sum = sum(r, &window, x);
    let count = if r.int("count_include_pad", 0) != 0 || !window.pads_something() {
        let offsets = window.offsets().len() as f64;
        r.builder.scalar_like(x, offsets)
    } else {
        let ones = r.builder.filled_like(x, 1.0);
        self::sum(r, &window, ones)
    };
    Ok(vec![r.builder.div(sum, count)])
}

fn sum(r: &mut Reverse, window: &Window, x: Value) -> Value {
    let padded = if window.pads_something() { window.padded(r, x, 0.0) } else { x };
    let seen: Vec<Value> = window.offsets().iter().map(|offset| window.seen(r, padded, offset)).collect();
    r.builder.node("Sum", &seen, Attributes::none())
}
