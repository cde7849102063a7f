//! What ONNX Runtime's CUDA provider lacks, by operator and element type.
//!
//! Taken from [`TABLE_OF`] by placing and running each operator; pooling, convolutions and recurrent networks, which were not
//! run, from its use of cuDNN. What is not listed has a kernel, or is not known.

use std::fmt;

use super::super::DataType::{self, Bool, F32, F64, I32, I64};
use super::super::builder::{Builder, Node};
use super::super::onnx::GraphProto;
use super::{input, operators};

/// The release of ONNX Runtime that the table describes.
pub const TABLE_OF: &str = "1.28.0";

/// What CUDA makes of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// It has no kernel: the processor computes it, and its tensors are copied there and back.
    LeavesDevice,
    /// It is accepted, and fails when it runs.
    Fails,
    /// It is accepted, fails where its tensors have no elements, and runs otherwise.
    FailsWhenEmpty,
    /// Its kernel computes with another type, and gives wrong numbers.
    WrongNumbers,
    /// Its kernel needs cuDNN.
    NeedsCudnn,
}

/// A node that CUDA cannot run as it runs others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// Name of the node.
    pub node: String,
    /// Its operator, with its domain if it is not ONNX's own.
    pub op: String,
    /// Element type of its first input, if it is known.
    pub data_type: Option<DataType>,
    /// What happens to it.
    pub trouble: Trouble,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeavesDevice => "runs on the processor",
            Self::Fails => "fails",
            Self::FailsWhenEmpty => "fails on tensors without elements",
            Self::WrongNumbers => "gives wrong numbers",
            Self::NeedsCudnn => "needs cuDNN",
        })
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, op, data_type, trouble } = self;
        let of = data_type.map(|known| format!(" of {known}")).unwrap_or_default();
        write!(f, "{op}{of} {trouble}: node `{node}`")
    }
}

/// Which nodes of an operator a row is about, besides their element type.
#[derive(Clone, Copy)]
enum Form {
    Any,
    Reducing,
    ThreeInputs,
}

type Row = (&'static [&'static str], Form, &'static [DataType], Trouble);

/// An empty list of types stands for all.
const TABLE: &[Row] = &[
    (
        &["Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Cosh", "Sinh", "Tan"],
        Form::Any,
        &[],
        Trouble::LeavesDevice,
    ),
    (&["Mean", "Det", "Unique", "Celu", "Hardmax", "Multinomial", "DFT"], Form::Any, &[], Trouble::LeavesDevice),
    (&["com.microsoft.FusedGemm", "com.microsoft.GroupQueryAttention"], Form::Any, &[], Trouble::LeavesDevice),
    (
        &["ArgMax", "ArgMin", "BitwiseAnd", "MatMul", "Einsum", "Pad", "Relu"],
        Form::Any,
        &[I64, I32],
        Trouble::LeavesDevice,
    ),
    (&["ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum"], Form::Any, &[I64, I32], Trouble::LeavesDevice),
    (&["ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2"], Form::Any, &[I64], Trouble::LeavesDevice),
    (&["Clip", "GatherND"], Form::Any, &[I32], Trouble::LeavesDevice),
    (&["ReduceMax", "ReduceMin", "Tile"], Form::Any, &[Bool], Trouble::LeavesDevice),
    (&["LpNormalization"], Form::Any, &[F64], Trouble::LeavesDevice),
    (&["ScatterND"], Form::Reducing, &[F64, I64, I32], Trouble::Fails),
    (&["Sum", "Max", "Min"], Form::ThreeInputs, &[], Trouble::FailsWhenEmpty),
    (&["ScatterElements"], Form::Reducing, &[I64, I32], Trouble::WrongNumbers),
    (&["ReduceMax", "ReduceMin"], Form::Any, &[F32, F64, I64, I32], Trouble::NeedsCudnn),
    (&["ReduceMean", "ReduceProd", "ReduceL1", "ReduceL2"], Form::Any, &[F32, F64, I32], Trouble::NeedsCudnn),
    (&["ReduceSumSquare", "ReduceLogSumExp", "ReduceLogSum"], Form::Any, &[F32, F64], Trouble::NeedsCudnn),
    (&["Einsum", "BatchNormalization", "InstanceNormalization"], Form::Any, &[F32, F64], Trouble::NeedsCudnn),
    (&["GlobalAveragePool", "GlobalMaxPool", "AveragePool", "MaxPool"], Form::Any, &[], Trouble::NeedsCudnn),
    (&["Conv", "ConvTranspose", "LSTM", "GRU", "RNN"], Form::Any, &[], Trouble::NeedsCudnn),
];

/// Whether the table has the operator, by its name without domain.
pub(super) fn is_listed(op: &str) -> bool {
    let own = |known: &str| known.rsplit_once('.').map_or(known, |(_, op)| op) == op;
    TABLE.iter().any(|(operators, ..)| operators.iter().any(|known| own(known)))
}

/// The nodes of a graph that are in the table, without those of the graphs inside of it.
pub(super) fn obstacles(b: &Builder) -> Vec<Obstacle> {
    b.nodes().iter().filter_map(|node| of_node(b, node)).collect()
}

fn of_node(b: &Builder, node: &Node) -> Option<Obstacle> {
    let first = input(node, 0).map(|x| b.facts(x));
    let data_type = first.and_then(|facts| facts.data_type);
    let op = node.qualified_op();
    let applies = |(operators, form, types, _): &&Row| {
        operators.contains(&op.as_str())
            && (types.is_empty() || data_type.is_none_or(|own| types.contains(&own)))
            && match form {
                Form::Any => true,
                Form::Reducing => node.attributes.get_string("reduction").is_some_and(|how| how != "none"),
                Form::ThreeInputs => node.inputs.len() > 2,
            }
    };
    let trouble = TABLE.iter().find(applies)?.3;
    // Vectors of integers are arithmetic on shapes, which the processor does in any case.
    let vector = first.and_then(|facts| facts.rank()).is_some_and(|rank| rank < 2);
    if vector && matches!(data_type, Some(I64 | I32)) && matches!(trouble, Trouble::LeavesDevice | Trouble::NeedsCudnn)
    {
        return None;
    }
    Some(Obstacle { node: node.name.clone(), op, data_type, trouble })
}

/// Those of a graph of which only the operators are known.
pub(super) fn obstacles_by_name(graph: &GraphProto) -> Vec<Obstacle> {
    let listed = |op: &str| TABLE.iter().find(|(names, form, ..)| matches!(form, Form::Any) && names.contains(&op));
    let found = operators(&graph.node).into_iter().filter_map(|op| Some((op, listed(op)?.3)));
    found
        .map(|(op, trouble)| Obstacle { node: "(inside)".to_owned(), op: op.to_owned(), data_type: None, trouble })
        .collect()
}
