//! ONNX files as graphs and back.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use prost::Message;

use super::builder::{Builder, Value};
use super::onnx::{
    FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use super::shape::{Dim, MAX_RANK, TypeFacts};
use super::{DataType, GraphError, Tensor, proto};

/// Decodes the bytes of an `.onnx` file.
///
/// # Errors
/// [`GraphError::Decode`] when they are not an ONNX model with a graph.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, GraphError> {
    let decode = |reason: String| GraphError::Decode { reason };
    let model = ModelProto::decode(bytes).map_err(|e| decode(e.to_string()))?;
    match &model.graph {
        Some(graph) if !graph.node.is_empty() => Ok(model),
        _ => Err(decode("it holds no graph".into())),
    }
}

/// Encodes a model as the bytes of an `.onnx` file.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// What a model carries besides its graph: kept as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// Versions of other operator sets.
    opsets: Vec<OperatorSetIdProto>,
    functions: Vec<FunctionProto>,
    metadata: Vec<StringStringEntryProto>,
    /// Inputs and outputs as declared.
    declared: HashMap<Value, ValueInfoProto>,
}

/// Turns inputs into constants of the model, so that whatever depends on them alone is computed once, when the model is loaded.
pub fn fix_inputs<'a>(model: &mut ModelProto, values: impl IntoIterator<Item = (&'a str, Tensor)>) {
    let Some(graph) = &mut model.graph else { return };
    let values: BTreeMap<&str, Tensor> = values.into_iter().collect();
    let fixed = |input: &ValueInfoProto| input.name.as_deref().is_some_and(|name| values.contains_key(name));
    graph.input.retain(|input| !fixed(input));
    graph.initializer.extend(values.iter().map(|(name, tensor)| proto::to_proto(name, tensor)));
}

impl Builder {
    /// Takes a model apart: nodes in order, shapes inferred anew. Its outputs are kept as outputs.
    ///
    /// # Errors
    /// [`GraphError`] when the graph reads values that do not exist, or an operator is used against its definition.
    pub fn from_model(model: &ModelProto) -> Result<Self, GraphError> {
        let graph = model.graph.as_ref().ok_or_else(|| GraphError::Decode { reason: "it holds no graph".into() })?;
        let mut builder = Self::new();
        let own = |o: &&OperatorSetIdProto| matches!(o.domain.as_deref(), None | Some("" | "ai.onnx"));
        builder.opset = model.opset_import.iter().find(own).and_then(|o| o.version).unwrap_or(1);
        builder.origin = Origin {
            opsets: model.opset_import.iter().filter(|o| !own(o)).cloned().collect(),
            functions: model.functions.clone(),
            metadata: model.metadata_props.clone(),
            declared: HashMap::new(),
        };
        if let Some(sparse) = graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().and_then(|v| v.name.clone()).unwrap_or_default();
            return Err(GraphError::Tensor { name, reason: "sparse tensors are not supported".into() });
        }
        for tensor in &graph.initializer {
            let name = tensor.name.clone().unwrap_or_default();
            builder.initializer(&name, proto::from_proto(tensor)?);
        }
        for info in &graph.input {
            let name = info.name.clone().unwrap_or_default();
            if builder.find(&name).is_none() {
                let known = builder.read_type(info);
                let value = builder.insert(name, known);
                builder.inputs.push(value);
                builder.origin.declared.insert(value, info.clone());
            }
        }
        for node in &graph.node {
            builder.push_proto(node)?;
        }
        for info in &graph.output {
            let name = info.name.clone().unwrap_or_default();
            let value = builder.find(&name).ok_or_else(|| GraphError::UnknownValue {
                node: "outputs".into(),
                op: "graph".into(),
                value: name,
            })?;
            builder.outputs.push(value);
            builder.origin.declared.entry(value).or_insert_with(|| info.clone());
        }
        builder.error.clone().map_or(Ok(builder), Err)
    }

    fn read_type(&mut self, info: &ValueInfoProto) -> TypeFacts {
        let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
            return TypeFacts::default();
        };
        let shape = tensor.shape.as_ref().map(|shape| {
            let read = |dim: &tensor_shape_proto::Dimension| match &dim.value {
                Some(tensor_shape_proto::dimension::Value::DimValue(n)) if *n >= 0 => Dim::Known(*n),
                Some(tensor_shape_proto::dimension::Value::DimParam(name)) if !name.is_empty() => {
                    self.symbols.named(name)
                }
                _ => self.symbols.fresh(),
            };
            shape.dim.iter().map(read).collect()
        });
        let shape = shape.filter(|shape: &Vec<Dim>| shape.len() <= MAX_RANK);
        TypeFacts { data_type: tensor.elem_type.and_then(DataType::from_onnx), shape, content: None }
    }

    /// The finished model, without the nodes that no output needs. `metadata` becomes the file's `metadata_props`,
    /// beside those of the model that the graph was taken from, if any; of equal keys the new one stands.
    ///
    /// # Errors
    /// The first mistake made while building.
    pub fn finish(mut self, name: &str, metadata: &[(&str, &str)]) -> Result<ModelProto, GraphError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        self.prune();
        let graph = GraphProto {
            name: Some(name.to_owned()),
            input: self.inputs.iter().map(|v| self.value_info(*v)).collect(),
            output: self.outputs.iter().map(|v| self.value_info(*v)).collect(),
            initializer: self
                .initializers
                .iter()
                .filter_map(|v| self.values[v.0 as usize].constant.as_ref().map(|t| proto::to_proto(self.name(*v), t)))
                .collect(),
            node: self.nodes.iter().map(|n| self.node_proto(n)).collect(),
            ..GraphProto::default()
        };
        let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
            key: Some((*key).to_owned()),
            value: Some((*value).to_owned()),
        };
        let own = OperatorSetIdProto { domain: Some(String::new()), version: Some(self.opset) };
        let foreign: BTreeSet<&str> = self.nodes.iter().map(|node| node.domain.as_str()).collect();
        let imported = |domain: &str| self.origin.opsets.iter().any(|opset| opset.domain.as_deref() == Some(domain));
        let added: Vec<OperatorSetIdProto> = foreign
            .into_iter()
            .filter(|domain| !matches!(*domain, "" | "ai.onnx") && !imported(domain))
            .map(|domain| OperatorSetIdProto { domain: Some(domain.to_owned()), version: Some(1) })
            .collect();
        let replaced = |old: &StringStringEntryProto| metadata.iter().any(|(key, _)| old.key.as_deref() == Some(*key));
        let kept = self.origin.metadata.into_iter().filter(|old| !replaced(old));
        Ok(ModelProto {
            ir_version: Some(10),
            producer_name: Some("temper".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            opset_import: std::iter::once(own).chain(self.origin.opsets).chain(added).collect(),
            metadata_props: kept.chain(metadata.iter().map(entry)).collect(),
            functions: self.origin.functions,
            graph: Some(graph),
            ..ModelProto::default()
        })
    }

    fn node_proto(&self, node: &super::Node) -> NodeProto {
        let name = |v: &Option<Value>| v.map(|v| self.name(v).to_owned()).unwrap_or_default();
        NodeProto {
            input: node.inputs.iter().map(name).collect(),
            output: node.outputs.iter().map(name).collect(),
            name: Some(node.name.clone()),
            op_type: Some(node.op.clone()),
            domain: Some(node.domain.clone()),
            attribute: node.attributes.0.clone(),
            ..NodeProto::default()
        }
    }

    fn value_info(&self, value: Value) -> ValueInfoProto {
        if let Some(declared) = self.origin.declared.get(&value) {
            return declared.clone();
        }
        let facts = self.facts(value);
        let shape = facts
            .shape
            .as_ref()
            .map(|shape| TensorShapeProto { dim: shape.iter().map(|dim| self.dimension(*dim)).collect() });
        let tensor = type_proto::Tensor { elem_type: facts.data_type.map(DataType::to_onnx), shape };
        ValueInfoProto {
            name: Some(self.name(value).to_owned()),
            r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() }),
            ..ValueInfoProto::default()
        }
    }

    fn dimension(&self, dim: Dim) -> tensor_shape_proto::Dimension {
        use tensor_shape_proto::dimension::Value as V;
        let value = match dim {
            Dim::Known(n) => Some(V::DimValue(n)),
            Dim::Symbol(_) => self.symbols.name(dim).map(|name| V::DimParam(name.to_owned())),
        };
        tensor_shape_proto::Dimension { value, ..Default::default() }
    }
}
