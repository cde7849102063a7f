//! Running sum along an axis. Its derivative runs the other way.

use super::context::same_as_input;
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::Attributes;

pub(super) const CUM_SUM: Operator = Operator { infer: same_as_input, derivative: Derivative::Rule(reverse) };

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let (axis, g) = (r.input(1)?, r.grad()?);
    let flag = |name: &str| r.node.attributes.get_int(name).unwrap_or(0);
    let attributes = Attributes::none().int("exclusive", flag("exclusive")).int("reverse", 1 - flag("reverse"));
    Ok(vec![Some(r.builder.node("CumSum", &[g, axis], attributes)), None])
}
