//! ONNX Runtime's FusedMatMul: a product of matrices that may be turned over, times a number.

use super::context::{InferContext, Inferred};
use super::matmul::product_of;
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::Value;
use crate::graph::shape::TypeFacts;

pub(super) const FUSED_MAT_MUL: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let (x, y) = (cx.input(0), cx.input(1));
    let batch = cx.int("transBatchA", 0) != 0 || cx.int("transBatchB", 0) != 0;
    let (Some(mut a), Some(mut b), false) = (x.shape, y.shape, batch) else {
        return Ok(vec![TypeFacts { data_type: x.data_type, ..TypeFacts::default() }]);
    };
    for (shape, name) in [(&mut a, "transA"), (&mut b, "transB")] {
        let rank = shape.len();
        if cx.int(name, 0) != 0 && rank > 1 {
            shape.swap(rank - 1, rank - 2);
        }
    }
    product_of(cx, x.data_type, &a, &b)
}

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let (mut x, mut y) = (r.input(0)?, r.input(1)?);
    let (rank_x, rank_y) = (r.rank(x)?, r.rank(y)?);
    if r.int("transBatchA", 0) != 0 || r.int("transBatchB", 0) != 0 {
        return Err(r.no_derivative("with a batch axis moved"));
    }
    let (turn_x, turn_y, alpha) = (r.int("transA", 0) != 0, r.int("transB", 0) != 0, r.float("alpha", 1.0));
    let b = &mut *r.builder;
    // A vector has nothing to turn over.
    if turn_x && rank_x > 1 {
        x = b.swap_last(x, rank_x);
    }
    if turn_y && rank_y > 1 {
        y = b.swap_last(y, rank_y);
    }
    let product = b.matmul(x, y);
    Ok(vec![b.mul_scalar(product, alpha)])
}
