//! A graph in two: what follows from some of its inputs alone, and the rest.

use std::collections::HashSet;

use super::GraphError;
use super::builder::{Builder, Node, Value};
use super::onnx::ModelProto;

/// The two parts of a graph.
#[derive(Clone, Debug)]
pub struct Split {
    /// Computes what follows from the given inputs alone; has those of them that it reads.
    pub prepare: ModelProto,
    /// Computes the outputs from the other inputs and from `handed`.
    pub rest: ModelProto,
    /// Inputs of the rest that the first part has as outputs, or that are given inputs themselves.
    pub handed: Vec<String>,
}

/// Splits a model, so that what follows from the inputs `given` is computed once for many runs that differ in the others.
///
/// # Errors
/// [`GraphError`] where the graph cannot be read.
pub fn split(model: &ModelProto, given: &[&str]) -> Result<Split, GraphError> {
    let whole = Builder::as_it_is(model)?;
    let (given, others): (Vec<Value>, Vec<Value>) =
        whole.inputs.iter().partition(|value| given.contains(&whole.name(**value)));
    let varies = closure(&whole, &others);
    let follows = closure(&whole, &given);
    let reads = |node: &Node, set: &HashSet<Value>| {
        node.inputs.iter().flatten().chain(&whole.captured(node)).any(|value| set.contains(value))
    };
    let (later, first): (Vec<Node>, Vec<Node>) = whole.nodes.iter().cloned().partition(|node| reads(node, &varies));
    let needed = later.iter().flat_map(|node| node.inputs.iter().flatten().copied().chain(whole.captured(node)));
    let needed: HashSet<Value> = needed.chain(whole.outputs.iter().copied()).collect();
    // In the order of the values, which is that in which they are made.
    let mut handed: Vec<Value> =
        needed.into_iter().filter(|value| follows.contains(value) && !varies.contains(value)).collect();
    handed.sort_unstable();

    let (mut prepare, mut rest) = (whole.clone(), whole.clone());
    prepare.outputs = handed.iter().copied().filter(|value| !given.contains(value)).collect();
    // Constants are nodes of both parts where both read them.
    let constant = |node: &&Node| !reads(node, &follows);
    rest.nodes = first.iter().filter(constant).cloned().chain(later).collect();
    // What a session is given and does not read, ONNX Runtime takes from the device to the host.
    let is_read = |value: &Value| {
        first.iter().any(|node| node.inputs.iter().flatten().chain(&whole.captured(node)).any(|read| read == value))
    };
    prepare.inputs = given.into_iter().filter(is_read).collect();
    prepare.nodes = first;
    rest.inputs = others.into_iter().chain(handed.iter().copied()).collect();
    let handed = handed.into_iter().map(|value| whole.name(value).to_owned()).collect();
    Ok(Split { prepare: prepare.finish("prepare", &[])?, rest: rest.finish("rest", &[])?, handed })
}

/// Some values, and all that depend on them.
fn closure(graph: &Builder, start: &[Value]) -> HashSet<Value> {
    let mut found: HashSet<Value> = start.iter().copied().collect();
    for node in &graph.nodes {
        if node.inputs.iter().flatten().chain(&graph.captured(node)).any(|value| found.contains(value)) {
            found.extend(node.outputs.iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use ndarray::arr1;

    use super::super::onnx::GraphProto;
    use super::super::{DataType, Dim};
    use super::*;

    fn names(graph: &GraphProto) -> (Vec<&str>, Vec<&str>, Vec<&str>) {
        let input = graph.input.iter().map(|i| i.name()).collect();
        let output = graph.output.iter().map(|o| o.name()).collect();
        (input, graph.node.iter().map(|n| n.op_type()).collect(), output)
    }

    #[test]
    fn each_part_has_what_it_needs() {
        let mut b = Builder::new();
        let two = [Dim::Known(2)];
        let [w, v, x] = ["w", "v", "x"].map(|name| b.input(name, DataType::F32, &two));
        let c = b.constant(arr1(&[1.0_f32, 2.0]));
        let square = b.mul(w, w);
        let shifted = b.add(square, c);
        let moved = b.sub(x, c);
        let scaled = b.mul(moved, v);
        let y = b.div(scaled, shifted);
        b.output("y", y);
        let model = b.finish("whole", &[]).unwrap();
        let Split { prepare, rest, handed } = split(&model, &["w", "v"]).unwrap();
        let (prepare, rest) = (prepare.graph.unwrap(), rest.graph.unwrap());
        let (input, nodes, output) = names(&prepare);
        assert_eq!((input, nodes), (vec!["w"], vec!["Mul", "Add"]));
        assert_eq!(handed, ["v", output[0]]);
        let (input, nodes, outputs) = names(&rest);
        assert_eq!((input, nodes), (vec!["x", "v", output[0]], vec!["Sub", "Mul", "Div"]));
        assert_eq!(outputs, ["y"]);
        assert_eq!((prepare.initializer.len(), rest.initializer.len()), (1, 1));
    }
}
