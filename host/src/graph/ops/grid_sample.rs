//! Values of an image between its pixels, at given places (Jaderberg et al., arXiv:1506.02025): bilinear, in two dimensions.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Builder, DataType, Value};

pub(super) const GRID_SAMPLE: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let (image, grid) = (cx.input(0), cx.input(1));
    let shape = match (image.shape, grid.shape) {
        (Some(image), Some(grid)) if image.len() == grid.len() && image.len() > 2 => {
            Some([&image[..2], &grid[1..grid.len() - 1]].concat())
        }
        _ => None,
    };
    Ok(vec![TypeFacts { data_type: image.data_type, shape, content: None }])
}

/// One axis of the image: places in pixels, and the last pixel.
struct Axis {
    place: Value,
    last: Value,
}

/// A pixel beside a place: its index along the axis, its share, and whether it lies within the image.
struct Neighbour {
    index: Value,
    share: Value,
    inside: Value,
}

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (image, grid) = (r.input(0)?, r.input(1)?);
    if r.rank(image)? != 4 {
        return Err(r.no_derivative("in other than two dimensions"));
    }
    let text = |name: &str, default: &str| r.node.attributes.get_string(name).unwrap_or(default).to_owned();
    let (mode, padding) = (text("mode", "linear"), text("padding_mode", "zeros"));
    if !matches!(mode.as_str(), "linear" | "bilinear") || padding == "reflection" {
        return Err(r.no_derivative(&format!("with mode = {mode} and padding_mode = {padding}")));
    }
    let aligned = r.int("align_corners", 0) != 0;
    let b = &mut *r.builder;
    let shape = b.shape_of(image);
    let parts = b.split(grid, -1, &[1, 1]);
    let places = b.shape_of(grid);
    let row = b.slice(places, 0, 0, 1);
    let all = b.slice(places, 0, 1, 3);
    let all = b.node("ReduceProd", &[all], Attributes::none().int("keepdims", 1));
    let flat = b.concat(&[row, all], 0);
    let [column, line] = [(parts[0], 3), (parts[1], 2)].map(|(part, axis)| {
        let part = b.reshape_exactly(part, flat);
        let extent = b.slice(shape, 0, axis, axis + 1);
        in_pixels(b, part, extent, aligned, padding == "border")
    });
    let (columns, lines) = (neighbours(b, &column), neighbours(b, &line));
    let (outer, inner) = (b.slice(shape, 0, 0, 2), b.slice(shape, 0, 2, 4));
    let width = b.slice(shape, 0, 3, 4);
    let pixels = b.node("ReduceProd", &[inner], Attributes::none().int("keepdims", 1));
    let pixels = b.concat(&[outer, pixels], 0);
    let pixels = b.reshape_exactly(image, pixels);
    let wide = b.concat(&[outer, all], 0);
    let mut terms = Vec::new();
    for line in &lines {
        for column in &columns {
            let before = b.mul(line.index, width);
            let index = b.add(before, column.index);
            let index = b.unsqueeze(index, &[1]);
            let index = b.expand_to(index, wide);
            let value = b.gather_elements(pixels, index, 2);
            let share = [line.inside, column.share, column.inside].into_iter().fold(line.share, |w, f| b.mul(w, f));
            let share = b.unsqueeze(share, &[1]);
            terms.push(b.mul(value, share));
        }
    }
    let sum = b.node("Sum", &terms, Attributes::none());
    let spatial = b.slice(places, 0, 1, 3);
    let result = b.concat(&[outer, spatial], 0);
    Ok(vec![b.reshape_exactly(sum, result)])
}

/// Places from -1 to 1 as pixels: of the centres of the first and last one, or of their outer edges.
fn in_pixels(b: &mut Builder, place: Value, extent: Value, aligned: bool, clamp: bool) -> Axis {
    let extent = b.cast_like(extent, place);
    let last = b.add_scalar(extent, -1.0);
    let from_zero = b.add_scalar(place, 1.0);
    let place = if aligned {
        let twice = b.mul(from_zero, last);
        b.mul_scalar(twice, 0.5)
    } else {
        let scaled = b.mul(from_zero, extent);
        let twice = b.add_scalar(scaled, -1.0);
        b.mul_scalar(twice, 0.5)
    };
    let place = if clamp { clamped(b, place, last) } else { place };
    Axis { place, last }
}

fn clamped(b: &mut Builder, x: Value, last: Value) -> Value {
    let zero = b.scalar_like(x, 0.0);
    let above = b.max(x, zero);
    b.min(above, last)
}

fn neighbours(b: &mut Builder, axis: &Axis) -> [Neighbour; 2] {
    let below = b.node("Floor", &[axis.place], Attributes::none());
    let above = b.add_scalar(below, 1.0);
    let far = b.sub(axis.place, below);
    let negative = b.neg(far);
    let near = b.add_scalar(negative, 1.0);
    [(below, near), (above, far)].map(|(pixel, share)| {
        let nearest = clamped(b, pixel, axis.last);
        let same = b.equal(nearest, pixel);
        Neighbour { index: b.cast(nearest, DataType::I64), share, inside: b.cast_like(same, share) }
    })
}
