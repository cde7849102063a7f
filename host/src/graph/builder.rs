//! A graph under construction: nodes in order, each with what is known of its outputs.

use std::collections::{HashMap, HashSet};

use prost::Message;

use super::file::Origin;
use super::onnx::{AttributeProto, NodeProto};
use super::ops::{self, InferContext};
use super::shape::{Dim, MAX_RANK, Symbols, TypeFacts};
use super::{Attributes, DataType, GraphError, Tensor, identity, proto};

/// A value of one [`Builder`]: an input, a constant or the output of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Value(pub(super) u32);

/// One operation. Absent optional inputs and unused outputs are `None`.
#[derive(Clone, Debug)]
pub struct Node {
    /// Operator, such as `MatMul`.
    pub op: String,
    /// Empty for ONNX's own operators.
    pub domain: String,
    /// Unique name.
    pub name: String,
    /// What it reads.
    pub inputs: Vec<Option<Value>>,
    /// What it makes.
    pub outputs: Vec<Option<Value>>,
    /// Its attributes.
    pub attributes: Attributes,
}

impl Node {
    /// A node of ONNX's own that makes nothing yet.
    pub(super) fn new(op: &str, name: String, inputs: Vec<Option<Value>>, attributes: Attributes) -> Self {
        Self { op: op.to_owned(), domain: String::new(), name, inputs, outputs: Vec::new(), attributes }
    }

    /// The operator, preceded by its domain if it is not ONNX's own.
    pub fn qualified_op(&self) -> String {
        match self.domain.as_str() {
            "" | "ai.onnx" => self.op.clone(),
            domain => format!("{domain}.{}", self.op),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct ValueData {
    pub name: String,
    pub facts: TypeFacts,
    /// The numbers of an initializer or a `Constant` node.
    pub constant: Option<Tensor>,
}

/// Builds a graph node by node; nodes can only read what exists, so their order is a valid order of execution.
///
/// The methods that add nodes never fail on the spot: the first mistake is kept and returned by [`Builder::finish`], so that
/// graph code reads like the formula it stands for.
#[derive(Clone, Debug)]
pub struct Builder {
    pub(super) nodes: Vec<Node>,
    pub(super) values: Vec<ValueData>,
    pub(super) inputs: Vec<Value>,
    pub(super) initializers: Vec<Value>,
    pub(super) outputs: Vec<Value>,
    pub(super) symbols: Symbols,
    pub(super) by_name: HashMap<String, Value>,
    /// Small constants by their contents.
    pub(super) small: HashMap<Vec<u8>, Value>,
    node_names: HashSet<String>,
    pub(super) error: Option<GraphError>,
    pub(super) stopped: HashSet<Value>,
    pub(super) opset: i64,
    pub(super) origin: Origin,
    next: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// The opset that Temper's own graphs are written in.
    pub const OPSET: i64 = 21;

    /// An empty graph.
    pub fn new() -> Self {
        Self {
            nodes: Vec::new(),
            values: Vec::new(),
            inputs: Vec::new(),
            initializers: Vec::new(),
            outputs: Vec::new(),
            symbols: Symbols::default(),
            by_name: HashMap::new(),
            small: HashMap::new(),
            node_names: HashSet::new(),
            error: None,
            stopped: HashSet::new(),
            opset: Self::OPSET,
            origin: Origin::default(),
            next: 0,
        }
    }

    /// Declares an input. Extents are numbers or, as strings, named symbols: see [`Builder::symbol`].
    pub fn input(&mut self, name: &str, data_type: DataType, shape: &[Dim]) -> Value {
        let value = self.insert(name.to_owned(), TypeFacts::new(data_type, shape.to_vec()));
        self.inputs.push(value);
        value
    }

    /// The symbol of a name.
    pub fn symbol(&mut self, name: &str) -> Dim {
        self.symbols.named(name)
    }

    /// A constant. Equal small constants become one.
    pub fn constant(&mut self, tensor: impl Into<Tensor>) -> Value {
        let tensor = tensor.into();
        if let Some(found) = small_key(&tensor).and_then(|key| self.small.get(&key)) {
            return *found;
        }
        let name = self.unique("c");
        self.initializer(&name, tensor)
    }

    /// A constant under a name of its own.
    pub fn initializer(&mut self, name: &str, tensor: Tensor) -> Value {
        let value = self.insert(name.to_owned(), TypeFacts::of(&tensor));
        if let Some(key) = small_key(&tensor) {
            self.small.entry(key).or_insert(value);
        }
        self.values[value.0 as usize].constant = Some(tensor);
        self.initializers.push(value);
        value
    }

    /// Adds a node with one output. An operator that is not ONNX's own is preceded by its domain: `com.microsoft.FastGelu`.
    pub fn node(&mut self, op: &str, inputs: &[Value], attributes: Attributes) -> Value {
        let inputs: Vec<_> = inputs.iter().map(|v| Some(*v)).collect();
        self.node_with(op, &inputs, 1, attributes)[0]
    }

    /// Adds a node with any number of outputs; `None` stands for an absent optional input.
    pub fn node_with(
        &mut self,
        op: &str,
        inputs: &[Option<Value>],
        outputs: usize,
        attributes: Attributes,
    ) -> Vec<Value> {
        let name = self.unique(op);
        let names: Vec<String> = (0..outputs).map(|i| format!("{name}:{i}")).collect();
        let (domain, op) = op.rsplit_once('.').unwrap_or(("", op));
        let node = Node {
            op: op.to_owned(),
            domain: domain.to_owned(),
            name,
            inputs: inputs.to_vec(),
            outputs: Vec::new(),
            attributes,
        };
        let needed = ops::since(&node);
        if needed > self.opset {
            self.error.get_or_insert(GraphError::Opset { op: node.op.clone(), needed, found: self.opset });
        }
        let outputs: Vec<_> = names.into_iter().map(Some).collect();
        self.push(node, outputs).into_iter().flatten().collect()
    }

    /// A node as a file has it.
    pub(super) fn read(&mut self, proto: &NodeProto) -> Result<Node, GraphError> {
        let op = proto.op_type.clone().unwrap_or_default();
        let name = match proto.name.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => self.unique(&op),
        };
        let lookup = |value: &String| match value.as_str() {
            "" => Ok(None),
            known => self.by_name.get(known).map(|v| Some(*v)).ok_or_else(|| GraphError::UnknownValue {
                node: name.clone(),
                op: op.clone(),
                value: value.clone(),
            }),
        };
        let inputs = proto.input.iter().map(lookup).collect::<Result<_, _>>()?;
        let domain = proto.domain.clone().unwrap_or_default();
        Ok(Node { op, domain, name, inputs, outputs: Vec::new(), attributes: Attributes(proto.attribute.clone()) })
    }

    /// Adds a node that makes values of the given names; `None` stands for an output that nobody reads.
    pub(super) fn push(&mut self, mut node: Node, names: Vec<Option<String>>) -> Vec<Option<Value>> {
        if let Some(axes) = ops::positive_axes(&node, &self.values) {
            match node.inputs.get(1).copied().flatten() {
                Some(_) => node.inputs[1] = Some(self.ints(&axes)),
                None => node.attributes.replace_axes(&axes),
            }
        }
        let context =
            InferContext { node: &node, values: &self.values, symbols: &mut self.symbols, outputs: names.len() };
        let facts = ops::infer(context).unwrap_or_else(|reason| {
            let error = GraphError::Node { node: node.name.clone(), op: node.op.clone(), reason };
            self.error.get_or_insert(error);
            Vec::new()
        });
        let mut facts: Vec<TypeFacts> = facts.into_iter().map(|facts| self.bounded(facts, &node)).collect();
        facts.resize(names.len(), TypeFacts::default());
        if let ([Some(name)], [facts]) = (names.as_slice(), facts.as_slice())
            && !self.origin.is_read_by_name(name)
            && let Some(value) = identity::passed_on(&node, &self.values, facts)
        {
            self.alias(name.clone(), value);
            return vec![Some(value)];
        }
        for (name, facts) in names.into_iter().zip(facts) {
            node.outputs.push(name.map(|name| self.insert(name, facts)));
        }
        if node.op == "Constant"
            && let (Some(Some(out)), Some(tensor)) = (node.outputs.first(), node.attributes.get_tensor("value"))
        {
            self.values[out.0 as usize].constant = Some(tensor);
        }
        let outputs = node.outputs.clone();
        self.node_names.insert(node.name.clone());
        self.nodes.push(node);
        outputs
    }

    /// Keeps what is known small: a hostile file could double it with every node.
    fn bounded(&mut self, facts: TypeFacts, node: &Node) -> TypeFacts {
        let rank = facts.rank().unwrap_or(0);
        if rank > MAX_RANK {
            let reason = format!("an output of rank {rank}");
            self.error.get_or_insert(GraphError::Node { node: node.name.clone(), op: node.op.clone(), reason });
            return TypeFacts::default();
        }
        TypeFacts { content: facts.content.filter(|content| content.len() <= MAX_RANK), ..facts }
    }

    pub(super) fn insert(&mut self, name: String, facts: TypeFacts) -> Value {
        let value = Value(self.values.len() as u32);
        if self.by_name.insert(name.clone(), value).is_some() {
            self.error.get_or_insert(GraphError::Duplicate { value: name.clone() });
        }
        self.values.push(ValueData { name, facts, constant: None });
        value
    }

    /// Another name under which nodes of a file read a value.
    pub(super) fn alias(&mut self, name: String, value: Value) {
        if self.by_name.insert(name.clone(), value).is_some() {
            self.error.get_or_insert(GraphError::Duplicate { value: name });
        }
    }

    pub(super) fn unique(&mut self, stem: &str) -> String {
        loop {
            self.next += 1;
            let name = format!("{stem}_{}", self.next);
            let taken = self.node_names.contains(&name) || self.by_name.contains_key(&name);
            if !taken && !self.by_name.contains_key(&format!("{name}:0")) {
                return name;
            }
        }
    }

    /// Names a value and makes it an output of the graph. What a node made takes the name itself; inputs, constants and values
    /// that are outputs already, or that a subgraph reads by name, are copied.
    pub fn output(&mut self, name: &str, value: Value) {
        let captured = self.nodes.iter().any(|node| self.captured(node).contains(&value));
        let fixed = [&self.inputs, &self.initializers, &self.outputs].iter().any(|list| list.contains(&value));
        let taken = fixed || captured;
        let value = if taken { self.node("Identity", &[value], Attributes::none()) } else { value };
        if self.by_name.insert(name.to_owned(), value).is_some() {
            self.error.get_or_insert(GraphError::Duplicate { value: name.to_owned() });
        }
        let old = std::mem::replace(&mut self.values[value.0 as usize].name, name.to_owned());
        self.by_name.remove(&old);
        self.outputs.push(value);
    }

    /// The value as a constant in the eyes of [`Builder::differentiate`].
    pub fn stop_gradient(&mut self, value: Value) -> Value {
        let copy = self.node("Identity", &[value], Attributes::none());
        self.stopped.insert(copy);
        copy
    }

    /// States the shape of a value where inference cannot know it (a product of symbols, say). The author answers for it.
    pub fn assume_shape(&mut self, value: Value, shape: &[Dim]) -> Value {
        self.values[value.0 as usize].facts.shape = Some(shape.to_vec());
        value
    }

    /// The value of a name.
    pub fn find(&self, name: &str) -> Option<Value> {
        self.by_name.get(name).copied()
    }

    /// The value of a name. A name that no value has is a mistake, which [`Builder::finish`] returns.
    pub fn named(&mut self, name: &str) -> Value {
        self.find(name).unwrap_or_else(|| {
            self.error.get_or_insert(GraphError::Unnamed { value: name.to_owned() });
            let stem = self.unique("missing");
            self.insert(stem, TypeFacts::default())
        })
    }

    /// Name of a value.
    pub fn name(&self, value: Value) -> &str {
        &self.values[value.0 as usize].name
    }

    /// What is known of a value.
    pub fn facts(&self, value: Value) -> &TypeFacts {
        &self.values[value.0 as usize].facts
    }

    /// Shape of a value, if its rank is known.
    pub fn shape(&self, value: Value) -> Option<Vec<Dim>> {
        self.facts(value).shape.clone()
    }

    /// The numbers of a constant.
    pub fn constant_of(&self, value: Value) -> Option<&Tensor> {
        self.values[value.0 as usize].constant.as_ref()
    }

    /// Declared inputs, in order.
    pub fn inputs(&self) -> &[Value] {
        &self.inputs
    }

    /// Declared outputs, in order.
    pub fn outputs(&self) -> &[Value] {
        &self.outputs
    }

    /// Nodes in execution order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The values that the subgraphs of a node (`If`, `Loop`, `Scan`) read without them being inputs of it.
    pub(super) fn captured(&self, node: &Node) -> Vec<Value> {
        let mut names = Vec::new();
        node.attributes.0.iter().for_each(|a| names_read(a, &mut names));
        names.into_iter().filter_map(|name| self.find(name)).collect()
    }

    /// Removes nodes and constants that no output needs.
    pub(super) fn prune(&mut self) {
        let mut needed = vec![false; self.values.len()];
        for output in &self.outputs {
            needed[output.0 as usize] = true;
        }
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if node.outputs.iter().flatten().any(|v| needed[v.0 as usize]) {
                node.inputs.iter().flatten().for_each(|v| needed[v.0 as usize] = true);
                self.captured(&node).iter().for_each(|v| needed[v.0 as usize] = true);
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        self.initializers.retain(|v| needed[v.0 as usize]);
    }
}

/// Type, shape and numbers of a small tensor as bytes; none of a larger one.
fn small_key(tensor: &Tensor) -> Option<Vec<u8>> {
    let is_small = tensor.shape().iter().product::<usize>() <= MAX_RANK;
    is_small.then(|| proto::to_proto("", tensor).encode_to_vec())
}

/// What the subgraphs in an attribute read, and give.
pub(super) fn names_read<'a>(attribute: &'a AttributeProto, names: &mut Vec<&'a str>) {
    for graph in attribute.g.iter().chain(&attribute.graphs) {
        names.extend(graph.output.iter().filter_map(|output| output.name.as_deref()));
        for node in &graph.node {
            names.extend(node.input.iter().map(String::as_str));
            node.attribute.iter().for_each(|inner| names_read(inner, names));
        }
    }
}
