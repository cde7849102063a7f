//! Functions that a file defines for itself, written out where they are called.

use std::collections::HashMap;

use super::super::GraphError;
use super::super::limits::{MOST_CALLS, MOST_NODES};
use super::super::onnx::{AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto};
use super::scope::Scope;

type Functions<'a> = HashMap<(&'a str, &'a str), &'a FunctionProto>;

/// The nodes of the graph, with the body of a function for each call.
pub(super) fn written_out(model: &ModelProto, graph: &GraphProto) -> Result<Vec<NodeProto>, GraphError> {
    let key = |function: &'_ FunctionProto| (function.domain.clone(), function.name.clone());
    let named = |f: &&FunctionProto| key(f).1.is_some();
    let functions: Functions<'_> = model
        .functions
        .iter()
        .filter(named)
        .map(|f| ((f.domain.as_deref().unwrap_or_default(), f.name.as_deref().unwrap_or_default()), f))
        .collect();
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut calls = 0;
    for node in &graph.node {
        write_out(node.clone(), &functions, &mut nodes, &mut calls, 0)?;
    }
    Ok(nodes)
}

fn write_out(
    node: NodeProto,
    functions: &Functions<'_>,
    nodes: &mut Vec<NodeProto>,
    calls: &mut usize,
    depth: usize,
) -> Result<(), GraphError> {
    let op = node.op_type.clone().unwrap_or_default();
    let fail = |reason: &str| GraphError::Node {
        node: node.name.clone().unwrap_or_default(),
        op: op.clone(),
        reason: reason.to_owned(),
    };
    let called = (node.domain.as_deref().unwrap_or_default(), node.op_type.as_deref().unwrap_or_default());
    let overloaded = node.overload.as_deref().is_some_and(|overload| !overload.is_empty());
    let Some(function) = functions.get(&called).filter(|_| !overloaded) else {
        nodes.push(node);
        let too_large = || GraphError::TooLarge { what: "nodes", most: MOST_NODES };
        return if nodes.len() > MOST_NODES { Err(too_large()) } else { Ok(()) };
    };
    if depth == MOST_CALLS {
        return Err(fail("functions call one another without an end"));
    }
    *calls += 1;
    let prefix = format!("{}/{calls}", node.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&op));
    let mut scope = Scope::default();
    for (i, parameter) in function.input.iter().enumerate() {
        scope.insert(parameter, node.input.get(i).cloned().unwrap_or_default());
    }
    for (parameter, result) in function.output.iter().zip(&node.output).filter(|(_, result)| !result.is_empty()) {
        scope.insert(parameter, result.clone());
    }
    scope.made_by(&function.node, &prefix);
    // An output that is an input is handed on.
    for (parameter, result) in function.output.iter().zip(&node.output).filter(|(p, _)| function.input.contains(p)) {
        let given = function.input.iter().position(|input| input == parameter).and_then(|i| node.input.get(i));
        nodes.push(NodeProto {
            op_type: Some("Identity".into()),
            input: given.cloned().into_iter().collect(),
            output: vec![result.clone()],
            ..NodeProto::default()
        });
    }
    for inner in &function.node {
        let mut inner = scope.node(inner);
        inner.name = inner.name.map(|name| format!("{prefix}/{name}"));
        resolve(&mut inner.attribute, function, &node.attribute);
        write_out(inner, functions, nodes, calls, depth + 1)?;
    }
    Ok(())
}

/// Attributes that refer to those of the call; an absent one is left out.
fn resolve(attributes: &mut Vec<AttributeProto>, function: &FunctionProto, given: &[AttributeProto]) {
    let named = |list: &[AttributeProto], name: &str| list.iter().find(|a| a.name.as_deref() == Some(name)).cloned();
    attributes.retain_mut(|attribute| {
        for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
            graph.node.iter_mut().for_each(|node| resolve(&mut node.attribute, function, given));
        }
        let Some(reference) = attribute.ref_attr_name.clone().filter(|name| !name.is_empty()) else { return true };
        let found = named(given, &reference).or_else(|| named(&function.attribute_proto, &reference));
        let Some(found) = found else { return false };
        *attribute = AttributeProto { name: attribute.name.clone(), ..found };
        true
    });
}
