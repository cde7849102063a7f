//! Axes in a new order.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;

pub(super) const TRANSPOSE: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn order(node: &crate::graph::Node, rank: usize) -> Vec<i64> {
    match node.attributes.get_ints("perm") {
        Some(order) => order.to_vec(),
        None => (0..rank as i64).rev().collect(),
    }
}

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let Some(shape) = input.shape else {
        return Ok(vec![TypeFacts { shape: None, ..input }]);
    };
    let order = order(cx.node, shape.len());
    let permuted: Option<Vec<_>> = order.iter().map(|i| shape.get(usize::try_from(*i).ok()?).copied()).collect();
    let permuted = permuted.filter(|p| p.len() == shape.len());
    let permuted = permuted.ok_or_else(|| format!("perm {order:?} does not fit rank {}", shape.len()))?;
    Ok(vec![TypeFacts { data_type: input.data_type, shape: Some(permuted), content: None }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let g = r.grad()?;
    let order = order(r.node, r.rank(r.input(0)?)?);
    let mut inverse = vec![0; order.len()];
    for (new, old) in order.iter().enumerate() {
        inverse[*old as usize] = new as i64;
    }
    Ok(vec![Some(r.builder.transpose(g, &inverse))])
}
