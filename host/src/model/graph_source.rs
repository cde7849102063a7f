//! Where sessions of a graph are loaded from.

use std::path::PathBuf;

use crate::runtime::{self, Runtime, Session, SessionOptions};

/// A graph as ONNX Runtime is given it.
pub(super) struct GraphSource {
    /// What stands for it in messages.
    pub name: String,
    /// The model's file.
    pub path: PathBuf,
    /// The graph, unless it is given as the file has it.
    pub bytes: Option<Vec<u8>>,
}

impl GraphSource {
    /// A session in this process.
    pub fn open(&self, runtime: &Runtime, options: &SessionOptions) -> Result<Session, runtime::Error> {
        match &self.bytes {
            Some(bytes) => Session::from_bytes(runtime, &self.name, bytes, options),
            None => Session::from_file(runtime, &self.path, options),
        }
    }
}
