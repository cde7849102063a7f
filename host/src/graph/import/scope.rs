//! Values under other names: what a function or a branch calls its own is unique in the whole graph.

use std::collections::HashMap;

use super::super::onnx::{AttributeProto, GraphProto, NodeProto};

/// New names by old ones; names that are not in it stay.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope(HashMap<String, String>);

impl Scope {
    pub(super) fn insert(&mut self, old: &str, new: String) {
        self.0.insert(old.to_owned(), new);
    }

    /// Names for all that `nodes` make: `prefix/name`.
    pub(super) fn made_by(&mut self, nodes: &[NodeProto], prefix: &str) {
        for output in nodes.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty()) {
            if !self.0.contains_key(output) {
                self.insert(output, format!("{prefix}/{output}"));
            }
        }
    }

    pub(super) fn name(&self, old: &str) -> String {
        self.0.get(old).cloned().unwrap_or_else(|| old.to_owned())
    }

    /// The node, reading and making values under their new names; so do its subgraphs.
    pub(super) fn node(&self, node: &NodeProto) -> NodeProto {
        let renamed = |names: &[String]| names.iter().map(|name| self.name(name)).collect();
        NodeProto {
            input: renamed(&node.input),
            output: renamed(&node.output),
            attribute: node.attribute.iter().map(|attribute| self.attribute(attribute)).collect(),
            ..node.clone()
        }
    }

    fn attribute(&self, attribute: &AttributeProto) -> AttributeProto {
        if attribute.g.is_none() && attribute.graphs.is_empty() {
            return attribute.clone();
        }
        AttributeProto {
            g: attribute.g.as_ref().map(|graph| self.graph(graph)),
            graphs: attribute.graphs.iter().map(|graph| self.graph(graph)).collect(),
            ..attribute.clone()
        }
    }

    /// A subgraph keeps the names of its own values: they are not seen from outside.
    fn graph(&self, graph: &GraphProto) -> GraphProto {
        let mut inner = self.clone();
        let own = graph.input.iter().filter_map(|info| info.name.as_ref());
        let own = own.chain(graph.initializer.iter().filter_map(|tensor| tensor.name.as_ref()));
        for name in own.chain(graph.node.iter().flat_map(|node| &node.output)) {
            inner.0.remove(name);
        }
        let mut graph = graph.clone();
        graph.node.iter_mut().for_each(|node| *node = inner.node(node));
        for output in &mut graph.output {
            output.name = output.name.as_deref().map(|name| inner.name(name));
        }
        graph
    }
}
