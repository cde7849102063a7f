//! Scaled dot-product attention (Vaswani et al., arXiv:1706.03762) as opset 23 defines it.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, Operator, Reverse};
use crate::graph::shape::{TypeFacts, product};
use crate::graph::{Attributes, Builder, DataType, Dim, Value};

pub(super) const ATTENTION: Operator = Operator { infer, derivative: Derivative::Through(outputs) };

fn infer(cx: InferContext) -> Inferred {
    let (q, v) = (cx.input(0), cx.input(2));
    let (heads, own) = (cx.int("q_num_heads", 0), cx.int("kv_num_heads", 0));
    let shape = match (q.shape, v.shape) {
        (Some(q), Some(v)) if q.len() == 4 && v.len() == 4 => Some(vec![q[0], q[1], q[2], v[3]]),
        (Some(q), Some(v)) if q.len() == 3 && v.len() == 3 => {
            let width = v[2].known().filter(|_| own > 0).map(|width| [Dim::Known(width / own), Dim::Known(heads)]);
            Some(vec![q[0], q[1], width.and_then(|w| product(&w)).unwrap_or_else(|| cx.symbols.fresh())])
        }
        _ => None,
    };
    let unknown = TypeFacts { data_type: q.data_type, ..TypeFacts::default() };
    Ok(vec![TypeFacts { shape, ..unknown.clone() }, unknown.clone(), unknown.clone(), unknown])
}

fn outputs(r: &mut Reverse) -> Result<Vec<Value>, GraphError> {
    let [q, k, v] = [r.input(0)?, r.input(1)?, r.input(2)?];
    if r.optional(4).is_some() || r.optional(5).is_some() || r.optional(6).is_some() {
        return Err(r.no_derivative("with keys and values of the past"));
    }
    if r.grads.iter().skip(1).any(Option::is_some) {
        return Err(r.no_derivative("by its keys, values or scores"));
    }
    let mask = r.optional(3);
    let flat = r.rank(q)? == 3;
    let (heads, own) = (r.int("q_num_heads", 1), r.int("kv_num_heads", 1));
    let (causal, cap) = (r.int("is_causal", 0) != 0, r.float("softcap", 0.0));
    let given = r.node.attributes.get_float("scale").map(f64::from);
    let b = &mut *r.builder;
    let [q, k, v] = if flat { [(q, heads), (k, own), (v, own)].map(|(x, n)| apart(b, x, n)) } else { [q, k, v] };
    let (k, v) = (repeated(b, k, q), repeated(b, v, q));
    let turned = b.swap_last(k, 4);
    let scores = b.matmul(q, turned);
    let scale = match given {
        Some(scale) => b.scalar_like(scores, scale),
        None => one_over_root_of_width(b, q),
    };
    let scores = b.mul(scores, scale);
    let scores = if causal { causal_only(b, scores) } else { scores };
    let scores = mask.map_or(scores, |mask| masked(b, scores, mask));
    let scores = if cap > 0.0 { capped(b, scores, cap) } else { scores };
    let weights = b.softmax(scores, -1);
    let y = b.matmul(weights, v);
    Ok(vec![if flat { together(b, y) } else { y }])
}

/// `[batch, sequence, heads * width]` as `[batch, heads, sequence, width]`.
fn apart(b: &mut Builder, x: Value, heads: i64) -> Value {
    let shape = b.shape_of(x);
    let (lead, last) = (b.slice(shape, 0, 0, 2), b.slice(shape, 0, 2, 3));
    let heads = b.ints(&[heads]);
    let width = b.div(last, heads);
    let shape = b.concat(&[lead, heads, width], 0);
    let split = b.reshape_exactly(x, shape);
    b.transpose(split, &[0, 2, 1, 3])
}

fn together(b: &mut Builder, y: Value) -> Value {
    let turned = b.transpose(y, &[0, 2, 1, 3]);
    let shape = b.shape_of(turned);
    let (lead, last) = (b.slice(shape, 0, 0, 2), b.slice(shape, 0, 2, 4));
    let width = b.node("ReduceProd", &[last], Attributes::none().int("keepdims", 1));
    let shape = b.concat(&[lead, width], 0);
    b.reshape_exactly(turned, shape)
}

/// Keys or values once for each group of query heads that shares them.
fn repeated(b: &mut Builder, x: Value, q: Value) -> Value {
    let heads = |b: &Builder, v: Value| b.shape(v).and_then(|shape| shape.get(1).copied());
    if heads(b, x) == heads(b, q) {
        return x;
    }
    let (own, wanted) = (b.shape_of(x), b.shape_of(q));
    let (own_heads, wanted) = (b.slice(own, 0, 1, 2), b.slice(wanted, 0, 1, 2));
    let times = b.div(wanted, own_heads);
    let (rows, rest) = (b.slice(own, 0, 0, 2), b.slice(own, 0, 2, 4));
    let wide = b.unsqueeze(x, &[2]);
    let shape = b.concat(&[rows, times, rest], 0);
    let wide = b.expand_to(wide, shape);
    let row = b.slice(own, 0, 0, 1);
    let shape = b.concat(&[row, wanted, rest], 0);
    b.reshape_exactly(wide, shape)
}

fn one_over_root_of_width(b: &mut Builder, q: Value) -> Value {
    let shape = b.shape_of(q);
    let width = b.slice(shape, 0, 3, 4);
    let width = b.cast_like(width, q);
    let root = b.sqrt(width);
    b.reciprocal(root)
}

/// No position looks at a later one.
fn causal_only(b: &mut Builder, scores: Value) -> Value {
    let ones = b.filled_like(scores, 1.0);
    let seen = b.node("Trilu", &[ones], Attributes::none().int("upper", 0));
    let seen = b.cast(seen, DataType::Bool);
    let never = b.scalar_like(scores, f64::NEG_INFINITY);
    b.where_(seen, scores, never)
}

/// A mask of flags says what is looked at; one of numbers is added.
fn masked(b: &mut Builder, scores: Value, mask: Value) -> Value {
    if b.facts(mask).data_type == Some(DataType::Bool) {
        let never = b.scalar_like(scores, f64::NEG_INFINITY);
        return b.where_(mask, scores, never);
    }
    b.add(scores, mask)
}

fn capped(b: &mut Builder, scores: Value, cap: f64) -> Value {
    let small = b.mul_scalar(scores, 1.0 / cap);
    let bent = b.tanh(small);
    b.mul_scalar(bent, cap)
}
