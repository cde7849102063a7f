//! Why no library could be found or fetched.

use std::io;
use std::path::PathBuf;

use super::wheel::VERSION;
use crate::hint::Hint;

/// No ONNX Runtime could be found or fetched.
#[derive(Debug, thiserror::Error)]
pub enum LocateError {
    /// ORT_DYLIB_PATH is set, and wrong.
    #[error("ORT_DYLIB_PATH names `{}`, which is not a file", path.display())]
    Variable {
        /// The variable's value.
        path: PathBuf,
    },
    /// No wheel is published for this machine.
    #[error("no ONNX Runtime library was found, and none is published for {os} on {arch} ({build} build)")]
    Platform {
        /// Operating system.
        os: &'static str,
        /// Architecture.
        arch: &'static str,
        /// `cpu` or `cuda`.
        build: &'static str,
    },
    /// No wheels with the libraries of CUDA are known for this machine.
    #[error("no libraries of CUDA are published for {os} on {arch} in a form that could be fetched")]
    NoCudaLibraries {
        /// Operating system.
        os: &'static str,
        /// Architecture.
        arch: &'static str,
    },
    /// The system names no directory for caches.
    #[error("no ONNX Runtime library was found, and there is no cache directory to fetch it into")]
    NoCache,
    /// The cache cannot be read or written.
    #[error("cannot use the cache `{}`: {source}", path.display())]
    Cache {
        /// The directory or file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Nothing to fetch with.
    #[error("no ONNX Runtime library was found, and neither pip nor uv is there to fetch it")]
    NoInstaller,
    /// The package index was not reached.
    #[error(
        "no ONNX Runtime library was found, and fetching it with {program} failed because there is no network: {reason}"
    )]
    NoNetwork {
        /// The program that was used.
        program: String,
        /// What it said.
        reason: String,
    },
    /// The program that fetches failed.
    #[error("no ONNX Runtime library was found, and {program} could not fetch it: {reason}")]
    Fetch {
        /// The program that was used.
        program: String,
        /// What it said.
        reason: String,
    },
    /// What was fetched is not what is pinned.
    #[error("the fetched `{file}` is not the pinned file: its SHA-256 is {found}, expected {expected}")]
    Hash {
        /// The file.
        file: String,
        /// The pinned hash.
        expected: String,
        /// The hash of what came.
        found: String,
    },
}

impl Hint for LocateError {
    fn hints(&self) -> Vec<String> {
        let elsewhere = "set ORT_DYLIB_PATH to an ONNX Runtime library of version 1.24 or newer";
        let hint = match self {
            Self::Variable { .. } => format!("{elsewhere}, or unset it to have version {VERSION} fetched"),
            Self::Platform { .. } => elsewhere.to_owned(),
            Self::NoCudaLibraries { .. } => "install CUDA 13 from NVIDIA".to_owned(),
            Self::NoCache => format!("set TEMPER_CACHE_DIR to a directory that can be written, or {elsewhere}"),
            Self::Cache { .. } => "set TEMPER_CACHE_DIR to a directory that can be written".to_owned(),
            Self::NoInstaller => format!("install pip (`python3 -m ensurepip`) or uv, or {elsewhere}"),
            Self::NoNetwork { .. } => format!(
                "run `temper setup` where there is a network and the same cache directory (TEMPER_CACHE_DIR), or {elsewhere}"
            ),
            Self::Fetch { .. } => format!("make `pip download onnxruntime=={VERSION}` work, or {elsewhere}"),
            Self::Hash { .. } => format!("check which package index pip is set to use, or {elsewhere}"),
        };
        vec![hint]
    }
}
