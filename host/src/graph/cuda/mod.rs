//! Graphs as ONNX Runtime's CUDA provider can run them.
//!
//! The provider accepts operators that then fail when they run, and leaves others to the processor. Before a graph is loaded
//! for CUDA, [`for_cuda`] writes such operators as others that the provider has; [`table`] says what it lacks. Each file beside
//! this one holds one kind of rewrite and states its error. A graph that runs on the processor never goes through here.
//!
//! Subgraphs (`If`, `Loop`, `Scan`) are left as they are: nothing is known of the types inside.

mod arcs;
mod bodies;
mod determinant;
mod detours;
mod extremes;
mod hyperbolic;
mod scatter;
mod series;
mod sums;
mod table;
mod tangent;
mod variadic;

pub use table::{Obstacle, TABLE_OF, Trouble};

use std::collections::BTreeMap;

use super::builder::{Builder, Node, Value};
use super::onnx::{ModelProto, NodeProto};
use super::{Attributes, DataType, GraphError};

/// What stands for the one output of a node, made of operators that CUDA has; `None` if the rewrite is not for this node.
type Rewrite = fn(&mut Builder, &Node) -> Option<Value>;

/// Operators and what rewrites them.
const REWRITES: [(&[&str], Rewrite); 10] = [
    (scatter::OPERATORS, scatter::rewrite),
    (variadic::OPERATORS, variadic::rewrite),
    (arcs::OPERATORS, arcs::rewrite),
    (hyperbolic::OPERATORS, hyperbolic::rewrite),
    (tangent::OPERATORS, tangent::rewrite),
    (extremes::OPERATORS, extremes::rewrite),
    (sums::OPERATORS, sums::rewrite),
    (determinant::OPERATORS, determinant::rewrite),
    (detours::OPERATORS, detours::rewrite),
    (sums::EXPONENTIALS, sums::log_sum_exp),
];

/// A model, made ready for the CUDA provider.
#[derive(Clone, Debug, Default)]
pub struct ForCuda {
    /// The model as it should be loaded; `None` where it is good as it is.
    pub rewritten: Option<ModelProto>,
    /// How many nodes of each operator were written as others.
    pub replaced: BTreeMap<String, usize>,
    /// What the provider still cannot run as it runs others, node by node.
    pub obstacles: Vec<Obstacle>,
}

impl ForCuda {
    /// Whether some node needs cuDNN.
    pub fn needs_cudnn(&self) -> bool {
        self.obstacles.iter().any(|obstacle| obstacle.trouble == Trouble::NeedsCudnn)
    }
}

/// The model for the CUDA provider.
///
/// # Errors
/// [`GraphError`] where its graph cannot be read.
pub fn for_cuda(model: &ModelProto) -> Result<ForCuda, GraphError> {
    let Some(graph) = &model.graph else { return Ok(ForCuda::default()) };
    let listed = |op: &str| table::is_listed(op) || REWRITES.iter().any(|(operators, _)| operators.contains(&op));
    // Most graphs are large and need nothing. A function may hold any operator.
    if model.functions.is_empty() && !operators(&graph.node).iter().any(|op| listed(op)) {
        return Ok(ForCuda::default());
    }
    let mut builder = Builder::as_it_is(model)?;
    let mut prepared = ForCuda::default();
    rewrite(&mut builder, &mut prepared);
    if !prepared.replaced.is_empty() {
        prepared.rewritten = Some(builder.finish(graph.name(), &[])?);
    }
    Ok(prepared)
}

/// The operators of nodes and of their subgraphs.
fn operators(nodes: &[NodeProto]) -> Vec<&str> {
    let mut found: Vec<&str> = nodes.iter().map(NodeProto::op_type).collect();
    for attribute in nodes.iter().flat_map(|node| &node.attribute) {
        attribute.g.iter().chain(&attribute.graphs).for_each(|graph| found.extend(operators(&graph.node)));
    }
    found
}

/// Rewrites the nodes of a graph and of those inside of it, and notes what was done and what is left.
fn rewrite(b: &mut Builder, prepared: &mut ForCuda) {
    for mut node in std::mem::take(&mut b.nodes) {
        bodies::rewrite_inside(b, &mut node, prepared);
        let first = b.nodes.len();
        match stand_in(b, &node).zip(only_output(&node)) {
            Some((made, output)) => {
                put_in_place(b, first, made, output);
                *prepared.replaced.entry(node.op).or_default() += 1;
            }
            None => b.nodes.push(node),
        }
    }
    prepared.obstacles.extend(table::obstacles(b));
}

fn stand_in(b: &mut Builder, node: &Node) -> Option<Value> {
    only_output(node)?;
    if !matches!(node.domain.as_str(), "" | "ai.onnx") {
        return None;
    }
    let (first, values) = (b.nodes.len(), b.initializers.len());
    let rewrites = REWRITES.iter().filter(|(operators, _)| operators.contains(&node.op.as_str()));
    let made = rewrites.into_iter().find_map(|(_, rewrite)| rewrite(b, node));
    if made.is_none() {
        // Whatever a rewrite made before it gave up.
        b.nodes.truncate(first);
        b.initializers.truncate(values);
    }
    made
}

/// The output of a node that makes no other.
fn only_output(node: &Node) -> Option<Value> {
    let mut made = node.outputs.iter().flatten();
    made.next().copied().filter(|_| made.next().is_none())
}

/// Lets the last of the nodes from `first` on make the value that the rest of the graph reads, under its name.
fn put_in_place(b: &mut Builder, first: usize, made: Value, output: Value) {
    let last = b.nodes.len().checked_sub(1).filter(|last| *last >= first && b.nodes[*last].outputs == [Some(made)]);
    let last = last.unwrap_or_else(|| {
        b.node("Identity", &[made], Attributes::none());
        b.nodes.len() - 1
    });
    b.nodes[last].outputs = vec![Some(output)];
}

fn input(node: &Node, i: usize) -> Option<Value> {
    node.inputs.get(i).copied().flatten()
}

fn data_type(b: &Builder, value: Value) -> Option<DataType> {
    b.facts(value).data_type
}

/// The input of an operator of one float32 tensor. Others have no kernel on the processor either.
fn float32(b: &Builder, node: &Node) -> Option<Value> {
    input(node, 0).filter(|x| data_type(b, *x) == Some(DataType::F32))
}
