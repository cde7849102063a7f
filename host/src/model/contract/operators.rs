//! The operators of a model's graph, counted, and whether they are ONNX's own.

use std::collections::BTreeMap;
use std::path::Path;

use super::ContractError;
use crate::graph::onnx::{GraphProto, ModelProto, NodeProto};

/// The oldest opset that ONNX Runtime runs.
const OLDEST_OPSET: i64 = 7;
/// Graphs inside of graphs (`If`, `Loop`, `Scan`) are followed to this depth.
const DEEPEST: usize = 32;

/// How often each operator stands in a model, subgraphs included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Operators {
    /// Version of ONNX's operators that the file is written for.
    pub opset: i64,
    /// By name. A scatter has its reduction behind it: `ScatterElements(add)`; without one it overwrites.
    pub counts: BTreeMap<String, usize>,
}

impl Operators {
    /// Counts the operators of `model`, read from `path`.
    ///
    /// # Errors
    /// [`ContractError::Opset`] or [`ContractError::CustomOperator`].
    pub(super) fn of(model: &ModelProto, path: &Path) -> Result<Self, ContractError> {
        let own = |domain: &str| matches!(domain, "" | "ai.onnx");
        let versions = model.opset_import.iter().filter(|import| own(import.domain()));
        let opset = versions.filter_map(|import| import.version).max().unwrap_or(1);
        if opset < OLDEST_OPSET {
            return Err(ContractError::Opset { path: path.into(), found: opset, oldest: OLDEST_OPSET });
        }
        let mut operators = Self { opset, counts: BTreeMap::new() };
        let graph = model.graph.iter().map(|graph| &graph.node[..]);
        for nodes in graph.chain(model.functions.iter().map(|function| &function.node[..])) {
            operators.count(nodes, DEEPEST, &|node| known(node, model), path)?;
        }
        Ok(operators)
    }

    fn count(
        &mut self,
        nodes: &[NodeProto],
        depth: usize,
        known: &impl Fn(&NodeProto) -> bool,
        path: &Path,
    ) -> Result<(), ContractError> {
        for node in nodes {
            if !known(node) {
                let operator = format!("{}.{}", node.domain(), node.op_type());
                let at = [Some(node.name()), node.output.first().map(String::as_str)];
                let node = at.into_iter().flatten().find(|name| !name.is_empty()).unwrap_or_default().to_owned();
                return Err(ContractError::CustomOperator { path: path.into(), node, operator });
            }
            *self.counts.entry(name(node)).or_default() += 1;
            for graph in subgraphs(node).filter(|_| depth > 0) {
                self.count(&graph.node, depth - 1, known, path)?;
            }
        }
        Ok(())
    }

    /// Nodes in all.
    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    /// Scatters that overwrite instead of adding up. Legitimate in places, but also what an exporter makes of a sum over edges
    /// when it does not know better.
    pub fn overwriting(&self) -> usize {
        ["ScatterElements", "ScatterND", "Scatter"].iter().filter_map(|name| self.counts.get(*name)).sum()
    }
}

fn name(node: &NodeProto) -> String {
    let reduction = node.attribute.iter().find(|attribute| attribute.name() == "reduction");
    let reduction = reduction.map(|attribute| String::from_utf8_lossy(attribute.s()).into_owned());
    match reduction.filter(|text| node.op_type().starts_with("Scatter") && text != "none") {
        Some(reduction) => format!("{}({reduction})", node.op_type()),
        None => node.op_type().to_owned(),
    }
}

fn subgraphs(node: &NodeProto) -> impl Iterator<Item = &GraphProto> {
    node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs))
}

/// Whether ONNX Runtime as it comes could know the operator: ONNX's own, Microsoft's, or a function that the file defines.
fn known(node: &NodeProto, model: &ModelProto) -> bool {
    let domain = node.domain();
    matches!(domain, "" | "ai.onnx" | "ai.onnx.ml")
        || domain.starts_with("com.microsoft")
        || model.functions.iter().any(|f| f.domain() == domain && f.name() == node.op_type())
}
