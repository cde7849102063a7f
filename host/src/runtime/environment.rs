//! The one ONNX Runtime of the process.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ort::ep::{self, ExecutionProvider};
use ort::logging::LogLevel;

use super::{Device, Error, Library, Locator, Optimization, Session, SessionOptions};
use crate::graph::onnx;

/// ONNX Runtime allows one environment per process, and one library serves it.
static OPENED: Mutex<Option<Arc<Runtime>>> = Mutex::new(None);

/// The loaded library and its environment, which live until the process ends. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Runtime {
    pub(super) environment: ort::environment::Environment,
    library: Library,
    auto: OnceLock<Result<Device, String>>,
}

impl Runtime {
    /// The process's runtime. The first call finds and loads a library that suits `device`; later calls return the same one,
    /// whatever they ask for, because a process cannot load a second one.
    ///
    /// # Errors
    /// [`Error::Locate`] if no library is found, [`Error::Load`] if the one found cannot be used. A later call tries again.
    pub fn open(locator: &Locator<'_>, device: Device) -> Result<Arc<Self>, Error> {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(runtime) = opened.as_ref() {
            return Ok(Arc::clone(runtime));
        }
        let library = locator.locate(device)?;
        let runtime = Arc::new(Self { environment: load(&library)?, library, auto: OnceLock::new() });
        *opened = Some(Arc::clone(&runtime));
        Ok(runtime)
    }

    /// The library that was loaded.
    pub fn library(&self) -> &Library {
        &self.library
    }

    /// The library's own description: branch, commit and build flags.
    pub fn build_info(&self) -> &'static str {
        ort::info()
    }

    /// Whether the loaded library was built with CUDA. Says nothing about whether CUDA works here: see [`Self::probe`].
    pub fn has_cuda(&self) -> bool {
        ep::CUDA::is_available().unwrap_or(false)
    }

    /// The device that `wish` means on this machine: [`Device::Cpu`] or [`Device::Cuda`]. For `auto` with a CUDA build that does
    /// not work here, `announce` gets one line that says why.
    ///
    /// # Errors
    /// [`Error::Device`] with ONNX Runtime's reason, if CUDA was asked for and does not work.
    pub fn resolve(&self, wish: Device, announce: &dyn Fn(&str)) -> Result<Device, Error> {
        match wish {
            Device::Cpu => Ok(Device::Cpu),
            Device::Cuda(_) => self.probe(wish).map(|()| wish),
            Device::Auto if !self.has_cuda() => Ok(Device::Cpu),
            Device::Auto => {
                let found = self.auto.get_or_init(|| match self.probe(Device::Cuda(0)) {
                    Ok(()) => Ok(Device::Cuda(0)),
                    Err(Error::Device { reason, .. }) => Err(reason),
                    Err(error) => Err(error.to_string()),
                });
                found.clone().or_else(|reason| {
                    announce(&format!("CUDA cannot be used: {reason}; using the CPU"));
                    Ok(Device::Cpu)
                })
            }
        }
    }

    /// Runs the smallest graph on `device`, so that a missing driver shows before a model is loaded.
    ///
    /// # Errors
    /// [`Error::Device`] with ONNX Runtime's reason.
    pub fn probe(&self, device: Device) -> Result<(), Error> {
        let options =
            SessionOptions { device, threads: 1, optimization: Optimization::None, ..SessionOptions::default() };
        let run = || -> Result<(), Error> {
            let mut session = Session::on_device(self, "device probe", &identity_model(), &options, device)?;
            let one = crate::graph::Tensor::from(ndarray::arr1(&[1.0_f32]));
            session.run(&[("x", (&one).into())], &["y"]).map(drop)
        };
        run().map_err(|error| match error {
            Error::Device { reason, .. } | Error::Model { reason, .. } | Error::Run { reason, .. } => {
                Error::Device { device, reason: one_line(&reason) }
            }
            other => other,
        })
    }
}

/// Keeps a reason of many lines on one, without losing words.
fn one_line(reason: &str) -> String {
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn load(library: &Library) -> Result<ort::environment::Environment, Error> {
    let failed = |reason: String| Error::Load { path: library.path.clone(), reason };
    opt_out_of_telemetry();
    let environment = ort::init_from(&library.path)
        .map_err(|error| failed(load_reason(&error)))?
        .with_name("temper")
        .with_telemetry(false)
        // Every failure comes back as an error as well; the log is for those who ask for it.
        .with_logger(Arc::new(|level, category, _id, place, message| {
            tracing::debug!(target: "onnxruntime", ?level, category, place, "{message}");
        }))
        .build()
        .map_err(|error| failed(error.to_string()))?;
    environment.set_log_level(LogLevel::Warning);
    Ok(environment)
}

/// The system's own reason where there is one; `ort` would only say that loading failed.
fn load_reason(error: &ort::LoadDynamicError) -> String {
    let ort::LoadDynamicError::Dlopen { error, .. } = error else {
        return error.to_string();
    };
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

/// Releases after the pinned one read these when they start. A library that the user names may be such a release.
#[allow(unsafe_code)]
fn opt_out_of_telemetry() {
    for name in ["ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"] {
        if std::env::var_os(name).is_none() {
            // SAFETY: Rust code reads and writes the environment under the standard library's lock. Foreign code that reads it
            // without that lock is the library loaded after this call, and plugins, which are opened after the runtime.
            unsafe { std::env::set_var(name, "1") };
        }
    }
}

/// `y = x`, for one axis of any length.
fn identity_model() -> Vec<u8> {
    let value = |name: &str| onnx::ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(onnx::TypeProto {
            value: Some(onnx::type_proto::Value::TensorType(onnx::type_proto::Tensor {
                elem_type: Some(onnx::tensor_proto::DataType::Float as i32),
                shape: Some(onnx::TensorShapeProto { dim: vec![onnx::tensor_shape_proto::Dimension::default()] }),
            })),
            ..Default::default()
        }),
        ..Default::default()
    };
    let node = onnx::NodeProto {
        input: vec!["x".into()],
        output: vec!["y".into()],
        op_type: Some("Identity".into()),
        ..Default::default()
    };
    let graph = onnx::GraphProto {
        name: Some("identity".into()),
        node: vec![node],
        input: vec![value("x")],
        output: vec![value("y")],
        ..Default::default()
    };
    let opset = onnx::OperatorSetIdProto { version: Some(21), ..Default::default() };
    let model =
        onnx::ModelProto { ir_version: Some(10), opset_import: vec![opset], graph: Some(graph), ..Default::default() };
    prost::Message::encode_to_vec(&model)
}
