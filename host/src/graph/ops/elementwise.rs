//! Operators without a derivative of their own, and the shape of rules for functions of one number.

use super::context::{InferContext, Inferred, axis_of, broadcast_to_bool, same_as_input, spread};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Attributes, Builder, DataType, Dim, Value};

/// Comparisons and logic of two tensors.
pub(super) const COMPARISON: Operator = Operator { infer: compare, derivative: Derivative::Zero };

/// Tests of one tensor.
pub(super) const TEST: Operator = Operator { infer: test, derivative: Derivative::Zero };

/// Steps.
pub(super) const PIECEWISE_CONSTANT: Operator = Operator { infer: same_as_input, derivative: Derivative::Zero };

/// Positions of the extreme elements.
pub(super) const ARG: Operator = Operator { infer: arg, derivative: Derivative::Zero };

/// Positions of the elements that are not 0.
pub(super) const NON_ZERO: Operator = Operator { infer: non_zero, derivative: Derivative::Zero };

/// Exporters ask about extents: whether one is 1, or equals -1, which none does.
fn compare(cx: InferContext) -> Inferred {
    let op = cx.node.op.clone();
    let (a, b) = (cx.input(0).content, cx.input(1).content);
    let mut out = broadcast_to_bool(cx)?;
    if let (Some(a), Some(b), Some(first)) = (a, b, out.first_mut()) {
        let n = a.len().max(b.len());
        let answers = (0..n).map(|i| answer(&op, *spread(&a, i)?, *spread(&b, i)?));
        first.content = answers.map(|answer| answer.map(|yes| Dim::Known(i64::from(yes)))).collect();
    }
    Ok(out)
}

/// The answer, where it is certain: an extent is never negative.
fn answer(op: &str, a: Dim, b: Dim) -> Option<bool> {
    use Dim::{Known, Symbol};
    match (op, a, b) {
        ("And", Known(a), Known(b)) => Some(a != 0 && b != 0),
        ("Or", Known(a), Known(b)) => Some(a != 0 || b != 0),
        ("Xor", Known(a), Known(b)) => Some((a != 0) != (b != 0)),
        ("Equal", Known(a), Known(b)) => Some(a == b),
        ("Equal", a, b) if a == b => Some(true),
        ("Equal", Known(n), Symbol(_)) | ("Equal", Symbol(_), Known(n)) if n < 0 => Some(false),
        ("Less", Known(a), Known(b)) => Some(a < b),
        ("Less", Symbol(_), Known(n)) if n <= 0 => Some(false),
        ("LessOrEqual", Known(a), Known(b)) => Some(a <= b),
        ("LessOrEqual", Symbol(_), Known(n)) if n < 0 => Some(false),
        ("Greater", Known(a), Known(b)) => Some(a > b),
        ("Greater", Symbol(_), Known(n)) if n < 0 => Some(true),
        ("GreaterOrEqual", Known(a), Known(b)) => Some(a >= b),
        ("GreaterOrEqual", Symbol(_), Known(n)) if n <= 0 => Some(true),
        _ => None,
    }
}

fn test(cx: InferContext) -> Inferred {
    let input = cx.input(0);
    let inverted = input.known_content().map(|flags| flags.iter().map(|n| Dim::Known(i64::from(*n == 0))).collect());
    let content = inverted.filter(|_| cx.node.op == "Not");
    Ok(vec![TypeFacts { data_type: Some(DataType::Bool), shape: input.shape, content }])
}

fn arg(cx: InferContext) -> Inferred {
    let keep = cx.int("keepdims", 1) == 1;
    let shape = match cx.input(0).shape {
        Some(mut shape) => {
            let axis = axis_of(cx.int("axis", 0), shape.len())?;
            shape[axis] = Dim::Known(1);
            if !keep {
                shape.remove(axis);
            }
            Some(shape)
        }
        None => None,
    };
    Ok(vec![TypeFacts { data_type: Some(DataType::I64), shape, content: None }])
}

fn non_zero(cx: InferContext) -> Inferred {
    let count = cx.symbols.fresh();
    let shape = cx.input(0).rank().map(|rank| vec![Dim::Known(rank.max(1) as i64), count]);
    Ok(vec![TypeFacts { data_type: Some(DataType::I64), shape, content: None }])
}

/// The rule of `y = f(x)`: the derivative times what `slope(builder, x, y)` builds.
pub(super) fn chain(
    r: Reverse,
    slope: impl FnOnce(&mut Builder, Value, Value) -> Value,
) -> Result<InputGrads, GraphError> {
    let (x, y, g) = (r.input(0)?, r.output(0)?, r.grad()?);
    let slope = slope(r.builder, x, y);
    Ok(vec![Some(r.builder.mul(g, slope))])
}

/// A float attribute of the node.
pub(super) fn float(r: &Reverse, name: &str, default: f32) -> f64 {
    f64::from(r.node.attributes.get_float(name).unwrap_or(default))
}

/// `1 - x^2` as `(1 - x)(1 + x)`, which keeps its digits near -1 and 1.
pub(super) fn one_minus_square(b: &mut Builder, x: Value) -> Value {
    let negative = b.neg(x);
    let (below, above) = (b.add_scalar(negative, 1.0), b.add_scalar(x, 1.0));
    b.mul(below, above)
}

/// `above` where `x > 0`, else `below`.
pub(super) fn piecewise(b: &mut Builder, x: Value, above: f64, below: Value) -> Value {
    let (zero, above) = (b.scalar_like(x, 0.0), b.scalar_like(x, above));
    let positive = b.greater(x, zero);
    b.where_(positive, above, below)
}

/// Whether `0 < alpha x + beta < 1`.
pub(super) fn inside_unit(b: &mut Builder, x: Value, alpha: f64, beta: f64) -> Value {
    let line = b.mul_scalar(x, alpha);
    let line = b.add_scalar(line, beta);
    let (zero, one) = (b.scalar_like(x, 0.0), b.scalar_like(x, 1.0));
    let (above, below) = (b.greater(line, zero), b.less(line, one));
    b.node("And", &[above, below], Attributes::none())
}
