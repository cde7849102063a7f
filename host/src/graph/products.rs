//! Products of matrices, in the forms that ONNX Runtime 1.28 can multiply when a leading axis is empty.
//!
//! It cannot broadcast over an axis without elements: a product with a vector, one of a matrix with a batch, and, once fused
//! with a `Transpose`, one of a batch with a matrix fail. As one product of two matrices they do not. Of two batches, the one with
//! the empty axis is padded, and the product cropped.

use super::Attributes;
use super::builder::{Builder, Value};
use super::import::{crop, pad_empty};
use super::shape::Dim;

impl Builder {
    /// Matrix product over the last two axes, leading axes broadcast.
    pub fn matmul(&mut self, x: Value, y: Value) -> Value {
        self.other_form_of_product(x, y).unwrap_or_else(|| self.plain_product(x, y))
    }

    /// The product in the form that it must have; `None` if the operator itself will do.
    pub(super) fn other_form_of_product(&mut self, x: Value, y: Value) -> Option<Value> {
        let (a, b) = (self.shape(x)?, self.shape(y)?);
        match (a.len(), b.len()) {
            (3.., 1) if may_be_empty(&a) => {
                let column = self.unsqueeze(y, &[1]);
                let product = self.flat_product(x, column);
                Some(self.squeeze(product, &[-1]))
            }
            (3.., 2) if may_be_empty(&a) && self.is_turned(x) => Some(self.flat_product(x, y)),
            (1 | 2, 3..) if may_be_empty(&b) => {
                // (x y)^T = y^T x^T
                let turned = self.swap_last(y, b.len());
                if a.len() == 1 {
                    return self.other_form_of_product(turned, x);
                }
                let other = self.transpose(x, &[1, 0]);
                let product = self.flat_product(turned, other);
                Some(self.swap_last(product, b.len()))
            }
            (3.., 3..) => self.broadcast_product([x, y], [&a, &b]),
            _ => None,
        }
    }

    /// Of two batches, where one is repeated along an axis of the other that may have no elements.
    fn broadcast_product(&mut self, factors: [Value; 2], shapes: [&[Dim]; 2]) -> Option<Value> {
        let rank = shapes[0].len().max(shapes[1].len());
        let repeated = |own: &[Dim], other: &[Dim], axis: usize| {
            let facing = (axis + other.len()).checked_sub(own.len()).map(|place| other[place]);
            may_be_zero(own[axis]) && facing.is_none_or(|dim| dim.known() == Some(1))
        };
        let axes = [[0, 1], [1, 0]].map(|[own, other]| {
            let (own, other) = (shapes[own], shapes[other]);
            (0..own.len() - 2).filter(|axis| repeated(own, other, *axis)).collect::<Vec<usize>>()
        });
        if axes.iter().all(Vec::is_empty) {
            return None;
        }
        let mut padded = factors;
        for (factor, axes) in padded.iter_mut().zip(&axes).filter(|(_, axes)| !axes.is_empty()) {
            *factor = pad_empty(self, *factor, axes)?;
        }
        let mut product = self.plain_product(padded[0], padded[1]);
        for ((factor, axes), shape) in
            factors.into_iter().zip(&axes).zip(shapes).filter(|((_, axes), _)| !axes.is_empty())
        {
            let pairs: Vec<(usize, usize)> = axes.iter().map(|axis| (axis + rank - shape.len(), *axis)).collect();
            product = crop(self, product, factor, &pairs);
        }
        Some(product)
    }

    fn plain_product(&mut self, x: Value, y: Value) -> Value {
        self.node("MatMul", &[x, y], Attributes::none())
    }

    /// A batch times one matrix: all rows of the batch at once.
    fn flat_product(&mut self, x: Value, y: Value) -> Value {
        let rows = self.all_rows(x);
        let product = self.plain_product(rows, y);
        let (own, other) = (self.shape_of(x), self.shape_of(y));
        let (lead, columns) = (self.slice(own, 0, 0, -1), self.slice(other, 0, 1, 2));
        let shape = self.concat(&[lead, columns], 0);
        self.reshape_exactly(product, shape)
    }

    /// The tensor as one matrix with the same last axis.
    pub(super) fn all_rows(&mut self, x: Value) -> Value {
        let shape = self.shape_of(x);
        let (lead, last) = (self.slice(shape, 0, 0, -1), self.slice(shape, 0, -1, i64::MAX));
        let rows = self.node("ReduceProd", &[lead], Attributes::none().int("keepdims", 1));
        let shape = self.concat(&[rows, last], 0);
        self.reshape_exactly(x, shape)
    }

    /// The last two axes of a tensor of the given rank exchanged.
    pub(super) fn swap_last(&mut self, x: Value, rank: usize) -> Value {
        let mut order: Vec<i64> = (0..rank as i64).collect();
        order.swap(rank - 1, rank - 2);
        self.transpose(x, &order)
    }

    fn is_turned(&self, x: Value) -> bool {
        let maker = self.nodes.iter().rev().find(|node| node.outputs.contains(&Some(x)));
        maker.is_some_and(|node| node.op == "Transpose")
    }
}

/// Whether an axis before the last two may have no elements.
fn may_be_empty(shape: &[Dim]) -> bool {
    shape[..shape.len().saturating_sub(2)].iter().any(|dim| may_be_zero(*dim))
}

fn may_be_zero(dim: Dim) -> bool {
    dim.known().is_none_or(|n| n == 0)
}
