//! Convolution: for every offset within the kernel a product of matrices over the channels, added up.

use super::context::{InferContext, Inferred};
use super::windows::{Window, infer as infer_window};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::{Builder, Value};

pub(super) const CONV: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let channels = cx.input(1).shape.and_then(|shape| shape.first().copied());
    infer_window(cx, channels)
}

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (x, weight, bias) = (r.input(0)?, r.input(1)?, r.optional(2));
    let shape: Option<Vec<i64>> = r.shape(weight)?.iter().map(|dim| dim.known()).collect();
    let Some(shape) = shape.filter(|shape| shape.len() > 2) else {
        return Err(r.no_derivative("with a kernel whose extents are only known when the graph runs"));
    };
    let groups = r.int("group", 1);
    let (made, each, kernel) = (shape[0] / groups.max(1), shape[1], shape[2..].to_vec());
    let window = Window::new(r, kernel)?;
    let padded = if window.pads_something() { window.padded(r, x, 0.0) } else { x };
    let mut total = None;
    for offset in window.offsets() {
        let seen = window.seen(r, padded, &offset);
        let b = &mut *r.builder;
        let mut matrix = weight;
        for (axis, at) in offset.iter().enumerate().rev() {
            let slice = b.slice(matrix, axis as i64 + 2, *at, at + 1);
            matrix = b.squeeze(slice, &[axis as i64 + 2]);
        }
        let product = if groups == 1 {
            over_channels(b, seen, matrix, offset.len())
        } else {
            let pieces = b.split(seen, 1, &vec![each; groups as usize]);
            let matrices = b.split(matrix, 0, &vec![made; groups as usize]);
            let parts: Vec<Value> =
                pieces.into_iter().zip(matrices).map(|(x, m)| over_channels(b, x, m, offset.len())).collect();
            b.concat(&parts, 1)
        };
        total = Some(total.map_or(product, |sum| b.add(sum, product)));
    }
    let mut result = total.ok_or_else(|| r.fail("the kernel is empty".into()))?;
    if let Some(bias) = bias {
        let axes: Vec<i64> = (1..=shape.len() as i64 - 2).collect();
        let bias = r.builder.unsqueeze(bias, &axes);
        result = r.builder.add(result, bias);
    }
    Ok(vec![result])
}

/// `[out, in]` times `[rows, in, ...]`, channels staying the second axis.
fn over_channels(b: &mut Builder, x: Value, matrix: Value, spatial: usize) -> Value {
    let rank = spatial as i64 + 2;
    let last: Vec<i64> = std::iter::once(0).chain(2..rank).chain(std::iter::once(1)).collect();
    let second: Vec<i64> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    let turned = b.transpose(x, &last);
    let matrix = b.transpose(matrix, &[1, 0]);
    let product = b.matmul(turned, matrix);
    b.transpose(product, &second)
}
