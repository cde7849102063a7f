//! Why a file cannot be used as a model.

use std::path::{Path, PathBuf};

use super::inputs;
use crate::graph::GraphError;
use crate::hint::Hint;

/// Why a file cannot be used as a model.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// The file or folder cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder with no model, or with several.
    #[error("{}: a model's folder holds `model.onnx` or a single .onnx file; this one holds {found}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// How many.
        found: usize,
    },
    /// The bytes are no ONNX model.
    #[error("{}: not an ONNX model, or a truncated one ({reason})", path.display())]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A graph that is larger than any that is taken, or describes larger tensors.
    #[error("{}: {reason}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is too large, with the limit.
        reason: String,
    },
    /// The sidecar is not understood.
    #[error("{}: {reason}", path.display())]
    Sidecar {
        /// The sidecar.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A key that does not exist, or that names an output that the model does not have.
    #[error("{}: unknown key `{key}`", path.display())]
    UnknownKey {
        /// The file with the key.
        path: PathBuf,
        /// The key.
        key: String,
        /// The key that it most resembles.
        nearest: Option<String>,
    },
    /// A key that must be there and is not.
    #[error("{}: `temper.{key}` is missing: {why}", path.display())]
    Missing {
        /// The model.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Why it is needed.
        why: &'static str,
        /// The file that could supply it.
        sidecar: PathBuf,
    },
    /// A value that cannot be understood.
    #[error("{}: `{key}` is \"{value}\"; expected {expected}", path.display())]
    Value {
        /// The file with the key.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value.
        value: String,
        /// What it could be.
        expected: String,
    },
    /// The sidecar speaks of an input or output that the file does not have.
    #[error("{}: [{table}] names `{name}`; the model has {}", path.display(), known.join(", "))]
    NoSuchPort {
        /// The sidecar.
        path: PathBuf,
        /// `inputs`, `outputs` or `constants`.
        table: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A file for operators older than ONNX Runtime runs.
    #[error("{}: it is written for opset {found} of ONNX, and {oldest} is the oldest that runs", path.display())]
    Opset {
        /// The model.
        path: PathBuf,
        /// The file's opset.
        found: i64,
        /// The oldest that runs.
        oldest: i64,
    },
    /// An operator that is neither ONNX's nor ONNX Runtime's own.
    #[error("{}: node `{node}` needs the custom operator {operator}", path.display())]
    CustomOperator {
        /// The model.
        path: PathBuf,
        /// The node.
        node: String,
        /// Domain and name.
        operator: String,
    },
    /// An input of a name that the contract does not have.
    #[error(
        "{}: input `{name}` is none of {}", sidecar.with_extension("onnx").display(), inputs::input_names().join(", ")
    )]
    UnknownInput {
        /// Where a sidecar is sought.
        sidecar: PathBuf,
        /// The input.
        name: String,
    },
    /// An input that the host cannot feed.
    #[error("{}: input `{name}` {problem}", sidecar.with_extension("onnx").display())]
    Input {
        /// Where a sidecar is sought.
        sidecar: PathBuf,
        /// The input.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// An output that makes the file ambiguous.
    #[error("{}: output `{name}` {problem}", sidecar.with_extension("onnx").display())]
    Output {
        /// Where a sidecar is sought.
        sidecar: PathBuf,
        /// The output.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Nothing comes out that the contract knows.
    #[error("{}: no output is usable: {reasons}", path.display())]
    NoOutput {
        /// The model.
        path: PathBuf,
        /// Why each was passed over.
        reasons: String,
    },
}

impl ContractError {
    /// What is wrong with the graph of a file.
    pub(in crate::model) fn of_graph(path: &Path, error: GraphError) -> Self {
        let path = path.to_owned();
        match error {
            GraphError::Decode { reason } => Self::NotOnnx { path, reason },
            error if error.is_of_size() => Self::TooLarge { path, reason: error.to_string() },
            error => Self::NotOnnx { path, reason: error.to_string() },
        }
    }
}

impl Hint for ContractError {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::UnknownKey { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Missing { key, sidecar, .. } => format!("add `{key} = ...` to {}", sidecar.display()),
            Self::Opset { .. } => "export it again for opset 18".to_owned(),
            Self::CustomOperator { .. } => "export the model with ONNX's own operators".to_owned(),
            Self::UnknownInput { sidecar, name } => format!(
                "in {}, say which it is with `[inputs] {name} = \"...\"`, or give it a value with `[constants] {name} = ...`",
                sidecar.display()
            ),
            Self::Input { sidecar, .. } => format!("{} may rename inputs and pin them", sidecar.display()),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
