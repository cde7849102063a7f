//! What can go wrong between a model file and its numbers.

use std::path::PathBuf;

use super::{Device, LocateError};

/// An error of the runtime. Where ONNX Runtime gave a reason, it is quoted as it came.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No library was found, and none could be fetched.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// A library was found, but it is not an ONNX Runtime that can be used.
    #[error("cannot load ONNX Runtime from `{}`: {reason}", path.display())]
    Load {
        /// The library's file.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// The text names no device.
    #[error("unknown device `{given}`: use `auto`, `cpu`, `cuda` or `cuda:N`")]
    UnknownDevice {
        /// What was given.
        given: String,
    },
    /// The device exists in our vocabulary but cannot be used here.
    #[error("device `{device}` cannot be used: {reason}")]
    Device {
        /// The device asked for.
        device: Device,
        /// ONNX Runtime's reason.
        reason: String,
    },
    /// The model's file cannot be read.
    #[error("cannot read model `{}`: {source}", path.display())]
    ModelFile {
        /// The model's file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are no model that ONNX Runtime accepts.
    #[error("model `{model}` cannot be used: {reason}")]
    Model {
        /// The model's file or name.
        model: String,
        /// ONNX Runtime's reason.
        reason: String,
    },
    /// A run was asked for an output, or a binding for an input or output, that the model lacks.
    #[error("model `{model}` has no {what} `{name}`; it has {known}")]
    UnknownName {
        /// The model's file or name.
        model: String,
        /// `input` or `output`.
        what: &'static str,
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// ONNX Runtime refused the inputs or failed while running.
    #[error("model `{model}` failed: {reason}")]
    Run {
        /// The model's file or name.
        model: String,
        /// ONNX Runtime's reason.
        reason: String,
    },
    /// A value holds elements that Temper has no array for.
    #[error("a value of type {found} cannot become a tensor; float32, float64, int64, int32 and bool can")]
    ElementType {
        /// ONNX Runtime's name of the type.
        found: String,
    },
}

impl Error {
    /// What the user can do about it, where there is something to say beyond the message.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Locate(error) => Some(error.advice()),
            Self::Load { .. } => Some(
                "set ORT_DYLIB_PATH to an ONNX Runtime library of version 1.24 or newer, or unset it to have one fetched"
                    .into(),
            ),
            Self::Device { device: Device::Cuda(_), .. } => Some(
                "run `temper setup --device cuda`, make the CUDA 13 libraries visible (LD_LIBRARY_PATH), or use `--device cpu`"
                    .into(),
            ),
            _ => None,
        }
    }
}
