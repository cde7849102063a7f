//! Operators of old opsets in the form of opset 18, where that is exact.

use ndarray::{Array0, Array1};

use super::super::builder::Builder;
use super::super::onnx::{AttributeProto, NodeProto};
use super::super::{Attributes, DataType, Tensor, ops};
use super::is_own;

/// The opset that old files are raised to: the first in which every reduction takes its axes as an input.
pub(super) const TARGET: i64 = 18;

/// The oldest opset that is read: before it, broadcasting had other rules. ONNX Runtime draws the same line.
const OLDEST: i64 = 7;

/// Whether every operator of the file is one whose changes up to the target are known here.
pub(super) fn can_be_raised(version: i64, nodes: &[NodeProto]) -> bool {
    let known = |node: &NodeProto| {
        !is_own(node) || node.op_type.as_deref().is_some_and(|op| op == "Scatter" || ops::is_known(op))
    };
    (OLDEST..TARGET).contains(&version) && nodes.iter().all(known)
}

/// Gives a node of opset `version` the form of the target.
pub(super) fn raise(b: &mut Builder, node: &mut NodeProto, version: i64) {
    let op = node.op_type.clone().unwrap_or_default();
    let before = |changed: i64| version < changed;
    match op.as_str() {
        "Squeeze" | "Unsqueeze" | "ReduceSum" if before(13) => ints_to_input(b, node, "axes", 1),
        "Split" if before(13) => ints_to_input(b, node, "split", 1),
        "Softmax" | "LogSoftmax" | "Hardmax" if before(13) => flatten_first(b, node),
        "Dropout" if before(12) => drop(take(node, "ratio")),
        "Clip" if before(11) => {
            floats_to_input(b, node, "min", 1);
            floats_to_input(b, node, "max", 2);
        }
        "Pad" if before(11) => {
            ints_to_input(b, node, "pads", 1);
            floats_to_input(b, node, "value", 2);
        }
        "Scatter" => node.op_type = Some("ScatterElements".into()),
        "Slice" if before(10) => {
            ["starts", "ends", "axes"].iter().zip(1..).for_each(|(name, i)| ints_to_input(b, node, name, i));
        }
        "TopK" if before(10) => {
            if let Some(k) = take(node, "k").and_then(|k| k.i) {
                let k = b.ints(&[k]);
                set_input(b, node, 1, k);
            }
        }
        "BatchNormalization" if before(9) => drop(take(node, "spatial")),
        _ => {}
    }
    if op.starts_with("Reduce") && op != "ReduceSum" {
        ints_to_input(b, node, "axes", 1);
    }
    let given = |i: usize| node.input.get(i).is_some_and(|name| !name.is_empty());
    if op == "Split" && !given(1) && !has(node, "num_outputs") {
        let parts = node.output.len() as i64;
        node.attribute.extend(Attributes::none().int("num_outputs", parts).0);
    }
}

/// Before opset 13 the axes from the given one on were flattened and normalised as one.
fn flatten_first(b: &mut Builder, node: &mut NodeProto) {
    let axis = take(node, "axis").and_then(|a| a.i).unwrap_or(1);
    let rank = node.input.first().and_then(|name| b.find(name)).and_then(|x| b.facts(x).rank());
    let last = axis == -1 || rank.is_some_and(|rank| axis == rank as i64 - 1);
    let (Some(name), false) = (node.input.first().cloned(), last) else {
        node.attribute.extend(Attributes::none().int("axis", -1).0);
        return;
    };
    let Some(x) = b.find(&name) else { return };
    // Softmax of the flattened tensor, in the shape of the first.
    let flat = b.node("Flatten", &[x], Attributes::none().int("axis", axis));
    let op = node.op_type.clone().unwrap_or_default();
    let normal = b.node(&op, &[flat], Attributes::none().int("axis", -1));
    let shape = b.shape_of(x);
    node.op_type = Some("Reshape".into());
    node.attribute = Attributes::none().int("allowzero", 1).0;
    node.input = vec![b.name(normal).to_owned(), b.name(shape).to_owned()];
}

fn has(node: &NodeProto, name: &str) -> bool {
    node.attribute.iter().any(|a| a.name.as_deref() == Some(name))
}

fn take(node: &mut NodeProto, name: &str) -> Option<AttributeProto> {
    let at = node.attribute.iter().position(|a| a.name.as_deref() == Some(name))?;
    Some(node.attribute.remove(at))
}

fn set_input(b: &Builder, node: &mut NodeProto, i: usize, value: super::Value) {
    if node.input.len() <= i {
        node.input.resize(i + 1, String::new());
    }
    node.input[i] = b.name(value).to_owned();
}

fn ints_to_input(b: &mut Builder, node: &mut NodeProto, name: &str, i: usize) {
    if let Some(attribute) = take(node, name) {
        let numbers = b.constant(Array1::from_vec(attribute.ints));
        set_input(b, node, i, numbers);
    }
}

/// A number of the type of the first input.
fn floats_to_input(b: &mut Builder, node: &mut NodeProto, name: &str, i: usize) {
    if let Some(number) = take(node, name).and_then(|a| a.f) {
        let first = node.input.first().and_then(|name| b.find(name));
        let double = first.is_some_and(|x| b.facts(x).data_type == Some(DataType::F64));
        let number: Tensor = match double {
            true => Array0::from_elem((), f64::from(number)).into(),
            false => Array0::from_elem((), number).into(),
        };
        let number = b.constant(number);
        set_input(b, node, i, number);
    }
}
