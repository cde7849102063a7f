//! ONNX files as graphs and back.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use prost::Message;

use super::builder::{Builder, Value};
use super::onnx::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorProto, TensorShapeProto,
    TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use super::shape::Dim;
use super::{GraphError, Tensor, limits, proto};

/// Decodes the bytes of an `.onnx` file, however they came about.
///
/// # Errors
/// [`GraphError::Decode`] when they are not an ONNX model with a graph, [`GraphError::TooLarge`] when that is absurdly large.
pub fn decode(bytes: &[u8]) -> Result<ModelProto, GraphError> {
    let model = decode_own(bytes)?;
    limits::check_model(&model)?;
    Ok(model)
}

/// Decodes the bytes of a graph that Temper has made: with derivatives it may be larger than a foreign one.
///
/// # Errors
/// As [`decode`].
pub fn decode_own(bytes: &[u8]) -> Result<ModelProto, GraphError> {
    limits::check_bytes(bytes)?;
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

/// The model as ONNX Runtime should be given it: operators that it gets wrong on empty tensors are kept from them, and
/// what changes nothing is left out. `None` where the graph cannot be read: then ONNX Runtime says why, if it cannot either.
///
/// # Errors
/// [`GraphError::TooLarge`] or [`GraphError::TooManyNumbers`], of a graph that ONNX Runtime must not be given.
pub fn for_runtime(model: &ModelProto) -> Result<Option<ModelProto>, GraphError> {
    let name = model.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
    match Builder::from_model(model).and_then(|builder| builder.finish(&name, &[])) {
        Ok(rewritten) => Ok(Some(rewritten)),
        Err(error) if error.is_of_size() => Err(error),
        Err(_) => Ok(None),
    }
}

/// What a model carries besides its graph: kept as it is.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// Versions of other operator sets.
    pub opsets: Vec<OperatorSetIdProto>,
    pub metadata: Vec<StringStringEntryProto>,
    /// Inputs and outputs as declared.
    pub declared: HashMap<Value, ValueInfoProto>,
    /// Names that must stay: outputs, and what subgraphs read.
    pub read_by_name: HashSet<String>,
}

impl Origin {
    /// Whether a value must keep its name.
    pub(super) fn is_read_by_name(&self, name: &str) -> bool {
        self.read_by_name.contains(name)
    }
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
            initializer: self.initializer_protos(),
            node: self.node_protos(),
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
            graph: Some(graph),
            ..ModelProto::default()
        })
    }

    pub(super) fn initializer_protos(&self) -> Vec<TensorProto> {
        let constant = |v: &Value| self.values[v.0 as usize].constant.as_ref();
        self.initializers.iter().filter_map(|v| constant(v).map(|t| proto::to_proto(self.name(*v), t))).collect()
    }

    pub(super) fn node_protos(&self) -> Vec<NodeProto> {
        self.nodes.iter().map(|node| self.node_proto(node)).collect()
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
        // ONNX Runtime infers what is not stated, and refuses a type that is stated by half.
        let tensor = facts.data_type.map(|t| type_proto::Tensor { elem_type: Some(t.to_onnx()), shape });
        let tensor_type =
            |tensor| TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
        ValueInfoProto {
            name: Some(self.name(value).to_owned()),
            r#type: tensor.map(tensor_type),
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
