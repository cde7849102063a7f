//! `alpha A' B' + beta C` with either matrix turned over or not.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Dim};

pub(super) const GEMM: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

pub(super) fn infer(cx: InferContext) -> Inferred {
    let (a, b) = (cx.input(0), cx.input(1));
    let side = |matrix: &TypeFacts, turned: bool| -> Result<Option<(Dim, Dim)>, String> {
        match matrix.shape.as_deref() {
            None => Ok(None),
            Some(&[rows, columns]) => Ok(Some(if turned { (columns, rows) } else { (rows, columns) })),
            Some(other) => Err(format!("a factor has rank {}, not 2", other.len())),
        }
    };
    let (left, right) = (side(&a, cx.int("transA", 0) != 0)?, side(&b, cx.int("transB", 0) != 0)?);
    if let (Some((_, Dim::Known(m))), Some((Dim::Known(n), _))) = (left, right)
        && m != n
    {
        return Err(format!("inner extents differ: {m} and {n}"));
    }
    let rows = left.map_or_else(|| cx.symbols.fresh(), |l| l.0);
    let columns = right.map_or_else(|| cx.symbols.fresh(), |r| r.1);
    Ok(vec![TypeFacts { data_type: a.data_type, shape: Some(vec![rows, columns]), content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.input(1)?, r.grad()?);
    let attributes = &r.node.attributes;
    let flag = |name: &str| attributes.get_int(name).unwrap_or(0) != 0;
    let (turn_x, turn_y) = (flag("transA"), flag("transB"));
    let alpha = attributes.get_float("alpha").unwrap_or(1.0);
    let beta = attributes.get_float("beta").unwrap_or(1.0);
    let product = |turn_left: bool, turn_right: bool| {
        let attributes = Attributes::none().float("alpha", alpha);
        attributes.int("transA", i64::from(turn_left)).int("transB", i64::from(turn_right))
    };
    let by_x = r.wants(0).then(|| match turn_x {
        false => r.builder.node("Gemm", &[g, y], product(false, !turn_y)),
        true => r.builder.node("Gemm", &[y, g], product(turn_y, true)),
    });
    let by_y = r.wants(1).then(|| match turn_y {
        false => r.builder.node("Gemm", &[x, g], product(!turn_x, false)),
        true => r.builder.node("Gemm", &[g, x], product(true, turn_x)),
    });
    let bias = r.node.inputs.get(2).copied().flatten().filter(|_| r.wants(2));
    let by_bias = bias.map(|bias| {
        let summed = r.builder.sum_to_shape_of(g, bias);
        if beta == 1.0 { summed } else { r.builder.mul_scalar(summed, f64::from(beta)) }
    });
    Ok(vec![by_x, by_y, by_bias])
}
