//! Determinants of 3 x 3 matrices of float32, such as the volumes of cells, by cofactors: no kernel on CUDA. Within rounding of
//! the six products.

use super::super::builder::{Builder, Node, Value};
use super::super::shape::Dim;

pub(super) const OPERATORS: &[&str] = &["Det"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = super::float32(b, node)?;
    if !b.shape(x)?.ends_with(&[Dim::Known(3), Dim::Known(3)]) {
        return None;
    }
    let rows = [0, 1, 2].map(|i| b.slice(x, -2, i, i + 1));
    let (forth, back) = (b.ints(&[1, 2, 0]), b.ints(&[2, 0, 1]));
    let turned = [(1, forth), (2, back), (1, back), (2, forth)].map(|(row, order)| b.gather(rows[row], order, -1));
    let (plus, minus) = (b.mul(turned[0], turned[1]), b.mul(turned[2], turned[3]));
    let cofactors = b.sub(plus, minus);
    let terms = b.mul(rows[0], cofactors);
    Some(b.reduce_sum(terms, &[-2, -1], false))
}
