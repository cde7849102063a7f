//! Graphs inside of a node: the branches of an `If`, the bodies of `Loop` and `Scan`. They read values of the graph around them by
//! name, and what they make is not seen from outside.

use std::collections::HashMap;

use super::super::GraphError;
use super::super::builder::{Builder, Node, Value};
use super::super::onnx::GraphProto;
use super::{Half, Import, names_to_keep};

/// What a builder holds of the graph around the one that it is reading.
struct Around {
    nodes: Vec<Node>,
    inputs: Vec<Value>,
    initializers: Vec<Value>,
    outputs: Vec<Value>,
    small: HashMap<Vec<u8>, Value>,
    /// The names that the graph inside gives to values of its own, and the values around it that have them, too.
    names: Vec<(String, Option<Value>)>,
}

impl Builder {
    /// Reads a graph inside of a node of this one, lets `work` change its nodes, and returns it as it is then.
    ///
    /// # Errors
    /// [`GraphError`] when it cannot be read, or a mistake in `work`; this builder is as it was.
    pub(in super::super) fn inside<R>(
        &mut self,
        graph: &GraphProto,
        work: impl FnOnce(&mut Self) -> R,
    ) -> Result<(GraphProto, R), GraphError> {
        let around = self.set_aside(graph);
        let version = self.opset;
        let builder = std::mem::take(self);
        let mut import =
            Import { builder, half: Half::Keep, guarded: false, version, sequences: HashMap::new(), depth: 0 };
        let read = import.body(graph);
        *self = import.builder;
        let done = read.map(|()| (work(self), self.as_body(graph)));
        let mistake = self.error.take();
        self.take_back(around);
        match (done, mistake) {
            (Ok((done, body)), None) => Ok((body, done)),
            (Err(error), _) | (_, Some(error)) => Err(error),
        }
    }

    fn set_aside(&mut self, graph: &GraphProto) -> Around {
        let inputs = graph.input.iter().filter_map(|info| info.name.as_ref());
        let constants = graph.initializer.iter().filter_map(|tensor| tensor.name.as_ref());
        let made = graph.node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty());
        let own = inputs.chain(constants).chain(made);
        Around {
            names: own.map(|name| (name.clone(), self.by_name.remove(name))).collect(),
            nodes: std::mem::take(&mut self.nodes),
            inputs: std::mem::take(&mut self.inputs),
            initializers: std::mem::take(&mut self.initializers),
            outputs: std::mem::take(&mut self.outputs),
            small: std::mem::take(&mut self.small),
        }
    }

    fn take_back(&mut self, around: Around) {
        let Around { nodes, inputs, initializers, outputs, small, names } = around;
        (self.nodes, self.inputs, self.initializers, self.outputs) = (nodes, inputs, initializers, outputs);
        self.small = small;
        for (name, value) in names.into_iter().rev() {
            match value {
                Some(value) => self.by_name.insert(name, value),
                None => self.by_name.remove(&name),
            };
        }
    }

    /// The graph at hand in the place of `read`, whose inputs and outputs it has.
    fn as_body(&self, read: &GraphProto) -> GraphProto {
        let (node, initializer) = (self.node_protos(), self.initializer_protos());
        GraphProto {
            node,
            initializer,
            name: read.name.clone(),
            input: read.input.clone(),
            output: read.output.clone(),
            ..GraphProto::default()
        }
    }
}

impl Import {
    fn body(&mut self, graph: &GraphProto) -> Result<(), GraphError> {
        if graph.sparse_initializer.is_empty() {
            self.builder.origin.read_by_name.extend(names_to_keep(graph, &graph.node));
            self.ports(graph)?;
            graph.node.iter().try_for_each(|node| self.node(node.clone()))?;
            return self.outputs(graph);
        }
        let reason = "sparse tensors are not supported".to_owned();
        Err(GraphError::Tensor { name: graph.name().to_owned(), reason })
    }
}
