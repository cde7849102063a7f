//! How large a foreign graph may be, found out before anything walks it: a small file can describe more than a machine can hold, or
//! what takes ONNX Runtime hours to load.

use std::collections::HashMap;

use super::builder::{Builder, Node};
use super::onnx::{GraphProto, ModelProto, NodeProto};
use super::shape::Dim;
use super::{GraphError, TypeFacts};

/// Nodes, those of subgraphs and of functions at every call included. A CHGNet has 674, with forces 4413. ONNX Runtime takes 14 s to
/// load a chain of so many.
pub(super) const MOST_NODES: usize = 1 << 16;

/// Subgraphs (`If`, `Loop`, `Scan`) within subgraphs. ONNX Runtime's time doubles with each.
pub(super) const MOST_NESTED: usize = 8;

/// Functions of the file that call one another.
pub(super) const MOST_CALLS: usize = 32;

/// Fields of all messages: each takes some bytes of the file and up to some hundred bytes of memory.
const MOST_FIELDS: usize = 1 << 23;

/// Numbers of one tensor that an operator makes, its unknown extents counted as 1.
const MOST_NUMBERS: u64 = 1 << 27;

/// Numbers of all tensors of known shape that operators make: ONNX Runtime may make all of them when it loads the model.
const MOST_NUMBERS_IN_ALL: u64 = 1 << 30;

/// Refuses bytes of which a decoder would make more than fits into memory. What is no protobuf is left to the decoder.
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), GraphError> {
    let mut waiting = vec![(bytes, Message::Model)];
    let mut fields = 0;
    while let Some((mut rest, message)) = waiting.pop() {
        while let Some(field) = next_field(&mut rest)? {
            fields += 1;
            if fields > MOST_FIELDS {
                return Err(GraphError::TooLarge { what: "fields", most: MOST_FIELDS });
            }
            waiting.extend(field.content.zip(message.inside(field.number)));
        }
    }
    Ok(())
}

/// Refuses a model with too many nodes, or too deep a nesting.
pub(super) fn check_model(model: &ModelProto) -> Result<(), GraphError> {
    let Some(graph) = &model.graph else { return Ok(()) };
    let functions = model.functions.iter().map(|f| (call(f.domain.as_ref(), f.name.as_ref()), &f.node[..]));
    let mut sizes = Sizes { functions: functions.collect(), known: HashMap::new() };
    let size = sizes.of_graph(graph, 0)?;
    size.check()
}

/// Refuses operators that make absurdly large tensors, as far as shapes are known.
pub(super) fn check_tensors(graph: &Builder) -> Result<(), GraphError> {
    let mut total = 0_u64;
    for node in &graph.nodes {
        for facts in node.outputs.iter().flatten().map(|output| graph.facts(*output)) {
            let numbers = numbers(facts);
            if numbers > MOST_NUMBERS {
                return Err(too_many(node, numbers, MOST_NUMBERS));
            }
            total += if is_known(facts) { numbers } else { 0 };
            if total > MOST_NUMBERS_IN_ALL {
                return Err(too_many(node, total, MOST_NUMBERS_IN_ALL));
            }
        }
    }
    Ok(())
}

fn too_many(node: &Node, numbers: u64, most: u64) -> GraphError {
    GraphError::TooManyNumbers { node: node.name.clone(), op: node.qualified_op(), numbers, most }
}

/// Numbers of a tensor, its unknown extents counted as 1.
fn numbers(facts: &TypeFacts) -> u64 {
    let extents = facts.shape.iter().flatten().filter_map(|dim: &Dim| dim.known());
    extents.map(|n| u64::try_from(n).unwrap_or(0)).fold(1, u64::saturating_mul)
}

fn is_known(facts: &TypeFacts) -> bool {
    facts.shape.as_ref().is_some_and(|shape| shape.iter().all(|dim| dim.known().is_some()))
}

type Call<'a> = (&'a str, &'a str);

fn call<'a>(domain: Option<&'a String>, name: Option<&'a String>) -> Call<'a> {
    (domain.map_or("", String::as_str), name.map_or("", String::as_str))
}

/// What a part of a model is written out.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    nodes: usize,
    /// Subgraphs within subgraphs.
    height: usize,
}

impl Size {
    fn check(self) -> Result<(), GraphError> {
        if self.nodes > MOST_NODES {
            return Err(GraphError::TooLarge { what: "nodes", most: MOST_NODES });
        }
        if self.height > MOST_NESTED {
            return Err(GraphError::TooLarge { what: "levels of nested subgraphs", most: MOST_NESTED });
        }
        Ok(())
    }
}

/// Counts each function once, however often it is called. The decoder bounds how deep messages are nested.
struct Sizes<'a> {
    functions: HashMap<Call<'a>, &'a [NodeProto]>,
    known: HashMap<Call<'a>, Size>,
}

impl<'a> Sizes<'a> {
    fn of_graph(&mut self, graph: &'a GraphProto, calls: usize) -> Result<Size, GraphError> {
        self.of_nodes(&graph.node, calls)
    }

    fn of_nodes(&mut self, nodes: &'a [NodeProto], calls: usize) -> Result<Size, GraphError> {
        let mut size = Size::default();
        for node in nodes {
            size.nodes += 1;
            for graph in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
                let inner = self.of_graph(graph, calls)?;
                size.nodes = size.nodes.saturating_add(inner.nodes);
                size.height = size.height.max(1 + inner.height);
            }
            let body = self.of_call(call(node.domain.as_ref(), node.op_type.as_ref()), calls)?;
            size.nodes = size.nodes.saturating_add(body.nodes);
            size.height = size.height.max(body.height);
        }
        Ok(size)
    }

    /// What a call adds; nothing for an operator.
    fn of_call(&mut self, called: Call<'a>, calls: usize) -> Result<Size, GraphError> {
        let Some(nodes) = self.functions.get(&called).copied() else { return Ok(Size::default()) };
        if let Some(size) = self.known.get(&called) {
            return Ok(*size);
        }
        if calls == MOST_CALLS {
            return Err(GraphError::TooLarge { what: "levels of functions that call one another", most: MOST_CALLS });
        }
        let size = self.of_nodes(nodes, calls + 1)?;
        self.known.insert(called, size);
        Ok(size)
    }
}

/// The messages of an ONNX file, as far as others are in them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Model,
    Training,
    Graph,
    Node,
    Attribute,
    Function,
    Tensor,
    Sparse,
    Value,
    Type,
    /// The type of a tensor.
    TensorType,
    /// The type of a sequence, a map, or an optional value.
    Collection,
    Shape,
    /// On which devices a node runs.
    Devices,
    Sharding,
    ShardedAxis,
    /// One without a message in it that would count.
    Leaf,
}

impl Message {
    /// The message in the field of a number (`onnx.proto3`).
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Graph, 11..=13) | (Self::Function, 12) => Self::Value,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Attribute, 14 | 15) | (Self::Value, 2) | (Self::Collection, 1 | 2) => Self::Type,
            (Self::Type, 1 | 8) => Self::TensorType,
            (Self::Type, 4 | 5 | 9) => Self::Collection,
            (Self::TensorType, 2) => Self::Shape,
            (Self::Node, 10) => Self::Devices,
            (Self::Devices, 2) => Self::Sharding,
            (Self::Sharding, 4) => Self::ShardedAxis,
            (Self::Model, 8 | 14 | 26)
            | (Self::Training, 3 | 4)
            | (Self::Graph, 14 | 16)
            | (Self::Node, 9)
            | (Self::Function, 9 | 14)
            | (Self::Tensor, 13 | 16)
            | (Self::Value, 4)
            | (Self::Sharding, 3)
            | (Self::ShardedAxis, 2)
            | (Self::Shape, 1) => Self::Leaf,
            _ => return None,
        })
    }
}

/// A field of a message; its bytes if it is of variable length.
struct Field<'a> {
    number: u64,
    content: Option<&'a [u8]>,
}

/// The next field. `None` at the end, and where no field can be read.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<Option<Field<'a>>, GraphError> {
    let Some(key) = varint(rest) else { return Ok(None) };
    let skip = |rest: &mut &'a [u8], length: usize| {
        let (content, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        Some(content)
    };
    let content = match key & 7 {
        0 => varint(rest).map(|_| None),
        1 => skip(rest, 8).map(|_| None),
        2 => varint(rest).and_then(|length| skip(rest, usize::try_from(length).ok()?)).map(Some),
        5 => skip(rest, 4).map(|_| None),
        _ => return Err(GraphError::Decode { reason: "it has a field of a kind that ONNX does not use".into() }),
    };
    Ok(content.map(|content| Field { number: key >> 3, content }))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::onnx::{AttributeProto, FunctionProto};
    use super::super::{decode, encode};
    use super::*;

    fn node(op: &str) -> NodeProto {
        NodeProto { op_type: Some(op.into()), ..NodeProto::default() }
    }

    fn graph(nodes: Vec<NodeProto>) -> GraphProto {
        GraphProto { node: nodes, ..GraphProto::default() }
    }

    fn model(nodes: Vec<NodeProto>, functions: Vec<FunctionProto>) -> ModelProto {
        ModelProto { graph: Some(graph(nodes)), functions, ..ModelProto::default() }
    }

    fn nested(levels: usize) -> NodeProto {
        let mut inner = node("Abs");
        for _ in 0..levels {
            let attribute = AttributeProto { g: Some(graph(vec![inner])), ..AttributeProto::default() };
            inner = NodeProto { attribute: vec![attribute], ..node("If") };
        }
        inner
    }

    fn refused(model: &ModelProto) -> String {
        decode(&encode(model)).unwrap_err().to_string()
    }

    #[test]
    fn nodes_are_counted_with_those_of_functions_and_subgraphs() {
        let nodes = |count| vec![node("Abs"); count];
        assert!(decode(&encode(&model(nodes(MOST_NODES), vec![]))).is_ok());
        assert_eq!(refused(&model(nodes(MOST_NODES + 1), vec![])), "the graph has more than 65536 nodes");
        // 2^20 nodes in a file of 700 bytes.
        let function = |level: usize| FunctionProto {
            name: Some(format!("f{level}")),
            node: vec![node(&if level == 0 { "Abs".into() } else { format!("f{}", level - 1) }); 2],
            ..FunctionProto::default()
        };
        let doubling =
            |levels: usize| model(vec![node(&format!("f{}", levels - 1))], (0..levels).map(function).collect());
        assert!(decode(&encode(&doubling(14))).is_ok());
        assert_eq!(refused(&doubling(20)), "the graph has more than 65536 nodes");
        let endless = FunctionProto { node: vec![node("f0")], ..function(0) };
        let said = refused(&model(vec![node("f0")], vec![endless]));
        assert_eq!(said, "the graph has more than 32 levels of functions that call one another");
    }

    #[test]
    fn subgraphs_are_nested_only_so_deep() {
        assert!(decode(&encode(&model(vec![nested(MOST_NESTED)], vec![]))).is_ok());
        let said = "the graph has more than 8 levels of nested subgraphs";
        assert_eq!(refused(&model(vec![nested(MOST_NESTED + 1)], vec![])), said);
        // The decoder's own bound.
        assert!(refused(&model(vec![nested(1000)], vec![])).contains("recursion limit"));
    }

    /// 17 MB of nodes without anything in them, of which a decoder makes gigabytes.
    #[test]
    fn a_file_of_nothing_is_not_decoded() {
        let nodes = [0x0a, 0x00].repeat(MOST_FIELDS + 1);
        let mut length = Vec::new();
        prost::encoding::encode_varint(nodes.len() as u64, &mut length);
        let bytes = [&[0x3a][..], &length, &nodes].concat();
        assert_eq!(decode(&bytes).unwrap_err().to_string(), "the graph has more than 8388608 fields");
        // A field of a kind that the decoder would skip does not end the count.
        let hidden = [&[0x0b, 0x0c][..], &bytes].concat();
        assert!(decode(&hidden).unwrap_err().to_string().contains("a kind that ONNX does not use"));
    }
}
