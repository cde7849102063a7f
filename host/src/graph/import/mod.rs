//! Files taken apart into a [`Builder`]: what only exporters need is resolved here, so that the rest of the graph code sees
//! plain operators.
//!
//! Functions of the file are written out ([`functions`]), operators of old opsets take the form of opset 18 ([`opset`]),
//! branches whose condition is certain are entered ([`branches`]), sequences of known length become the tensors that they
//! hold ([`sequences`]), graphs inside of a node are read one at a time ([`bodies`]), and operators that ONNX Runtime gets wrong on empty tensors are given none ([`guards`]).

mod bodies;
mod branches;
mod functions;
mod guards;
mod half;
mod opset;
mod scope;
mod sequences;

use std::collections::{HashMap, HashSet};

pub(super) use guards::{crop, pad_empty};

use super::builder::{Builder, Node, Value, names_read};
use super::file::Origin;
use super::onnx::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use super::shape::{Dim, MAX_RANK, TypeFacts};
use super::{Attributes, DataType, GraphError, limits, proto};

/// What to do with half-precision floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// Kept as they are.
    Keep,
    /// Computed in float32: ONNX Runtime has few kernels for them on the CPU, and a derivative would have three digits.
    Widen,
}

/// A file being read.
struct Import {
    builder: Builder,
    half: Half,
    /// Whether operators are kept from empty tensors.
    guarded: bool,
    /// The opset of the file's own operators.
    version: i64,
    /// Sequences whose elements are known, by name.
    sequences: HashMap<String, Vec<Value>>,
    /// Nesting of branches.
    depth: usize,
}

impl Builder {
    /// Takes a model apart: nodes in order, shapes inferred anew. Its outputs are kept as outputs.
    ///
    /// # Errors
    /// [`GraphError`] when the graph reads values that do not exist, or an operator is used against its definition.
    pub fn from_model(model: &ModelProto) -> Result<Self, GraphError> {
        Self::import(model, Half::Keep)
    }

    /// As [`Self::from_model`], for a model that went through it before: operators are not kept from empty tensors again.
    pub(super) fn as_it_is(model: &ModelProto) -> Result<Self, GraphError> {
        Self::read_model(model, Half::Keep, false)
    }

    pub(super) fn import(model: &ModelProto, half: Half) -> Result<Self, GraphError> {
        Self::read_model(model, half, true)
    }

    fn read_model(model: &ModelProto, half: Half, guarded: bool) -> Result<Self, GraphError> {
        let graph = model.graph.as_ref().ok_or_else(|| GraphError::Decode { reason: "it holds no graph".into() })?;
        let nodes = functions::written_out(model, graph)?;
        let own = |o: &&OperatorSetIdProto| matches!(o.domain.as_deref(), None | Some("" | "ai.onnx"));
        let version = model.opset_import.iter().find(own).and_then(|o| o.version).unwrap_or(1);
        let mut builder = Self::new();
        builder.opset = if opset::can_be_raised(version, &nodes) { opset::TARGET } else { version };
        builder.origin = Origin {
            opsets: model.opset_import.iter().filter(|o| !own(o)).cloned().collect(),
            metadata: model.metadata_props.clone(),
            declared: HashMap::new(),
            read_by_name: names_to_keep(graph, &nodes),
        };
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().and_then(|v| v.name.clone()).unwrap_or_default();
            return Err(GraphError::Tensor { name, reason: "sparse tensors are not supported".into() });
        }
        let mut import = Import { builder, half, guarded, version, sequences: HashMap::new(), depth: 0 };
        import.ports(graph)?;
        for node in nodes {
            import.node(node)?;
        }
        import.outputs(graph)?;
        if let Some(error) = import.builder.error {
            return Err(error);
        }
        if guarded {
            limits::check_tensors(&import.builder)?;
        }
        Ok(import.builder)
    }
}

fn names_to_keep(graph: &GraphProto, nodes: &[NodeProto]) -> HashSet<String> {
    let outputs = graph.output.iter().filter_map(|output| output.name.as_deref());
    outputs.chain(names_in_subgraphs(nodes)).map(str::to_owned).collect()
}

/// What subgraphs read by name.
fn names_in_subgraphs(nodes: &[NodeProto]) -> Vec<&str> {
    let mut names = Vec::new();
    nodes.iter().flat_map(|node| &node.attribute).for_each(|attribute| names_read(attribute, &mut names));
    names
}

impl Import {
    fn ports(&mut self, graph: &GraphProto) -> Result<(), GraphError> {
        for tensor in &graph.initializer {
            let name = tensor.name.clone().unwrap_or_default();
            let tensor = self.half.tensor(proto::from_proto(tensor)?);
            self.builder.initializer(&name, tensor);
        }
        for info in &graph.input {
            let name = info.name.clone().unwrap_or_default();
            if self.builder.find(&name).is_none() {
                let facts = self.read_type(info);
                let value = self.builder.insert(name, facts);
                self.builder.inputs.push(value);
                self.builder.origin.declared.insert(value, info.clone());
            }
        }
        Ok(())
    }

    fn outputs(&mut self, graph: &GraphProto) -> Result<(), GraphError> {
        for info in &graph.output {
            let name = info.name.clone().unwrap_or_default();
            let value = self.builder.find(&name).ok_or_else(|| GraphError::UnknownValue {
                node: "outputs".into(),
                op: "graph".into(),
                value: name,
            })?;
            self.builder.outputs.push(value);
            let declared = self.read_type(info).data_type;
            if self.half == Half::Keep || declared.is_none_or(|t| !t.is_half()) {
                self.builder.origin.declared.entry(value).or_insert_with(|| info.clone());
            }
        }
        Ok(())
    }

    fn read_type(&mut self, info: &ValueInfoProto) -> TypeFacts {
        let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            return TypeFacts::default();
        };
        let shape = tensor.shape.as_ref().map(|shape| {
            let read = |dim: &tensor_shape_proto::Dimension| match &dim.value {
                Some(tensor_shape_proto::dimension::Value::DimValue(n)) if *n >= 0 => Dim::Known(*n),
                Some(tensor_shape_proto::dimension::Value::DimParam(name)) if !name.is_empty() => {
                    self.builder.symbols.named(name)
                }
                _ => self.builder.symbols.fresh(),
            };
            shape.dim.iter().map(read).collect()
        });
        let shape = shape.filter(|shape: &Vec<Dim>| shape.len() <= MAX_RANK);
        TypeFacts { data_type: tensor.elem_type.and_then(DataType::from_onnx), shape, content: None }
    }

    /// One node of the file, or what stands for it.
    fn node(&mut self, mut proto: NodeProto) -> Result<(), GraphError> {
        if proto.overload.as_deref().is_some_and(|overload| !overload.is_empty()) {
            let reason = "overloaded functions are not supported".to_owned();
            return Err(GraphError::Node {
                node: proto.name.unwrap_or_default(),
                op: proto.op_type.unwrap_or_default(),
                reason,
            });
        }
        self.half.attributes(&mut proto);
        if is_own(&proto) {
            if self.version < self.builder.opset {
                opset::raise(&mut self.builder, &mut proto, self.version);
            }
            if self.branch(&proto)? || self.sequence(&proto)? {
                return Ok(());
            }
        }
        let node = self.builder.read(&proto)?;
        let stand_in = if self.guarded { guards::guarded(&mut self.builder, &node) } else { None };
        if let Some(made) = stand_in {
            let names = proto.output.iter().zip(made).filter(|(name, _)| !name.is_empty());
            names.for_each(|(name, value)| self.bind(name, value));
        } else {
            let outputs = proto.output.iter().map(|o| (!o.is_empty()).then(|| o.clone())).collect();
            self.builder.push(node, outputs);
        }
        self.builder.error.clone().map_or(Ok(()), Err)
    }

    /// Lets nodes that come later read `value` as `name`.
    fn bind(&mut self, name: &str, value: Value) {
        if self.builder.origin.is_read_by_name(name) {
            let node = Node::new("Identity", self.builder.unique("Identity"), vec![Some(value)], Attributes::none());
            self.builder.push(node, vec![Some(name.to_owned())]);
        } else {
            self.builder.alias(name.to_owned(), value);
        }
    }
}

fn is_own(node: &NodeProto) -> bool {
    matches!(node.domain.as_deref(), None | Some("" | "ai.onnx"))
}
