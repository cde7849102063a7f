//! A model's file with the data that it keeps in files beside it: all that its numbers depend on, but its sidecar.

use std::collections::BTreeMap;
use std::path::Path;

use super::ContractError;
use super::contract::external_paths;
use crate::graph::onnx::ModelProto;
use crate::graph::{self, ForCuda, GraphError};
use crate::input;

/// ONNX files, as all of protobuf, are shorter than this, bytes.
const LARGEST_FILE: usize = input::MOST_PROTOBUF as usize;

/// A model as it was read, its tensor data inside.
pub(super) struct ModelFile {
    pub model: ModelProto,
    bytes: Vec<u8>,
    external: BTreeMap<String, Vec<u8>>,
}

impl ModelFile {
    /// Reads the file and all that lies beside it.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let read = |path: &Path, most: u64| {
            input::read(path, most).map_err(|source| ContractError::Read { path: path.to_owned(), source })
        };
        let refused = |error: GraphError| ContractError::of_graph(path, error);
        let bytes = read(path, input::MOST_PROTOBUF)?;
        let mut model = graph::decode(&bytes).map_err(refused)?;
        let mut external = BTreeMap::new();
        for (name, file) in external_paths(&model, path)? {
            external.insert(name, read(&file, input::MOST_DATA)?);
        }
        graph::embed_external(&mut model, &external).map_err(refused)?;
        Ok(Self { model, bytes, external })
    }

    /// All bytes that the model's numbers depend on.
    pub fn contents(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.bytes[..]).chain(self.external.values().map(Vec::as_slice))
    }

    /// The model as ONNX Runtime is to be given it; `None` if it is as good as the file, or only the file can hold it.
    pub fn for_runtime(&self) -> Result<Option<Vec<u8>>, GraphError> {
        let rewritten = graph::for_runtime(&self.model)?;
        let total: usize = self.contents().map(<[u8]>::len).sum();
        let rewritten = rewritten.filter(|_| total < LARGEST_FILE).map(|rewritten| graph::encode(&rewritten));
        Ok(rewritten.filter(|bytes| bytes.len() < LARGEST_FILE))
    }
}

/// The model of a file as CUDA would be given it, and what CUDA cannot run of it.
///
/// # Errors
/// [`ContractError::Read`], [`ContractError::NotOnnx`] or [`ContractError::TooLarge`].
pub fn for_cuda(path: &Path) -> Result<ForCuda, ContractError> {
    let file = ModelFile::read(path)?;
    let prepared = || graph::for_cuda(&graph::for_runtime(&file.model)?.unwrap_or(file.model));
    prepared().map_err(|error| ContractError::of_graph(path, error))
}
