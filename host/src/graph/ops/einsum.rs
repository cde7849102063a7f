//! Einstein sums. Their derivative is made of transposes, matrix products and sums, which ONNX Runtime runs faster.
//!
//! By operand `k` it is the product of `g` and the other operands, summed over the labels that `k` lacks. Refused: an ellipsis,
//! and a label twice in one operand.

use super::context::{InferContext, Inferred};
use super::{Derivative, GraphError, InputGrads, Operator, Reverse};
use crate::graph::shape::TypeFacts;
use crate::graph::{Builder, Dim, Node, Value};

pub(super) const EINSUM: Operator = Operator { infer, derivative: Derivative::Rule(reverse) };

/// The labels of each operand and of the result.
struct Equation {
    operands: Vec<Vec<char>>,
    result: Vec<char>,
}

/// A tensor whose axes have labels.
#[derive(Clone)]
struct Labelled {
    value: Value,
    labels: Vec<char>,
}

fn parse(node: &Node) -> Result<Equation, String> {
    let text: String = node.attributes.get_string("equation").unwrap_or_default().split_whitespace().collect();
    let (left, right) = text.split_once("->").map_or((text.as_str(), None), |(l, r)| (l, Some(r)));
    let operands: Vec<Vec<char>> = left.split(',').map(|o| o.chars().collect()).collect();
    if operands.len() != node.inputs.len() {
        return Err(format!("the equation {text} is not for {} operands", node.inputs.len()));
    }
    let result = right.map_or_else(|| implicit(&operands), |r| r.chars().collect());
    let all: Vec<char> = operands.concat();
    match result.iter().find(|l| !all.contains(l)) {
        Some(label) => Err(format!("label {label} of the result is in no operand")),
        None => Ok(Equation { operands, result }),
    }
}

/// Without an arrow the result has the labels that occur once, in alphabetical order.
fn implicit(operands: &[Vec<char>]) -> Vec<char> {
    let mut all = operands.concat();
    all.sort_unstable();
    let once = |l: &&char| all.iter().filter(|other| other == l).count() == 1 || **l == '.';
    all.iter().filter(once).copied().collect()
}

fn infer(cx: InferContext) -> Inferred {
    let equation = parse(cx.node)?;
    let unknown = TypeFacts { data_type: cx.data_type(0), ..TypeFacts::default() };
    let mut extents: Vec<(char, Dim)> = Vec::new();
    for (i, labels) in equation.operands.iter().enumerate() {
        let Some(shape) = cx.input(i).shape else { return Ok(vec![unknown]) };
        if labels.contains(&'.') {
            return Ok(vec![unknown]);
        }
        if labels.len() != shape.len() {
            return Err(format!("{} labels for an operand of rank {}", labels.len(), shape.len()));
        }
        for (label, dim) in labels.iter().zip(shape) {
            match extents.iter_mut().find(|known| known.0 == *label) {
                Some(known) => {
                    let both = cx.symbols.broadcast(known.1, dim);
                    known.1 = both.ok_or_else(|| format!("label {label} has extents {:?} and {dim:?}", known.1))?;
                }
                None => extents.push((*label, dim)),
            }
        }
    }
    let shape = equation.result.iter().filter_map(|l| extents.iter().find(|known| known.0 == *l)).map(|e| e.1);
    Ok(vec![TypeFacts { shape: Some(shape.collect()), ..unknown }])
}

fn reverse(r: Reverse) -> Result<InputGrads, GraphError> {
    let equation = parse(r.node).map_err(|reason| r.fail(reason))?;
    for labels in &equation.operands {
        if labels.contains(&'.') {
            return Err(r.no_derivative("with an ellipsis"));
        }
        if labels.iter().enumerate().any(|(i, label)| labels[..i].contains(label)) {
            return Err(r.no_derivative("with a label twice in one operand"));
        }
    }
    let g = Labelled { value: r.grad()?, labels: equation.result };
    let labelled = |(i, labels): (usize, &Vec<char>)| Ok(Labelled { value: r.input(i)?, labels: labels.clone() });
    let operands = equation.operands.iter().enumerate().map(labelled).collect::<Result<Vec<_>, GraphError>>()?;
    let by = |(k, own): (usize, &Labelled)| {
        r.wants(k).then(|| {
            let mut product = g.clone();
            for (j, other) in operands.iter().enumerate().filter(|(j, _)| *j != k) {
                let later = operands.iter().enumerate().filter(|(i, _)| *i > j && *i != k).map(|(_, o)| o);
                let keep: Vec<char> = later.chain([own]).flat_map(|o| o.labels.iter().copied()).collect();
                product = contract(r.builder, product, other.clone(), &keep);
            }
            spread(r.builder, product, own)
        })
    };
    let mut grads = Vec::with_capacity(operands.len());
    let mut by = by;
    for pair in operands.iter().enumerate() {
        grads.push(by(pair));
    }
    Ok(grads)
}

/// The product of two tensors, summed over the labels that are not in `keep`.
fn contract(b: &mut Builder, x: Labelled, y: Labelled, keep: &[char]) -> Labelled {
    let x = sum_unless(b, x, |l| y.labels.contains(l) || keep.contains(l));
    let y = sum_unless(b, y, |l| x.labels.contains(l) || keep.contains(l));
    let (shared, left): (Vec<char>, Vec<char>) = x.labels.iter().partition(|l| y.labels.contains(l));
    let (batch, summed): (Vec<char>, Vec<char>) = shared.iter().partition(|l| keep.contains(l));
    let right: Vec<char> = y.labels.iter().copied().filter(|l| !shared.contains(l)).collect();
    let (first, second, third) = (batch.len(), left.len(), right.len());
    let labels = [&batch[..], &left, &right].concat();
    if summed.is_empty() {
        let x = order(b, &x, &[&batch[..], &left].concat());
        let y = order(b, &y, &[&batch[..], &right].concat());
        let trailing: Vec<i64> = (first + second..first + second + third).map(|i| i as i64).collect();
        let middle: Vec<i64> = (first..first + second).map(|i| i as i64).collect();
        let x = if trailing.is_empty() { x } else { b.unsqueeze(x, &trailing) };
        let y = if middle.is_empty() { y } else { b.unsqueeze(y, &middle) };
        return Labelled { value: b.mul(x, y), labels };
    }
    let x = order(b, &x, &[&batch[..], &left, &summed].concat());
    let y = order(b, &y, &[&batch[..], &summed, &right].concat());
    let rows = merge(b, x, first + second, summed.len());
    let rows = merge(b, rows, first, second);
    let columns = merge(b, y, first + summed.len(), third);
    let columns = merge(b, columns, first, summed.len());
    let product = b.matmul(rows, columns);
    if second == 1 && third == 1 {
        return Labelled { value: product, labels };
    }
    let (above, below) = (b.shape_of(x), b.shape_of(y));
    let kept = b.slice(above, 0, 0, (first + second) as i64);
    let added = b.slice(below, 0, (first + summed.len()) as i64, i64::MAX);
    let shape = b.concat(&[kept, added], 0);
    Labelled { value: b.reshape_exactly(product, shape), labels }
}

/// Sums over the labels that fail the test.
fn sum_unless(b: &mut Builder, x: Labelled, keep: impl Fn(&char) -> bool) -> Labelled {
    let gone: Vec<i64> = (0..x.labels.len()).filter(|i| !keep(&x.labels[*i])).map(|i| i as i64).collect();
    if gone.is_empty() {
        return x;
    }
    let value = b.reduce_sum(x.value, &gone, false);
    Labelled { value, labels: x.labels.into_iter().filter(keep).collect() }
}

/// The axes in the order of `labels`, which are a permutation of the tensor's own.
fn order(b: &mut Builder, x: &Labelled, labels: &[char]) -> Value {
    if x.labels == labels {
        return x.value;
    }
    let axis = |l: &char| x.labels.iter().position(|own| own == l).map(|i| i as i64);
    let axes: Vec<i64> = labels.iter().filter_map(axis).collect();
    b.transpose(x.value, &axes)
}

/// `count` axes from `start` on made one.
fn merge(b: &mut Builder, x: Value, start: usize, count: usize) -> Value {
    let (start, end) = (start as i64, (start + count) as i64);
    match count {
        0 => b.unsqueeze(x, &[start]),
        1 => x,
        _ => {
            let shape = b.shape_of(x);
            let inner = b.slice(shape, 0, start, end);
            let merged = b.node("ReduceProd", &[inner], crate::graph::Attributes::none().int("keepdims", 1));
            let parts = [b.slice(shape, 0, 0, start), merged, b.slice(shape, 0, end, i64::MAX)];
            let target = b.concat(&parts, 0);
            b.reshape_exactly(x, target)
        }
    }
}

/// The tensor with the axes of `like`, repeated along those that it lacks.
fn spread(b: &mut Builder, x: Labelled, like: &Labelled) -> Value {
    let present: Vec<char> = like.labels.iter().copied().filter(|l| x.labels.contains(l)).collect();
    let ordered = order(b, &x, &present);
    let missing = like.labels.iter().enumerate().filter(|(_, l)| !present.contains(l));
    let missing: Vec<i64> = missing.map(|(i, _)| i as i64).collect();
    if missing.is_empty() {
        return b.sum_to_shape_of(ordered, like.value);
    }
    let wide = b.unsqueeze(ordered, &missing);
    b.expand_as(wide, like.value)
}
