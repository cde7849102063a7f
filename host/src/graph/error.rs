//! What can be wrong with a graph.

/// Why a graph could not be read, built or differentiated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GraphError {
    /// The bytes are not an ONNX model.
    #[error("not an ONNX model: {reason}")]
    Decode {
        /// What the decoder met.
        reason: String,
    },
    /// A tensor of an element type that Temper's graphs do not use, or with inconsistent size.
    #[error("tensor `{name}`: {reason}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A node reads a value that nothing before it makes.
    #[error("node `{node}` ({op}) reads `{value}`, which no earlier node, input or initializer produces")]
    UnknownValue {
        /// Node name.
        node: String,
        /// Operator.
        op: String,
        /// The missing value.
        value: String,
    },
    /// A value was asked for by a name that no value has.
    #[error("the graph has no value `{value}`")]
    Unnamed {
        /// The name.
        value: String,
    },
    /// Two values of one name.
    #[error("the value `{value}` is produced twice")]
    Duplicate {
        /// Its name.
        value: String,
    },
    /// A file that describes a graph of absurd size.
    #[error("the graph has more than {most} {what}")]
    TooLarge {
        /// Of what there are too many.
        what: &'static str,
        /// The most that is read.
        most: usize,
    },
    /// An operator that makes an absurdly large tensor, alone or with those before it.
    #[error("with node `{node}` ({op}), the graph makes tensors of at least {numbers} numbers, more than {most}")]
    TooManyNumbers {
        /// Node name.
        node: String,
        /// Operator.
        op: String,
        /// How many at least.
        numbers: u64,
        /// The most that are made.
        most: u64,
    },
    /// Shapes, types or attributes that do not fit the operator.
    #[error("node `{node}` ({op}): {reason}")]
    Node {
        /// Node name.
        node: String,
        /// Operator.
        op: String,
        /// What does not fit.
        reason: String,
    },
    /// A file written for an opset in which an operator that is to be added has another form or does not exist.
    #[error(
        "{op} in the form that is added here needs opset {needed}, and the file uses {found}; export it again with opset {needed} or later"
    )]
    Opset {
        /// Operator.
        op: String,
        /// The first opset that has the form.
        needed: i64,
        /// The file's.
        found: i64,
    },
    /// Forces cannot be added to a model that is no potential of the ONNX contract, or has them.
    #[error("forces and stress cannot be added to this model: {reason}")]
    Potential {
        /// What is missing or in the way.
        reason: String,
    },
    /// An operator on the path of a derivative that has no reverse rule.
    #[error("no derivative for operator {op} (node `{node}`)")]
    NoDerivative {
        /// Node name.
        node: String,
        /// Operator, with its domain if it is not ONNX's own.
        op: String,
    },
}

impl GraphError {
    /// Whether the graph is larger than any that is taken.
    pub fn is_of_size(&self) -> bool {
        matches!(self, Self::TooLarge { .. } | Self::TooManyNumbers { .. })
    }
}
