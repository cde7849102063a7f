//! One model, loaded and ready to run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ort::ep;
use ort::logging::LogLevel;
use ort::session::SessionInputValue;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::bound;
use super::deadline::{Stoppable, Watch, Watchdog};
use super::error::{plain, reason_of};
use super::{Device, Error, Input, OrtTensor, Runtime, TensorInfo};
use crate::graph::{self, ForCuda, Tensor, Trouble};

/// How far ONNX Runtime rewrites a graph before it runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Optimization {
    /// Not at all: for finding out whether a rewrite is to blame.
    None,
    /// Everything, fused operators and memory layouts included.
    #[default]
    All,
}

/// How a session is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionOptions {
    /// Where the graph runs.
    pub device: Device,
    /// Threads of one operator; 0 takes every core that the process may use. With more than one, ONNX Runtime 1.28's
    /// `ScatterND` may lose rows that it adds to one another.
    pub threads: usize,
    /// How far the graph is rewritten.
    pub optimization: Optimization,
    /// How long one run by [`Session::run`] or [`Session::run_values`] may take; it is stopped after the operator that it is at.
    pub deadline: Option<Duration>,
}

/// A model that ONNX Runtime has accepted.
#[derive(Debug)]
pub struct Session {
    pub(super) inner: ort::session::Session,
    pub(super) name: String,
    inputs: Vec<TensorInfo>,
    pub(super) outputs: Vec<TensorInfo>,
    device: Device,
    deadline: Option<(Arc<Watchdog>, Duration)>,
}

impl Session {
    /// Loads the model in the file `path`. Tensor data that the model keeps in further files is sought beside it.
    ///
    /// # Errors
    /// [`Error::ModelFile`] if the file cannot be read, [`Error::Model`] if ONNX Runtime refuses it, [`Error::Device`] if the
    /// device cannot be used.
    pub fn from_file(runtime: &Runtime, path: &Path, options: &SessionOptions) -> Result<Self, Error> {
        let failed = |source| Error::ModelFile { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(failed(std::io::Error::other("not a file")));
        }
        let device = runtime.resolve(options.device, &|line| tracing::warn!("{line}"))?;
        let name = path.display().to_string();
        let builder = builder(runtime, options, device).map_err(|reason| Error::Device { device, reason })?;
        Self::commit(name, device, options, builder, |builder| builder.commit_from_file(path))
    }

    /// Loads the model that `bytes` encode; `name` stands for it in errors. For CUDA, operators that it lacks are rewritten
    /// first: see [`graph::for_cuda`].
    ///
    /// # Errors
    /// As [`Self::from_file`].
    pub fn from_bytes(runtime: &Runtime, name: &str, bytes: &[u8], options: &SessionOptions) -> Result<Self, Error> {
        let device = runtime.resolve(options.device, &|line| tracing::warn!("{line}"))?;
        let rewritten = match device {
            Device::Cuda(_) => for_cuda(runtime, name, bytes, device)?,
            Device::Auto | Device::Cpu => None,
        };
        Self::as_it_is(runtime, name, rewritten.as_deref().unwrap_or(bytes), options, device)
    }

    /// A graph that is tried on a device, as it is.
    pub(super) fn for_probe(runtime: &Runtime, bytes: &[u8], device: Device) -> Result<Self, Error> {
        let options =
            SessionOptions { device, threads: 1, optimization: Optimization::None, ..SessionOptions::default() };
        Self::as_it_is(runtime, "device probe", bytes, &options, device)
    }

    fn as_it_is(
        runtime: &Runtime,
        name: &str,
        bytes: &[u8],
        options: &SessionOptions,
        device: Device,
    ) -> Result<Self, Error> {
        let builder = builder(runtime, options, device).map_err(|reason| Error::Device { device, reason })?;
        Self::commit(name.to_owned(), device, options, builder, |builder| builder.commit_from_memory(bytes))
    }

    fn commit(
        name: String,
        device: Device,
        options: &SessionOptions,
        mut builder: SessionBuilder,
        commit: impl FnOnce(&mut SessionBuilder) -> ort::Result<ort::session::Session>,
    ) -> Result<Self, Error> {
        let inner = match commit(&mut builder) {
            Ok(inner) => inner,
            Err(error) => return Err(Error::Model { model: name, reason: plain(&error.to_string()) }),
        };
        let inputs = inner.inputs().iter().map(TensorInfo::of).collect();
        let outputs = inner.outputs().iter().map(TensorInfo::of).collect();
        let watched = |deadline| Ok::<_, Error>((Watchdog::start()?, deadline));
        let deadline = options.deadline.map(watched).transpose()?;
        Ok(Self { inner, name, inputs, outputs, device, deadline })
    }

    /// The inputs that must be given, in the model's order.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// The outputs that can be asked for, in the model's order.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// Where the graph runs: [`Device::Cpu`] or [`Device::Cuda`].
    pub fn device(&self) -> Device {
        self.device
    }

    /// Runs the graph and copies the `outputs` asked for into arrays, in that order.
    ///
    /// # Errors
    /// [`Error::UnknownName`] for an output that the model lacks, [`Error::Deadline`] if the run was stopped, [`Error::Run`] with
    /// ONNX Runtime's reason otherwise.
    pub fn run(&mut self, inputs: &[(&str, Input<'_>)], outputs: &[&str]) -> Result<Vec<Tensor>, Error> {
        self.run_values(inputs, outputs)?.iter().map(OrtTensor::to_tensor).collect()
    }

    /// Runs the graph, copies the outputs `fetched` into arrays, and leaves the outputs `kept` where they were computed, on the
    /// device or in ONNX Runtime's memory, for the next run to read.
    ///
    /// # Errors
    /// As [`Self::run`]. On a CUDA device no deadline is kept.
    pub fn run_keeping(
        &mut self,
        inputs: &[(&str, Input<'_>)],
        fetched: &[&str],
        kept: &[&str],
    ) -> Result<(Vec<Tensor>, Vec<OrtTensor>), Error> {
        for name in fetched.iter().chain(kept) {
            find(&self.outputs, "output", name, &self.name)?;
        }
        let mut values = match self.device {
            Device::Cuda(index) => {
                let run = bound::run(&mut self.inner, index, inputs, fetched, kept);
                run.map_err(|error| Error::Run { model: self.name.clone(), reason: error.to_string() })?
            }
            Device::Auto | Device::Cpu => self.run_values(inputs, &[fetched, kept].concat())?,
        };
        let kept = values.split_off(fetched.len());
        Ok((values.iter().map(OrtTensor::to_tensor).collect::<Result<_, _>>()?, kept))
    }

    /// Runs the graph and leaves the results in ONNX Runtime's memory.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_values(&mut self, inputs: &[(&str, Input<'_>)], outputs: &[&str]) -> Result<Vec<OrtTensor>, Error> {
        for name in outputs {
            find(&self.outputs, "output", name, &self.name)?;
        }
        let Self { inner, name: model, deadline, .. } = self;
        let failed = |error: ort::Error| Error::Run { model: model.clone(), reason: error.to_string() };
        let mut fed: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len());
        for &(name, input) in inputs {
            fed.push((name, input.to_ort().map_err(failed)?));
        }
        let run = Arc::new(Stoppable::new(outputs).map_err(failed)?);
        let watch = deadline.as_ref().and_then(|(watchdog, deadline)| watchdog.watch_run(&run, *deadline));
        let results = inner.run_with_options(fed, run.options());
        let stopped = watch.is_some_and(Watch::end);
        if let Some((_, deadline)) = deadline.as_ref().filter(|_| stopped) {
            // Also where the run came to its end all the same, within an operator that took too long.
            return Err(Error::Deadline { model: model.clone(), deadline: *deadline });
        }
        Ok(results.map_err(failed)?.into_iter().map(|(_, value)| OrtTensor(value)).collect())
    }
}

/// A model as the CUDA provider should be given it, where it must be another than the file's.
fn for_cuda(runtime: &Runtime, name: &str, bytes: &[u8], device: Device) -> Result<Option<Vec<u8>>, Error> {
    let ForCuda { rewritten, obstacles, .. } = match graph::decode_own(bytes).and_then(|model| graph::for_cuda(&model))
    {
        Ok(prepared) => prepared,
        Err(error) => {
            tracing::debug!("model `{name}` goes to CUDA as it is: {error}");
            return Ok(None);
        }
    };
    obstacles.iter().for_each(|obstacle| tracing::debug!("model `{name}` on CUDA: {obstacle}"));
    if let Some(obstacle) = obstacles.iter().find(|obstacle| obstacle.trouble == Trouble::NeedsCudnn) {
        runtime.probe_cudnn(device).map_err(|error| Error::Cudnn {
            model: name.to_owned(),
            device,
            obstacle: obstacle.to_string(),
            reason: reason_of(&error),
        })?;
    }
    Ok(rewritten.as_ref().map(graph::encode))
}

/// The position of `name`, or an error that lists the names there are.
pub(super) fn find(known: &[TensorInfo], what: &'static str, name: &str, model: &str) -> Result<usize, Error> {
    known.iter().position(|info| info.name == name).ok_or_else(|| Error::UnknownName {
        model: model.to_owned(),
        what,
        name: name.to_owned(),
        known: known.iter().map(|info| format!("`{}`", info.name)).collect::<Vec<_>>().join(", "),
    })
}

/// Cores that the process may use. ONNX Runtime's own default also pins its threads to cores, which fights with other jobs of a
/// shared node.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn builder(runtime: &Runtime, options: &SessionOptions, device: Device) -> Result<SessionBuilder, String> {
    let level = match options.optimization {
        Optimization::None => GraphOptimizationLevel::Disable,
        Optimization::All => GraphOptimizationLevel::All,
    };
    let threads = if options.threads == 0 { default_threads() } else { options.threads };
    let set_up = || -> ort::Result<SessionBuilder> {
        let builder = ort::session::Session::builder(&runtime.environment)?
            .with_log_level(LogLevel::Warning)?
            .with_optimization_level(level)?
            .with_intra_threads(threads)?
            .with_inter_threads(1)?
            // Waiting threads would burn the cores that the sampling and the other sessions need.
            .with_intra_op_spinning(false)?
            .with_inter_op_spinning(false)?
            // One plan of the memory would be kept for every set of shapes, and shapes vary.
            .with_memory_pattern(false)?
            // A resumed run must end with the same numbers, where that is possible.
            .with_deterministic_compute(device.is_deterministic())?
            // The default quantizes what is multiplied with 8-bit weights to 8 bits as well, which makes energies noisy.
            .with_config_entry("session.qdq_matmulnbits_accuracy_level", "1")?
            // Only ONNX: the other format that the library would accept is not checked as strictly.
            .with_config_entry("session.load_model_format", "ONNX")?;
        match device {
            Device::Cuda(index) => {
                let index = i32::try_from(index).unwrap_or(i32::MAX);
                // TF32 keeps 10 bits of mantissa: too few for parity with the reference. Memory that is taken in powers of two is
                // a third more than what is used.
                let cuda = ep::CUDA::default()
                    .with_device_id(index)
                    .with_tf32(false)
                    .with_arena_extend_strategy(ep::ArenaExtendStrategy::SameAsRequested);
                Ok(builder.with_execution_providers([cuda.build().error_on_failure()])?)
            }
            Device::Auto | Device::Cpu => Ok(builder),
        }
    };
    set_up().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::Dim;
    use super::super::testing::{model, node, runtime, value};
    use super::*;
    use crate::graph::{DataType, onnx};
    use ndarray::{arr1, arr2};

    const F32: i32 = onnx::tensor_proto::DataType::Float as i32;

    fn cpu() -> SessionOptions {
        SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() }
    }

    fn open(bytes: &[u8]) -> Result<Session, Error> {
        Session::from_bytes(&runtime(), "test.onnx", bytes, &cpu())
    }

    /// `sum = a + b` and `product = a * b`, over `rows` x 2.
    fn arithmetic() -> Vec<u8> {
        let dims = ["rows", "2"];
        model(
            vec![node("Add", &["a", "b"], &["sum"]), node("Mul", &["a", "b"], &["product"])],
            vec![value("a", F32, &dims), value("b", F32, &dims)],
            vec![value("sum", F32, &dims), value("product", F32, &dims)],
        )
    }

    #[test]
    fn the_model_tells_its_inputs_and_outputs() {
        let session = open(&arithmetic()).unwrap();
        let names = |infos: &[TensorInfo]| infos.iter().map(|info| info.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(session.inputs()), ["a", "b"]);
        assert_eq!(names(session.outputs()), ["sum", "product"]);
        assert_eq!(session.inputs()[0].data_type, Some(DataType::F32));
        assert_eq!(session.inputs()[0].dims, [Dim::Symbol("rows".into()), Dim::Fixed(2)]);
        assert_eq!(session.device(), Device::Cpu);
    }

    #[test]
    fn outputs_come_in_the_order_asked_for() {
        let mut session = open(&arithmetic()).unwrap();
        let (a, b) = (Tensor::from(arr2(&[[1.0_f32, 2.0]])), Tensor::from(arr2(&[[3.0_f32, 5.0]])));
        let inputs = [("a", (&a).into()), ("b", (&b).into())];
        let both = session.run(&inputs, &["product", "sum"]).unwrap();
        assert_eq!(both, [arr2(&[[3.0_f32, 10.0]]).into(), arr2(&[[4.0_f32, 7.0]]).into()]);
        assert_eq!(session.run(&inputs, &["sum"]).unwrap(), [arr2(&[[4.0_f32, 7.0]]).into()]);
        let empty = Tensor::from(ndarray::Array2::<f32>::zeros((0, 2)));
        let none = session.run(&[("a", (&empty).into()), ("b", (&empty).into())], &["sum"]).unwrap();
        assert_eq!(none[0].shape(), [0, 2]);
    }

    #[test]
    fn an_array_in_column_order_is_read_in_its_own_order() {
        let mut session = open(&arithmetic()).unwrap();
        let rows = arr2(&[[1.0_f32, 2.0], [3.0, 4.0]]);
        let columns = Tensor::F32(rows.clone().reversed_axes().into_dyn());
        let zeros = Tensor::from(ndarray::Array2::<f32>::zeros((2, 2)));
        let sum = session.run(&[("a", (&columns).into()), ("b", (&zeros).into())], &["sum"]).unwrap();
        assert_eq!(sum[0].as_f32().unwrap(), &rows.t().to_owned().into_dyn());
    }

    #[test]
    fn every_element_type_goes_there_and_back() {
        let tensors: [(i32, Tensor); 5] = [
            (F32, arr1(&[1.5_f32, f32::NAN]).into()),
            (onnx::tensor_proto::DataType::Double as i32, arr1(&[1.5_f64, -0.0]).into()),
            (onnx::tensor_proto::DataType::Int64 as i32, arr1(&[i64::MIN, 2]).into()),
            (onnx::tensor_proto::DataType::Int32 as i32, arr1(&[i32::MAX, -2]).into()),
            (onnx::tensor_proto::DataType::Bool as i32, arr1(&[true, false]).into()),
        ];
        for (element, tensor) in tensors {
            let identity = model(
                vec![node("Identity", &["x"], &["y"])],
                vec![value("x", element, &["n"])],
                vec![value("y", element, &["n"])],
            );
            let out = open(&identity).unwrap().run(&[("x", (&tensor).into())], &["y"]).unwrap();
            assert_eq!(format!("{:?}", out[0]), format!("{tensor:?}"));
        }
    }

    #[test]
    fn a_value_goes_from_run_to_run() {
        let mut session = open(&arithmetic()).unwrap();
        let b = Tensor::from(arr2(&[[1.0_f32, 10.0]]));
        let start = Tensor::from(arr2(&[[0.0_f32, 0.0]]));
        let mut total = session.run_values(&[("a", (&start).into()), ("b", (&b).into())], &["sum"]).unwrap();
        for _ in 0..3 {
            total = session.run_values(&[("a", (&total[0]).into()), ("b", (&b).into())], &["sum"]).unwrap();
        }
        assert_eq!(total[0].shape(), [1, 2]);
        drop(session);
        assert_eq!(total[0].to_tensor().unwrap(), arr2(&[[4.0_f32, 40.0]]).into());
    }

    #[test]
    fn wrong_inputs_and_outputs_are_errors_with_the_reason() {
        let mut session = open(&arithmetic()).unwrap();
        let good = Tensor::from(arr2(&[[1.0_f32, 2.0]]));
        let text = |error: Error| error.to_string();
        let both = [("a", (&good).into()), ("b", (&good).into())];
        assert_eq!(
            text(session.run(&both, &["total"]).unwrap_err()),
            "model `test.onnx` has no output `total`; it has `sum`, `product`"
        );
        assert!(text(session.run(&both[..1], &["sum"]).unwrap_err()).contains("b"));
        assert!(
            text(session.run(&[both[0], ("c", (&good).into())], &["sum"]).unwrap_err())
                .contains("Invalid input name: c")
        );
        let ids = Tensor::from(arr2(&[[1_i64, 2]]));
        assert!(text(session.run(&[both[0], ("b", (&ids).into())], &["sum"]).unwrap_err()).contains("data type"));
        let wide = Tensor::from(arr2(&[[1.0_f32, 2.0, 3.0]]));
        assert!(text(session.run(&[both[0], ("b", (&wide).into())], &["sum"]).unwrap_err()).contains("dimension"));
        assert!(session.run(&[], &[]).is_err());
        session.run(&both, &["sum"]).expect("an error must not spoil the session");
    }

    /// `y`: `x` halved `times` over, one small operator after the other.
    fn halving() -> Vec<u8> {
        let int = onnx::tensor_proto::DataType::Int64 as i32;
        let bool = onnx::tensor_proto::DataType::Bool as i32;
        let body = onnx::GraphProto {
            name: Some("body".into()),
            node: vec![node("Mul", &["held", "half"], &["halved"]), node("Identity", &["on"], &["on_out"])],
            input: vec![value("i", int, &[]), value("on", bool, &[]), value("held", F32, &["1"])],
            output: vec![value("on_out", bool, &[]), value("halved", F32, &["1"])],
            ..Default::default()
        };
        let mut turns = node("Loop", &["times", "", "x"], &["y"]);
        turns.attribute.push(onnx::AttributeProto {
            name: Some("body".into()),
            r#type: Some(onnx::attribute_proto::AttributeType::Graph as i32),
            g: Some(body),
            ..Default::default()
        });
        let inputs = vec![value("times", int, &[]), value("x", F32, &["1"]), value("half", F32, &["1"])];
        model(vec![turns], inputs, vec![value("y", F32, &["1"])])
    }

    #[test]
    fn a_run_beyond_its_deadline_is_stopped_and_the_session_goes_on() {
        let deadline = Duration::from_millis(200);
        let options = SessionOptions { deadline: Some(deadline), ..cpu() };
        let mut session = Session::from_bytes(&runtime(), "halving", &halving(), &options).unwrap();
        let (x, half) = (Tensor::from(arr1(&[8.0_f32])), Tensor::from(arr1(&[0.5_f32])));
        let mut halve = |times: i64| {
            let times = Tensor::from(ndarray::arr0(times));
            session.run(&[("times", (&times).into()), ("x", (&x).into()), ("half", (&half).into())], &["y"])
        };
        assert_eq!(halve(3).unwrap(), [arr1(&[1.0_f32]).into()]);
        // Left alone, these turns take about a minute.
        let started = std::time::Instant::now();
        let error = halve(30_000_000).unwrap_err();
        assert_eq!(error.to_string(), "model `halving` took longer than the deadline of 0.2 s");
        assert!((deadline..deadline * 30).contains(&started.elapsed()), "{:?}", started.elapsed());
        assert_eq!(halve(2).unwrap(), [arr1(&[2.0_f32]).into()]);
    }

    #[test]
    fn each_of_several_runs_has_its_own_deadline() {
        let open = |deadline| {
            let options = SessionOptions { deadline, ..cpu() };
            Session::from_bytes(&runtime(), "halving", &halving(), &options).unwrap()
        };
        let (x, half) = (Tensor::from(arr1(&[8.0_f32])), Tensor::from(arr1(&[0.5_f32])));
        let halve = |mut session: Session, times: i64| {
            let times = Tensor::from(ndarray::arr0(times));
            session.run(&[("times", (&times).into()), ("x", (&x).into()), ("half", (&half).into())], &["y"])
        };
        std::thread::scope(|scope| {
            let halve = &halve;
            // The later deadline is set first.
            let patient = scope.spawn(|| halve(open(Some(Duration::from_secs(3000))), 200_000));
            let slow: Vec<_> = [300, 100]
                .map(|ms| scope.spawn(move || halve(open(Some(Duration::from_millis(ms))), 30_000_000)))
                .into_iter()
                .map(|run| run.join().unwrap().unwrap_err().to_string())
                .collect();
            assert!(slow[0].ends_with("0.3 s") && slow[1].ends_with("0.1 s"), "{slow:?}");
            assert!(patient.join().unwrap().is_ok());
        });
        assert!(halve(open(Some(Duration::MAX)), 1).is_ok());
    }

    #[test]
    fn bytes_that_are_no_model_are_refused_by_name() {
        let whole = arithmetic();
        let mut bad: Vec<Vec<u8>> = vec![Vec::new(), b"not a model".to_vec(), vec![0; 1000], vec![0xff; 1000]];
        bad.extend((1..whole.len()).step_by(7).map(|length| whole[..length].to_vec()));
        let mut refused = 0;
        for bytes in bad {
            // A cut between two fields can leave a smaller model that is whole; it must load or be refused, nothing else.
            if let Err(error) = open(&bytes) {
                let Error::Model { model, reason } = &error else { panic!("{error}") };
                assert!(model == "test.onnx" && !reason.is_empty(), "{error}");
                refused += 1;
            }
        }
        assert!(refused > 20);
    }

    #[test]
    fn a_model_with_flipped_bytes_loads_or_is_refused() {
        let whole = arithmetic();
        let mut state = 1_u64;
        for _ in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] ^= (state >> 20) as u8;
            }
            let _ = open(&bytes);
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_by_path() {
        let dir = tempfile::tempdir().unwrap();
        let open = |path: &Path| Session::from_file(&runtime(), path, &cpu());
        let missing = dir.path().join("missing.onnx");
        let error = open(&missing).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot read model `{}`: ", missing.display())), "{error}");
        assert!(open(dir.path()).unwrap_err().to_string().ends_with("not a file"));
        let path = dir.path().join("cut.onnx");
        for length in [0, 10, arithmetic().len() - 1] {
            std::fs::write(&path, &arithmetic()[..length]).unwrap();
            let error = open(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("model `{}` cannot be used: ", path.display())), "{error}");
        }
        std::fs::write(&path, arithmetic()).unwrap();
        open(&path).unwrap();
    }

    #[test]
    fn a_type_that_cannot_be_named_is_no_panic() {
        use onnx::type_proto::{Sequence, Tensor, Value as Kind};
        let kind = |value| onnx::TypeProto { value: Some(value), ..Default::default() };
        let tensor = kind(Kind::TensorType(Tensor { elem_type: Some(F32), shape: None }));
        let sequence = |inner| kind(Kind::SequenceType(Box::new(Sequence { elem_type: Some(Box::new(inner)) })));
        let nested = sequence(sequence(tensor));
        let port = |name: &str| onnx::ValueInfoProto {
            name: Some(name.into()),
            r#type: Some(nested.clone()),
            ..Default::default()
        };
        let float = |name: &str| value(name, F32, &["n"]);
        let nodes = vec![node("Identity", &["x"], &["y"])];
        let bytes = model(nodes, vec![float("x"), port("unused")], vec![float("y")]);
        let error = open(&bytes).unwrap_err().to_string();
        assert!(error.starts_with("model `test.onnx` cannot be used: ") && error.contains("seq(seq"), "{error}");
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_with_the_reason() {
        if runtime().has_cuda() {
            println!("skipped: the library at hand has CUDA");
            return;
        }
        let options = SessionOptions { device: Device::Cuda(0), ..cpu() };
        let error = Session::from_bytes(&runtime(), "test.onnx", &arithmetic(), &options).unwrap_err();
        assert!(
            error.to_string().starts_with("device `cuda` cannot be used: CUDA execution provider is not enabled"),
            "{error}"
        );
        let auto = SessionOptions { device: Device::Auto, ..cpu() };
        assert_eq!(Session::from_bytes(&runtime(), "t", &arithmetic(), &auto).unwrap().device(), Device::Cpu);
    }
}
