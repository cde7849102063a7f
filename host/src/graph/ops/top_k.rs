//! The largest or smallest elements along an axis, and their positions.

use super::context::{InferContext, Inferred, axis_of};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, DataType};

pub(super) const TOP_K: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

fn infer(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let count = cx.input(1).content.and_then(|c| c.first().copied());
    let shape = match input.shape {
        Some(mut shape) => {
            let axis = axis_of(cx.int("axis", -1), shape.len())?;
            shape[axis] = count.unwrap_or_else(|| cx.symbols.fresh());
            Some(shape)
        }
        None => None,
    };
    let values = TypeFacts { data_type: input.data_type, shape, content: None };
    Ok(vec![values.clone(), TypeFacts { data_type: Some(DataType::I64), ..values }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (x, g) = (r.input(0)?, r.grad()?);
    let axis = r.node.attributes.get_int("axis").unwrap_or(-1);
    let at = match r.node.outputs.get(1).copied().flatten() {
        Some(at) => at,
        None => r.builder.node_with("TopK", &r.node.inputs, 2, r.node.attributes.clone())[1],
    };
    let zeros = r.builder.zeros_like(x);
    let attributes = Attributes::none().int("axis", axis);
    Ok(vec![Some(r.builder.node("ScatterElements", &[zeros, at, g], attributes)), None])
}
