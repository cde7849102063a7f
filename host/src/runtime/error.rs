//! What can go wrong between a model file and its numbers.

use std::path::PathBuf;
use std::time::Duration;

use super::{Device, LocateError};
use crate::hint::Hint;

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
    #[error("unknown device `{given}`")]
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
    /// A library that the device needs is not on this machine, or not where libraries are looked for.
    #[error("device `{device}` cannot be used: {} `{library}` is not found", owner(library))]
    Library {
        /// The device asked for.
        device: Device,
        /// Its file name.
        library: String,
    },
    /// An operator of the model has no kernel on the device without cuDNN.
    #[error("model `{model}` cannot be used on `{device}`: {obstacle}, and cuDNN cannot be used: {reason}")]
    Cudnn {
        /// The model's file or name.
        model: String,
        /// The device.
        device: Device,
        /// The first such operator, its type and node.
        obstacle: String,
        /// Why cuDNN cannot be used.
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
    /// A run was stopped because it took too long.
    #[error("model `{model}` took longer than the deadline of {} s", deadline.as_secs_f64())]
    Deadline {
        /// The model's file or name.
        model: String,
        /// How long it might take.
        deadline: Duration,
    },
    /// The operating system gives no thread to watch deadlines.
    #[error("cannot start the thread that watches deadlines: {0}")]
    Watchdog(std::io::Error),
    /// A value holds elements that Temper has no array for.
    #[error("a value of type {found} cannot become a tensor; float32, float64, int64, int32 and bool can")]
    ElementType {
        /// ONNX Runtime's name of the type.
        found: String,
    },
}

impl Hint for Error {
    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Locate(error) => return error.hints(),
            Self::Load { .. } => {
                "set ORT_DYLIB_PATH to an ONNX Runtime library of version 1.24 or newer, or unset it to have one fetched"
            }
            Self::Library { library, .. } => return vec![where_from(library)],
            Self::Cudnn { .. } => return vec![where_from("libcudnn.so")],
            Self::Device { device: Device::Cuda(_), .. } => {
                "run `temper setup --device cuda`, make the CUDA 13 libraries visible (LD_LIBRARY_PATH), or use `--device cpu`"
            }
            Self::UnknownDevice { .. } => "use `auto`, `cpu`, `cuda` or `cuda:N`",
            _ => return Vec::new(),
        };
        vec![hint.to_owned()]
    }
}

/// Why a device cannot be used, without its name.
pub(super) fn reason_of(error: &Error) -> String {
    match error {
        Error::Device { reason, .. } => reason.clone(),
        Error::Library { library, .. } => format!("{} `{library}` is not found", owner(library)),
        other => other.to_string(),
    }
}

/// Whose library it is, and of which version, as far as the name tells.
fn owner(library: &str) -> String {
    let version = library.rsplit_once(".so.").map(|(_, version)| version);
    match (library.split('.').next().unwrap_or_default(), version) {
        ("libcuda" | "nvcuda", _) => "the NVIDIA driver's".to_owned(),
        ("libcudnn", _) => "cuDNN's".to_owned(),
        // The others count their versions by themselves.
        ("libcudart" | "libcublas" | "libcublasLt", Some(version)) => format!("CUDA {version}'s"),
        _ => "CUDA's".to_owned(),
    }
}

/// What may make a library visible.
fn where_from(library: &str) -> String {
    let package = match library.split('.').next().unwrap_or_default() {
        "libcuda" | "nvcuda" => {
            return "install NVIDIA's driver, run on a node that has a GPU, or use `--device cpu`".to_owned();
        }
        "libcudart" => "nvidia-cuda-runtime",
        "libcurand" => "nvidia-curand",
        "libcufft" => "nvidia-cufft",
        "libcudnn" => "nvidia-cudnn-cu13",
        _ => "nvidia-cublas",
    };
    let fetch = if matches!(package, "nvidia-cudnn-cu13" | "nvidia-cufft") {
        ""
    } else {
        "run `temper setup --device cuda --with-cuda`, "
    };
    format!(
        "{fetch}load your cluster's module of CUDA, or `pip install {package}` and put the folder of `{library}` into \
         LD_LIBRARY_PATH; or use `--device cpu`"
    )
}

/// ONNX Runtime's reason against a model without the place in its sources, and in plain words where it is not.
pub(super) fn plain(reason: &str) -> String {
    let newest = reason.split("is till opset ").nth(1).and_then(|rest| rest.trim().strip_suffix('.'));
    if let Some(newest) = newest.filter(|digits| digits.chars().all(|c| c.is_ascii_digit())) {
        return format!(
            "it is written for a newer opset of ONNX than {newest}, the newest that this ONNX Runtime runs; export it for opset \
             {newest} or older"
        );
    }
    let behind = |text: &str, mark: &str| text.split_once(mark).map(|(_, rest)| rest.to_owned());
    let reason =
        behind(reason, " failed:").filter(|_| reason.starts_with("Load model from")).unwrap_or(reason.to_owned());
    let placed = reason.starts_with('/') && reason.contains("/onnxruntime/");
    let reason = behind(&reason, ") ").filter(|_| placed).unwrap_or(reason);
    reason.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn reasons_are_put_plainly() {
        let opset = "Load model from a.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model_load_utils.h:46 void \
            onnxruntime::model_load_utils::ValidateOpsetForDomain(const std::string&, int) ONNX Runtime only *guarantees* \
            support. Opset 99 is under development. Current official support for domain ai.onnx is till opset 26.\n";
        assert!(plain(opset).starts_with("it is written for a newer opset of ONNX than 26, the newest"));
        let operator = "Load model from a.onnx failed:This is an invalid model. No Op registered for Acox";
        assert_eq!(plain(operator), "This is an invalid model. No Op registered for Acox");
        let place = "/onnxruntime_src/onnxruntime/core/graph/graph.cc:1 void Graph::Resolve(int) Type error";
        assert_eq!(plain(place), "Type error");
        assert_eq!(plain("Protobuf parsing failed."), "Protobuf parsing failed.");
    }
}
