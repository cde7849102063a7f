//! Matrix product with broadcast leading axes: `dX = dZ Y^T`, `dY = X^T dZ`.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Builder, DataType, Dim, Value};

pub(super) const MATMUL: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let (x, y) = (cx.input(0), cx.input(1));
    let (Some(a), Some(b)) = (x.shape, y.shape) else {
        return Ok(vec![TypeFacts { data_type: x.data_type, ..TypeFacts::default() }]);
    };
    product_of(cx, x.data_type, &a, &b)
}

/// Type and shape of the product of tensors with shapes `a` and `b`.
pub(super) fn product_of(cx: InferContext, data_type: Option<DataType>, a: &[Dim], b: &[Dim]) -> Inferred {
    if a.is_empty() || b.is_empty() {
        return Err("a factor is a scalar".into());
    }
    let inner = (a[a.len() - 1], b[b.len().saturating_sub(2)]);
    if let (Some(m), Some(n)) = (inner.0.known(), inner.1.known())
        && m != n
    {
        return Err(format!("inner extents differ: {m} and {n}"));
    }
    let (lead_a, lead_b) = (&a[..a.len().saturating_sub(2)], &b[..b.len().saturating_sub(2)]);
    let lead = cx.symbols.broadcast_shapes(lead_a, lead_b);
    let mut shape = lead.ok_or_else(|| format!("leading extents {lead_a:?} and {lead_b:?} cannot be broadcast"))?;
    if a.len() > 1 {
        shape.push(a[a.len() - 2]);
    }
    if b.len() > 1 {
        shape.push(b[b.len() - 1]);
    }
    Ok(vec![TypeFacts { data_type, shape: Some(shape), content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let (rank_x, rank_y) = (r.rank(x)?, r.rank(y)?);
    let (want_x, want_y) = (r.wants(0), r.wants(1));
    let b = r.builder;
    // A vector is a matrix with one row (left) or one column (right).
    let matrix_x = if rank_x == 1 { b.unsqueeze(x, &[0]) } else { x };
    let matrix_y = if rank_y == 1 { b.unsqueeze(y, &[1]) } else { y };
    let mut g = if rank_y == 1 { b.unsqueeze(g, &[-1]) } else { g };
    g = if rank_x == 1 { b.unsqueeze(g, &[-2]) } else { g };
    let by_x = want_x.then(|| {
        let turned = b.swap_last(matrix_y, rank_y.max(2));
        let product = b.matmul(g, turned);
        let summed = b.sum_to_shape_of(product, matrix_x);
        if rank_x == 1 { b.squeeze(summed, &[0]) } else { summed }
    });
    let by_y = want_y.then(|| {
        let product = if rank_y == 2 && rank_x > 2 {
            weight_gradient(b, matrix_x, g)
        } else {
            let turned = b.swap_last(matrix_x, rank_x.max(2));
            b.matmul(turned, g)
        };
        let summed = b.sum_to_shape_of(product, matrix_y);
        if rank_y == 1 { b.squeeze(summed, &[1]) } else { summed }
    });
    Ok(vec![by_x, by_y])
}

/// The derivative by a matrix that all leading axes share: one product over their union instead of a batch of products.
fn weight_gradient(b: &mut Builder, x: Value, g: Value) -> Value {
    let flat = |b: &mut Builder, v: Value| match b.shape(v).and_then(|s| s.last()?.known()) {
        Some(n) if n > 0 => b.reshape(v, &[-1, n]),
        _ => b.all_rows(v),
    };
    let (rows, grads) = (flat(b, x), flat(b, g));
    let turned = b.transpose(rows, &[1, 0]);
    b.matmul(turned, grads)
}
