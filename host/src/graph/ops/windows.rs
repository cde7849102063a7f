//! What convolution and pooling share: a window that moves over the axes after the second.

use super::context::{InferContext, Inferred};
use super::{GraphError, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Dim, Value};

/// The most offsets within a window that are written out.
const MAX_OFFSETS: i64 = 1024;

/// A window over the spatial axes.
pub(super) struct Window {
    kernel: Vec<i64>,
    strides: Vec<i64>,
    dilations: Vec<i64>,
    /// Before each axis, then behind each.
    pads: Vec<i64>,
}

impl Window {
    /// The window of a node for a kernel of the given extents.
    pub(super) fn new(r: &Reverse, kernel: Vec<i64>) -> Result<Self, GraphError> {
        let ints = |name: &str, default: i64, count: usize| match r.node.attributes.get_ints(name) {
            Some(list) if !list.is_empty() => list.to_vec(),
            _ => vec![default; count],
        };
        let count = kernel.len();
        let (strides, dilations) = (ints("strides", 1, count), ints("dilations", 1, count));
        let mut pads = ints("pads", 0, 2 * count);
        match r.node.attributes.get_string("auto_pad").unwrap_or("NOTSET") {
            "NOTSET" => {}
            "VALID" => pads = vec![0; 2 * count],
            side if strides.iter().all(|stride| *stride == 1) => {
                for axis in 0..count {
                    let total = (kernel[axis] - 1) * dilations[axis];
                    let less = total / 2;
                    let before = if side == "SAME_LOWER" { total - less } else { less };
                    (pads[axis], pads[count + axis]) = (before, total - before);
                }
            }
            side => return Err(r.no_derivative(&format!("with auto_pad = {side} and strides"))),
        }
        if r.int("ceil_mode", 0) != 0 {
            return Err(r.no_derivative("with ceil_mode"));
        }
        let fits = [&strides, &dilations].iter().all(|list| list.len() == count && list.iter().all(|n| *n > 0));
        if !fits || pads.len() != 2 * count || kernel.iter().any(|n| *n < 1) {
            return Err(r.fail("kernel, strides, dilations and pads do not fit one another".into()));
        }
        if kernel.iter().try_fold(1i64, |n, k| n.checked_mul(*k)).is_none_or(|n| n > MAX_OFFSETS) {
            return Err(r.no_derivative(&format!("with more than {MAX_OFFSETS} elements in a window")));
        }
        Ok(Self { kernel, strides, dilations, pads })
    }

    /// Whether anything is added around the tensor.
    pub(super) fn pads_something(&self) -> bool {
        self.pads.iter().any(|n| *n != 0)
    }

    /// The tensor `[rows, channels, ...]` with `fill` around it.
    pub(super) fn padded(&self, r: &mut Reverse, x: Value, fill: f64) -> Value {
        let count = self.kernel.len();
        let b = &mut *r.builder;
        let pads = [&[0, 0], &self.pads[..count], &[0, 0], &self.pads[count..]].concat();
        let (pads, fill) = (b.ints(&pads), b.scalar_like(x, fill));
        b.node("Pad", &[x, pads, fill], Attributes::none())
    }

    /// Every offset within the window, the last axis running fastest.
    pub(super) fn offsets(&self) -> Vec<Vec<i64>> {
        let mut offsets = vec![Vec::new()];
        for extent in &self.kernel {
            let longer = |offset: &Vec<i64>| (0..*extent).map(|i| [&offset[..], &[i]].concat()).collect::<Vec<_>>();
            offsets = offsets.iter().flat_map(longer).collect();
        }
        offsets
    }

    /// What the window sees at `offset` as it moves over the padded tensor.
    pub(super) fn seen(&self, r: &mut Reverse, padded: Value, offset: &[i64]) -> Value {
        let count = self.kernel.len();
        let b = &mut *r.builder;
        let starts: Vec<i64> = (0..count).map(|i| offset[i] * self.dilations[i]).collect();
        let ends: Vec<i64> = (0..count)
            .map(|i| match (self.kernel[i] - 1 - offset[i]) * self.dilations[i] {
                0 => i64::MAX,
                behind => -behind,
            })
            .collect();
        let axes: Vec<i64> = (2..count as i64 + 2).collect();
        let inputs = [&starts, &ends, &axes, &self.strides].map(|list| b.ints(list));
        b.node("Slice", &[padded, inputs[0], inputs[1], inputs[2], inputs[3]], Attributes::none())
    }
}

/// Rows, channels, and extents of the spatial axes as far as they are known.
pub(super) fn infer(cx: InferContext, channels: Option<Dim>) -> Inferred {
    let input = cx.input(0);
    let shape = input.shape.map(|shape| {
        let extent = |(i, dim): (usize, Dim)| match i {
            0 => dim,
            1 => channels.unwrap_or(dim),
            _ => cx.symbols.fresh(),
        };
        shape.into_iter().enumerate().map(extent).collect()
    });
    Ok(vec![TypeFacts { data_type: input.data_type, shape, content: None }])
}

/// The kernel of a pooling node.
pub(super) fn kernel_shape(r: &Reverse) -> Result<Vec<i64>, GraphError> {
    let kernel = r.node.attributes.get_ints("kernel_shape").map(<[i64]>::to_vec);
    kernel.ok_or_else(|| r.fail("it has no kernel_shape".into()))
}
