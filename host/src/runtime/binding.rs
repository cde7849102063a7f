//! Inputs and outputs that stay in place from run to run.

use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::IoBinding;
use ort::value::{DynTensor, DynValue};

use super::session::find;
use super::value::{element_type, to_tensor};
use super::{Device, Error, Session, TensorInfo};
use crate::graph::Tensor;

/// The tensors of one session's runs, kept where the session computes: parameters are handed over once, and a key/value cache is
/// updated in place. The binding owns what it is given, so nothing else can look at a buffer while a run writes it.
#[derive(Debug)]
pub struct Binding {
    // Dropped in this order: `inner` keeps the session alive, to which the buffers' memory may belong.
    buffers: Vec<(String, DynTensor)>,
    inner: IoBinding,
    model: String,
    device: Device,
    inputs: Vec<TensorInfo>,
    outputs: Vec<TensorInfo>,
    fetched: Vec<String>,
}

impl Binding {
    /// An empty binding: every input must be set, and at least one output bound, before the first run.
    ///
    /// # Errors
    /// [`Error::Run`] with ONNX Runtime's reason.
    pub fn new(session: &Session) -> Result<Self, Error> {
        let model = session.name.clone();
        let inner = match session.inner.create_binding() {
            Ok(inner) => inner,
            Err(error) => return Err(Error::Run { model, reason: error.to_string() }),
        };
        Ok(Self {
            buffers: Vec::new(),
            inner,
            model,
            device: session.device(),
            inputs: session.inputs().to_vec(),
            outputs: session.outputs().to_vec(),
            fetched: Vec::new(),
        })
    }

    /// Copies `tensor` to where the session computes, for all runs until it is set again.
    ///
    /// # Errors
    /// [`Error::UnknownName`], or [`Error::Run`] with ONNX Runtime's reason.
    pub fn set_input(&mut self, name: &str, tensor: &Tensor) -> Result<(), Error> {
        find(&self.inputs, "input", name, &self.model)?;
        let value = owned(tensor).map_err(|error| self.failed(&error))?;
        self.inner.bind_input(name, &value).map_err(|error| self.failed(&error))
    }

    /// Lets `input` and `output` share one buffer that starts as a copy of `initial`: the graph then updates it in place. Only for
    /// operators that document this (such as `GroupQueryAttention` with its past and present).
    ///
    /// # Errors
    /// [`Error::UnknownName`], or [`Error::Run`] with ONNX Runtime's reason.
    pub fn set_in_place(&mut self, input: &str, output: &str, initial: &Tensor) -> Result<(), Error> {
        find(&self.inputs, "input", input, &self.model)?;
        find(&self.outputs, "output", output, &self.model)?;
        let device = self.device;
        let bind = |inner: &mut IoBinding| -> ort::Result<DynTensor> {
            let mut buffer = buffer(device, initial)?;
            inner.bind_input(input, &buffer)?;
            inner.bind_output(output, &mut buffer)?;
            Ok(buffer)
        };
        let buffer = bind(&mut self.inner).map_err(|error| self.failed(&error))?;
        self.buffers.retain(|(name, _)| name != output);
        self.buffers.push((output.to_owned(), buffer));
        Ok(())
    }

    /// Has every run return `output` as an array, after those asked for before it.
    ///
    /// # Errors
    /// [`Error::UnknownName`], or [`Error::Run`] with ONNX Runtime's reason.
    pub fn fetch(&mut self, output: &str) -> Result<(), Error> {
        find(&self.outputs, "output", output, &self.model)?;
        let host = MemoryInfo::new(AllocationDevice::CPU, 0, AllocatorType::Device, MemoryType::CPUOutput)
            .map_err(|error| self.failed(&error))?;
        self.inner.bind_output_to_device(output, &host).map_err(|error| self.failed(&error))?;
        self.fetched.push(output.to_owned());
        Ok(())
    }

    /// A copy of the buffer that [`Self::set_in_place`] made for `output`, as the last run left it.
    ///
    /// # Errors
    /// [`Error::UnknownName`] if there is no such buffer, or [`Error::Run`] with ONNX Runtime's reason.
    pub fn read(&self, output: &str) -> Result<Tensor, Error> {
        let Some((_, buffer)) = self.buffers.iter().find(|(name, _)| name == output) else {
            let known = self.buffers.iter().map(|(name, _)| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let (model, name) = (self.model.clone(), output.to_owned());
            return Err(Error::UnknownName { model, what: "buffer for output", name, known });
        };
        if buffer.memory_info().is_cpu_accessible() {
            return to_tensor(&buffer.view().into_dyn());
        }
        let host = buffer.to(AllocationDevice::CPU, 0).map_err(|error| self.failed(&error))?;
        to_tensor(&host.into_dyn())
    }

    pub(super) fn run(&mut self, session: &mut ort::session::Session) -> Result<Vec<Tensor>, Error> {
        let failed = |error: ort::Error| Error::Run { model: self.model.clone(), reason: error.to_string() };
        let outputs: Vec<(&str, DynValue)> = session.run_binding(&self.inner).map_err(failed)?.into_iter().collect();
        let fetch = |name: &String| match outputs.iter().find(|(output, _)| output == name) {
            Some((_, value)) => to_tensor(value),
            None => Err(Error::Run { model: self.model.clone(), reason: format!("no output `{name}`") }),
        };
        self.fetched.iter().map(fetch).collect()
    }

    fn failed(&self, error: &ort::Error) -> Error {
        Error::Run { model: self.model.clone(), reason: error.to_string() }
    }
}

/// A copy that ONNX Runtime owns. A value that borrows its data must never be bound: `ort` 2.0.0-rc.15 then copies it by a
/// session of its own, into which it binds the borrowed value again, and waits for itself forever.
fn owned(tensor: &Tensor) -> ort::Result<DynTensor> {
    Ok(match tensor {
        Tensor::F32(array) => ort::value::Tensor::from_array(array.clone())?.upcast(),
        Tensor::F64(array) => ort::value::Tensor::from_array(array.clone())?.upcast(),
        Tensor::I64(array) => ort::value::Tensor::from_array(array.clone())?.upcast(),
        Tensor::I32(array) => ort::value::Tensor::from_array(array.clone())?.upcast(),
        Tensor::Bool(array) => ort::value::Tensor::from_array(array.clone())?.upcast(),
    })
}

/// Memory of the session's device with a copy of `initial`. Only memory that ONNX Runtime allocated can be an output.
fn buffer(device: Device, initial: &Tensor) -> ort::Result<DynTensor> {
    if let Device::Cuda(index) = device {
        return owned(initial)?.to(AllocationDevice::CUDA, i32::try_from(index).unwrap_or(i32::MAX));
    }
    let mut buffer =
        DynTensor::new(&Allocator::default(), element_type(initial.data_type()), initial.shape().to_vec())?;
    match initial {
        Tensor::F32(array) => buffer.try_extract_array_mut()?.assign(array),
        Tensor::F64(array) => buffer.try_extract_array_mut()?.assign(array),
        Tensor::I64(array) => buffer.try_extract_array_mut()?.assign(array),
        Tensor::I32(array) => buffer.try_extract_array_mut()?.assign(array),
        Tensor::Bool(array) => buffer.try_extract_array_mut()?.assign(array),
    }
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{model, node, runtime, value};
    use super::super::{Session, SessionOptions};
    use super::*;
    use crate::graph::onnx;
    use ndarray::arr1;

    /// `next = state + step`, `twice = step + step`.
    fn counter() -> Session {
        let float = onnx::tensor_proto::DataType::Float as i32;
        let port = |name| value(name, float, &["n"]);
        let nodes = vec![node("Add", &["state", "step"], &["next"]), node("Add", &["step", "step"], &["twice"])];
        let bytes = model(nodes, vec![port("state"), port("step")], vec![port("next"), port("twice")]);
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        Session::from_bytes(&runtime(), "counter", &bytes, &options).unwrap()
    }

    #[test]
    fn a_buffer_is_updated_in_place() {
        let mut session = counter();
        let mut binding = Binding::new(&session).unwrap();
        let step = Tensor::from(arr1(&[1.0_f32, 10.0]));
        binding.set_input("step", &step).unwrap();
        drop(step);
        binding.set_in_place("state", "next", &arr1(&[5.0_f32, 5.0]).into()).unwrap();
        binding.fetch("twice").unwrap();
        for _ in 0..3 {
            assert_eq!(session.run_binding(&mut binding).unwrap(), [arr1(&[2.0_f32, 20.0]).into()]);
        }
        assert_eq!(binding.read("next").unwrap(), arr1(&[8.0_f32, 35.0]).into());
        binding.set_input("step", &arr1(&[0.5_f32, 0.5]).into()).unwrap();
        assert_eq!(session.run_binding(&mut binding).unwrap(), [arr1(&[1.0_f32, 1.0]).into()]);
        assert_eq!(binding.read("next").unwrap(), arr1(&[8.5_f32, 35.5]).into());
        drop(session);
        assert_eq!(binding.read("next").unwrap(), arr1(&[8.5_f32, 35.5]).into());
    }

    #[test]
    fn mistakes_are_errors() {
        let mut session = counter();
        let mut binding = Binding::new(&session).unwrap();
        let x = Tensor::from(arr1(&[1.0_f32]));
        assert_eq!(
            binding.set_input("stride", &x).unwrap_err().to_string(),
            "model `counter` has no input `stride`; it has `state`, `step`"
        );
        assert!(binding.set_in_place("state", "state", &x).is_err());
        assert!(binding.fetch("state").is_err());
        assert!(binding.read("next").is_err());
        binding.set_input("step", &x).unwrap();
        binding.fetch("twice").unwrap();
        let error = session.run_binding(&mut binding).unwrap_err().to_string();
        assert!(error.starts_with("model `counter` failed: "), "{error}");
        let mut other = counter();
        assert!(other.run_binding(&mut Binding::new(&session).unwrap()).is_err());
    }
}
