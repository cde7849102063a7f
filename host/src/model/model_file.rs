//! A model's file with the data that it keeps in files beside it: all that its numbers depend on, but its sidecar.

use std::collections::BTreeMap;
use std::path::Path;

use super::ContractError;
use super::contract::external_paths;
use crate::graph::onnx::ModelProto;
use crate::graph::{self, ForCuda, GraphError};
use crate::input;

/// ONNX files, as all of protobuf, are shorter than this, bytes.
const LARGEST_FILE: usize = i32::MAX as usize;

/// A model as it was read, its tensor data inside.
pub(super) struct ModelFile {
    pub model: ModelProto,
    bytes: Vec<u8>,
    external: BTreeMap<String, Vec<u8>>,
}

impl ModelFile {
    /// Reads the file and all that lies beside it.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let read = |path: &Path| {
            input::read(path, input::MOST_DATA).map_err(|source| ContractError::Read { path: path.to_owned(), source })
        };
        let not_onnx = |error: GraphError| ContractError::NotOnnx { path: path.into(), reason: error.to_string() };
        let bytes = read(path)?;
        let mut model = graph::decode(&bytes).map_err(not_onnx)?;
        let mut external = BTreeMap::new();
        for (name, file) in external_paths(&model, path)? {
            external.insert(name, read(&file)?);
        }
        graph::embed_external(&mut model, &external).map_err(not_onnx)?;
        Ok(Self { model, bytes, external })
    }

    /// All bytes that the model's numbers depend on.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.bytes[..]).chain(self.external.values().map(Vec::as_slice))
    }

    /// The model as ONNX Runtime is to be given it; `None` if it is as good as the file, or only the file can hold it.
    pub fn for_runtime(&self) -> Option<Vec<u8>> {
        let total: usize = self.contents().map(<[u8]>::len).sum();
        let rewritten = (total < LARGEST_FILE).then(|| graph::for_runtime(&self.model)).flatten()?;
        Some(graph::encode(&rewritten)).filter(|bytes| bytes.len() < LARGEST_FILE)
    }
}

/// The model of a file as CUDA would be given it, and what CUDA cannot run of it.
///
/// # Errors
/// [`ContractError::Read`] or [`ContractError::NotOnnx`].
pub fn for_cuda(path: &Path) -> Result<ForCuda, ContractError> {
    let file = ModelFile::read(path)?;
    let loaded = graph::for_runtime(&file.model).unwrap_or(file.model);
    graph::for_cuda(&loaded)
        .map_err(|error| ContractError::NotOnnx { path: path.to_owned(), reason: error.to_string() })
}
