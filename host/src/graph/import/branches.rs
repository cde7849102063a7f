//! `If` nodes whose condition is certain: the branch that is taken stands for the node.

use super::super::GraphError;
use super::super::limits::MOST_NESTED;
use super::super::onnx::{GraphProto, NodeProto};
use super::scope::Scope;
use super::{Import, names_in_subgraphs, proto};

impl Import {
    /// Whether the node is an `If` that could be resolved, and was.
    pub(super) fn branch(&mut self, node: &NodeProto) -> Result<bool, GraphError> {
        if node.op_type.as_deref() != Some("If") || self.depth == MOST_NESTED {
            return Ok(false);
        }
        let condition = node.input.first().and_then(|name| self.builder.find(name));
        let condition = condition.and_then(|value| self.builder.facts(value).known_content());
        let Some([condition]) = condition.as_deref() else { return Ok(false) };
        let name = if *condition == 0 { "else_branch" } else { "then_branch" };
        let taken = node.attribute.iter().find(|a| a.name.as_deref() == Some(name)).and_then(|a| a.g.as_ref());
        let Some(graph) = taken else { return Ok(false) };
        let stem = node.name.as_deref().filter(|name| !name.is_empty()).unwrap_or("If");
        let prefix = self.builder.unique(stem);
        self.depth += 1;
        let results = self.enter(graph, &prefix, Scope::default())?;
        self.depth -= 1;
        for (result, name) in results.iter().zip(&node.output).filter(|(_, name)| !name.is_empty()) {
            self.hand_on(result, name)?;
        }
        Ok(true)
    }

    /// Adds the nodes of a subgraph, what it makes named after `prefix`; returns the names of its results.
    pub(super) fn enter(
        &mut self,
        graph: &GraphProto,
        prefix: &str,
        mut scope: Scope,
    ) -> Result<Vec<String>, GraphError> {
        for tensor in &graph.initializer {
            let old = tensor.name.clone().unwrap_or_default();
            let new = format!("{prefix}/{old}");
            let tensor = self.half.tensor(proto::from_proto(tensor)?);
            self.builder.initializer(&new, tensor);
            scope.insert(&old, new);
        }
        scope.made_by(&graph.node, prefix);
        let nodes: Vec<NodeProto> = graph.node.iter().map(|node| scope.node(node)).collect();
        self.builder.origin.read_by_name.extend(names_in_subgraphs(&nodes).into_iter().map(str::to_owned));
        for mut node in nodes {
            node.name = node.name.map(|name| format!("{prefix}/{name}"));
            self.node(node)?;
        }
        Ok(graph.output.iter().map(|output| scope.name(output.name.as_deref().unwrap_or_default())).collect())
    }

    /// Lets nodes that come later read the tensor or sequence `result` as `name`.
    fn hand_on(&mut self, result: &str, name: &str) -> Result<(), GraphError> {
        if let Some(elements) = self.sequences.get(result).cloned() {
            self.sequences.insert(name.to_owned(), elements);
        }
        let value = self.builder.find(result).ok_or_else(|| GraphError::UnknownValue {
            node: "outputs".into(),
            op: "If".into(),
            value: result.to_owned(),
        })?;
        self.bind(name, value);
        Ok(())
    }
}
