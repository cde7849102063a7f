//! Einstein sums. Their derivative is made of transposes, matrix products and sums, which ONNX Runtime runs faster.
//!
//! By operand `k` it is the product of `g` and the other operands, summed over the labels that `k` lacks. An ellipsis stands for
//! labels of its own, counted from the last axis; of a label that an operand has twice, the diagonal is taken first.

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

/// The equation of a node whose operands have the given ranks.
fn parse(node: &Node, ranks: &[Option<usize>]) -> Result<Equation, String> {
    let text: String = node.attributes.get_string("equation").unwrap_or_default().split_whitespace().collect();
    let (left, right) = text.split_once("->").map_or((text.as_str(), None), |(l, r)| (l, Some(r)));
    let written: Vec<&str> = left.split(',').collect();
    if written.len() != node.inputs.len() {
        return Err(format!("the equation {text} is not for {} operands", node.inputs.len()));
    }
    let mut operands = Vec::with_capacity(written.len());
    let mut widest = 0;
    for (labels, rank) in written.iter().zip(ranks) {
        let hidden = match (labels.contains("..."), rank) {
            (false, _) => 0,
            (true, Some(rank)) => (rank + 3).checked_sub(labels.len()).ok_or("an operand has too few axes")?,
            (true, None) => return Err("the rank of an operand with an ellipsis is unknown".into()),
        };
        widest = hidden.max(widest);
        operands.push(spelled_out(labels, hidden)?);
    }
    let result = match right {
        Some(result) => spelled_out(result, widest)?,
        None => [ellipsis(widest), implicit(&operands)].concat(),
    };
    let all: Vec<char> = operands.concat();
    match result.iter().find(|l| !all.contains(l)) {
        Some(label) => Err(format!("label {label} of the result is in no operand")),
        None => Ok(Equation { operands, result }),
    }
}

/// Labels of the axes that an ellipsis stands for: the last axis of every operand has the same.
fn ellipsis(count: usize) -> Vec<char> {
    (0..count as u32).rev().filter_map(|i| char::from_u32(FIRST_HIDDEN + i)).collect()
}

/// No letter: the first of the code points for private use.
const FIRST_HIDDEN: u32 = 0xE000;

fn spelled_out(labels: &str, hidden: usize) -> Result<Vec<char>, String> {
    let Some((before, after)) = labels.split_once("...") else { return letters(labels) };
    Ok([letters(before)?, ellipsis(hidden), letters(after)?].concat())
}

fn letters(labels: &str) -> Result<Vec<char>, String> {
    match labels.chars().find(|c| !c.is_ascii_alphabetic()) {
        Some(other) => Err(format!("`{other}` is no label")),
        None => Ok(labels.chars().collect()),
    }
}

/// Without an arrow the result has the labels that occur once, in alphabetical order.
fn implicit(operands: &[Vec<char>]) -> Vec<char> {
    let mut all = operands.concat();
    all.sort_unstable();
    let once = |l: &&char| l.is_ascii_alphabetic() && all.iter().filter(|other| other == l).count() == 1;
    all.iter().filter(once).copied().collect()
}

fn infer(cx: InferContext) -> Inferred {
    let unknown = TypeFacts { data_type: cx.data_type(0), ..TypeFacts::default() };
    let ranks: Vec<Option<usize>> = (0..cx.inputs()).map(|i| cx.input(i).rank()).collect();
    if ranks.contains(&None) {
        return Ok(vec![unknown]);
    }
    let equation = parse(cx.node, &ranks)?;
    let mut extents: Vec<(char, Dim)> = Vec::new();
    for (i, labels) in equation.operands.iter().enumerate() {
        let Some(shape) = cx.input(i).shape else { return Ok(vec![unknown]) };
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
    let values = (0..r.node.inputs.len()).map(|i| r.input(i)).collect::<Result<Vec<_>, _>>()?;
    let ranks = values.iter().map(|value| r.rank(*value).map(Some)).collect::<Result<Vec<_>, _>>()?;
    let equation = parse(r.node, &ranks).map_err(|reason| r.fail(reason))?;
    let g = Labelled { value: r.grad()?, labels: equation.result };
    let wants = r.wants.to_vec();
    let b = r.builder;
    let mut masks = Vec::with_capacity(values.len());
    let mut operands = Vec::with_capacity(values.len());
    for (value, labels) in values.iter().zip(&equation.operands) {
        let operand = without_broadcast(b, Labelled { value: *value, labels: labels.clone() });
        let (operand, diagonals) = diagonal(b, operand);
        operands.push(operand);
        masks.push(diagonals);
    }
    let mut grads = Vec::with_capacity(operands.len());
    for (k, own) in operands.iter().enumerate() {
        grads.push(wants[k].then(|| {
            let mut product = g.clone();
            for (j, other) in operands.iter().enumerate().filter(|(j, _)| *j != k) {
                let later = operands.iter().enumerate().filter(|(i, _)| *i > j && *i != k).map(|(_, o)| o);
                let keep: Vec<char> = later.chain([own]).flat_map(|o| o.labels.iter().copied()).collect();
                product = contract(b, product, other.clone(), &keep);
            }
            let mut grad = spread(b, product, own);
            for (axis, mask) in masks[k].iter().rev() {
                let wide = b.unsqueeze(grad, &[*axis]);
                grad = b.mul(wide, *mask);
            }
            b.reshape_as(grad, values[k])
        }));
    }
    Ok(grads)
}

/// The tensor without the axes of an ellipsis along which it is broadcast for certain.
fn without_broadcast(b: &mut Builder, x: Labelled) -> Labelled {
    let shape = b.shape(x.value).unwrap_or_default();
    let narrow = |i: &usize| !x.labels[*i].is_ascii_alphabetic() && shape.get(*i) == Some(&Dim::Known(1));
    let gone: Vec<i64> = (0..x.labels.len()).filter(narrow).map(|i| i as i64).collect();
    if gone.is_empty() {
        return x;
    }
    let labels = x.labels.iter().enumerate().filter(|(i, _)| !gone.contains(&(*i as i64))).map(|(_, l)| *l).collect();
    Labelled { value: b.squeeze(x.value, &gone), labels }
}

/// The tensor with every label once, and for each that went the axis and the mask of its diagonal.
fn diagonal(b: &mut Builder, mut x: Labelled) -> (Labelled, Vec<(i64, Value)>) {
    let mut masks = Vec::new();
    while let Some((second, label)) = x.labels.iter().enumerate().find(|(i, label)| x.labels[..*i].contains(label)) {
        let first = x.labels.iter().position(|l| l == label).unwrap_or(second);
        let shape = b.shape_of(x.value);
        let extent = b.slice(shape, 0, first as i64, first as i64 + 1);
        let extent = b.squeeze(extent, &[0]);
        let positions = b.positions(extent);
        let along = |axis: usize| (0..x.labels.len() as i64).filter(move |i| *i != axis as i64).collect::<Vec<_>>();
        let (rows, columns) = (b.unsqueeze(positions, &along(first)), b.unsqueeze(positions, &along(second)));
        let equal = b.equal(rows, columns);
        let mask = b.cast_like(equal, x.value);
        let kept = b.mul(x.value, mask);
        x.value = b.reduce_sum(kept, &[second as i64], false);
        x.labels.remove(second);
        masks.push((second as i64, mask));
    }
    (x, masks)
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
