//! Tangent of float32: no kernel on CUDA. Within 4e-7 of its value, for arguments whose sine and cosine are.

use super::super::builder::{Builder, Node, Value};

pub(super) const OPERATORS: &[&str] = &["Tan"];

pub(super) fn rewrite(b: &mut Builder, node: &Node) -> Option<Value> {
    let x = super::float32(b, node)?;
    let (sine, cosine) = (b.sin(x), b.cos(x));
    Some(b.div(sine, cosine))
}
