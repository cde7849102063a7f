//! What of CUDA works on this machine, found out by trying it, once per process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, PoisonError};

use ndarray::{arr1, arr2};

use super::error::plain;
use super::locate::cuda_libraries;
use super::{Device, Error, Runtime, Session};
use crate::graph::{self, Attributes, Builder, DataType, GraphError, Tensor};

/// Why a device cannot be used.
#[derive(Clone, Debug)]
pub(super) enum Unusable {
    /// A library that CUDA consists of is not there.
    Library(String),
    /// ONNX Runtime's reason.
    Other(String),
}

impl Unusable {
    fn of(error: &Error) -> Self {
        let reason = match error {
            Error::Device { reason, .. } | Error::Model { reason, .. } | Error::Run { reason, .. } => reason.clone(),
            other => other.to_string(),
        };
        match missing_library(&reason) {
            Some(library) => Self::Library(library.to_owned()),
            None => Self::Other(plain(&one_line(&reason))),
        }
    }

    pub fn error(self, device: Device) -> Error {
        match self {
            Self::Library(library) => Error::Library { device, library },
            Self::Other(reason) => Error::Device { device, reason },
        }
    }
}

type Outcomes = HashMap<(Device, Part), Result<(), Unusable>>;

/// What has been tried, and whether the user has been told that `auto` means the processor.
#[derive(Clone, Debug)]
pub(super) struct Tried {
    parts: Arc<Mutex<Outcomes>>,
    pub told: Arc<Once>,
}

impl Default for Tried {
    fn default() -> Self {
        Self { parts: Arc::default(), told: Arc::new(Once::new()) }
    }
}

/// What is tried by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Part {
    Device,
    Cudnn,
}

impl Runtime {
    /// Runs on `device` what every model needs, a product, a sum and a sum by index, so that a missing driver or library shows
    /// before a model is loaded.
    ///
    /// # Errors
    /// [`Error::Library`] or [`Error::Device`].
    pub fn probe(&self, device: Device) -> Result<(), Error> {
        self.try_part(device, Part::Device, arithmetic)
    }

    /// Runs on `device` a reduction that needs cuDNN.
    ///
    /// # Errors
    /// As [`Self::probe`].
    pub fn probe_cudnn(&self, device: Device) -> Result<(), Error> {
        self.try_part(device, Part::Cudnn, largest)
    }

    fn try_part(&self, device: Device, part: Part, graph: fn() -> Result<Vec<u8>, GraphError>) -> Result<(), Error> {
        let mut tried = self.tried.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tried.entry((device, part)).or_insert_with(|| {
            let run = graph().map_err(|error| Unusable::Other(error.to_string()));
            run.and_then(|bytes| {
                let run = || self.run_probe(device, &bytes).map_err(|error| Unusable::of(&error));
                // What the system has goes before what was fetched.
                run().or_else(|unusable| if self.load_fetched(&unusable) { run() } else { Err(unusable) })
            })
        });
        found.clone().map_err(|unusable| unusable.error(device))
    }

    /// Loads the libraries of CUDA in the cache, if one of them is what is missing.
    fn load_fetched(&self, unusable: &Unusable) -> bool {
        let Unusable::Library(missing) = unusable else { return false };
        let files = self.cache.as_deref().map(cuda_libraries).unwrap_or_default();
        let has = files.iter().any(|file| file.file_name().is_some_and(|name| name == missing.as_str()));
        has && files.iter().all(|file| {
            let loaded = ort::util::preload_dylib(file);
            loaded.inspect_err(|error| tracing::debug!("`{}` cannot be loaded: {error}", file.display())).is_ok()
        })
    }

    fn run_probe(&self, device: Device, graph: &[u8]) -> Result<(), Error> {
        let mut session = Session::for_probe(self, graph, device)?;
        let x = Tensor::from(arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]));
        let rows = Tensor::from(arr1(&[1_i64, 1]));
        let inputs = [("x", (&x).into()), ("rows", (&rows).into())];
        session.run(&inputs[..session.inputs().len()], &["y"]).map(drop)
    }
}

/// `x x`, its rows added to row 1, summed up.
fn arithmetic() -> Result<Vec<u8>, GraphError> {
    let mut b = Builder::new();
    let n = b.symbol("n");
    let x = b.input("x", DataType::F32, &[n, n]);
    let rows = b.input("rows", DataType::I64, &[n]);
    let product = b.matmul(x, x);
    let indices = b.unsqueeze(rows, &[1]);
    let scattered = b.node("ScatterND", &[x, indices, product], Attributes::none().string("reduction", "add"));
    let y = b.reduce_sum(scattered, &[1], false);
    b.output("y", y);
    Ok(graph::encode(&b.finish("probe", &[])?))
}

/// The largest element of each row.
fn largest() -> Result<Vec<u8>, GraphError> {
    let mut b = Builder::new();
    let n = b.symbol("n");
    let x = b.input("x", DataType::F32, &[n, n]);
    let y = b.reduce_max(x, &[1], false);
    b.output("y", y);
    Ok(graph::encode(&b.finish("cuDNN probe", &[])?))
}

/// Keeps a reason of many lines on one, without losing words.
fn one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The library that the system's loader did not find, if that is the reason.
fn missing_library(reason: &str) -> Option<&str> {
    let (before, _) = reason.split_once(": cannot open shared object file")?;
    before.rsplit([' ', ':']).next().filter(|name| name.contains(".so"))
}

/// Whether the NVIDIA driver is on this machine. Its library is loaded for that, which does no harm: CUDA would load it next.
///
/// # Errors
/// The name of the library.
pub(super) fn driver() -> Result<(), String> {
    let library = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
    ort::util::preload_dylib(library).map_err(|_| library.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::runtime;
    use super::*;

    #[test]
    fn the_probes_run_where_they_can() {
        runtime().probe(Device::Cpu).unwrap();
        runtime().probe_cudnn(Device::Cpu).unwrap();
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let provider = "/onnxruntime_src/onnxruntime/core/session/provider_bridge_ort.cc:1988 onnxruntime::Provider& \
            onnxruntime::ProviderLibrary::Get() [ONNXRuntimeError] : 1 : FAIL : Failed to load library \
            /cache/libonnxruntime_providers_cuda.so with error: libcublasLt.so.13: cannot open shared object file: No such file \
            or directory";
        let text = |library: &str| Unusable::Library(library.into()).error(Device::Cuda(0)).to_string();
        let error = Error::Device { device: Device::Cuda(0), reason: provider.into() };
        assert_eq!(
            Unusable::of(&error).error(Device::Cuda(0)).to_string(),
            "device `cuda` cannot be used: CUDA 13's `libcublasLt.so.13` is not found"
        );
        assert_eq!(text("libcurand.so.10"), "device `cuda` cannot be used: CUDA's `libcurand.so.10` is not found");
        assert_eq!(
            text("libcuda.so.1"),
            "device `cuda` cannot be used: the NVIDIA driver's `libcuda.so.1` is not found"
        );
        assert_eq!(text("libcudnn.so"), "device `cuda` cannot be used: cuDNN's `libcudnn.so` is not found");
        let other = Error::Run { model: "probe".into(), reason: "CUDA failure 35:\n driver is too old ".into() };
        let Unusable::Other(reason) = Unusable::of(&other) else { panic!() };
        assert_eq!(reason, "CUDA failure 35: driver is too old");
    }
}
