//! Runs that write into tensors which are there already, on the CPU or on a CUDA device.

use std::ptr::{NonNull, null_mut};

use ort::AsPointer;
use ort::memory::{AllocationDevice, Allocator, AllocatorType, MemoryInfo, MemoryType};
use ort::session::{OutputSelector, RunOptions, SessionInputValue};
use ort::value::{DynValue, Shape, TensorValueType};

use super::session::find;
use super::tensor::to_tensor;
use super::{Device, Error, Input, OrtTensor, Session};
use crate::graph::Tensor;

/// What a run reads from the memory of a float32 tensor and writes to that of another one, or of the same.
pub struct Passed<'a> {
    /// The graph's input.
    pub input: &'a str,
    /// What is read. `None`: what is written, which the run changes in place. Nothing in the graph may then read the input beside the
    /// node that makes the output.
    pub from: Option<&'a OrtTensor>,
    /// The graph's output.
    pub output: &'a str,
    /// What is written.
    pub to: &'a mut OrtTensor,
    /// The shapes of input and output. Their elements are the first ones of the tensors, whose own shapes do not matter.
    pub shapes: [Vec<usize>; 2],
}

impl Session {
    /// Room for float32 numbers where the graph runs. What is in it is not defined.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no room.
    pub fn allocate(&self, numbers: usize) -> Result<OrtTensor, Error> {
        let (device, shape) = (self.device(), [numbers]);
        let room = || -> ort::Result<OrtTensor> {
            let tensor = match device {
                Device::Cuda(index) => {
                    let index = i32::try_from(index).unwrap_or(i32::MAX);
                    let memory =
                        MemoryInfo::new(AllocationDevice::CUDA, index, AllocatorType::Device, MemoryType::Default)?;
                    ort::value::Tensor::<f32>::new(&Allocator::new(&self.inner, memory)?, shape)?
                }
                Device::Auto | Device::Cpu => ort::value::Tensor::<f32>::new(self.inner.allocator(), shape)?,
            };
            Ok(OrtTensor(tensor.into_dyn()))
        };
        room().map_err(|error| Error::Device { device, reason: error.to_string() })
    }

    /// Runs the graph on the tensors `passed`, and copies the outputs `fetched` into arrays. No deadline is kept.
    ///
    /// # Errors
    /// As [`Session::run`]; a shape that a tensor has no room for, too.
    pub fn run_passing(
        &mut self,
        inputs: &[(&str, Input<'_>)],
        fetched: &[&str],
        passed: &mut [Passed<'_>],
    ) -> Result<Vec<Tensor>, Error> {
        for name in fetched.iter().copied().chain(passed.iter().map(|passed| passed.output)) {
            find(&self.outputs, "output", name, &self.name)?;
        }
        let run = |session: &mut ort::session::Session| -> ort::Result<Vec<DynValue>> {
            let allocator = Allocator::default();
            let mut selected = fetched.iter().fold(OutputSelector::no_default(), |all, name| all.with(*name));
            let mut fed: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(inputs.len() + passed.len());
            for (name, input) in inputs {
                fed.push((name, input.to_ort()?));
            }
            for Passed { input, from, output, to, shapes: [read, written] } in passed {
                fed.push((input, beginning(from.unwrap_or(to), read, &allocator)?.into()));
                selected = selected.with(*output).preallocate(*output, beginning(to, written, &allocator)?);
            }
            let options = RunOptions::new()?.with_outputs(selected);
            let results = session.run_with_options(fed, &options)?;
            Ok(results.into_iter().take(fetched.len()).map(|(_, value)| value).collect())
        };
        let failed = |error: ort::Error| Error::Run { model: self.name.clone(), reason: error.to_string() };
        run(&mut self.inner).map_err(failed)?.iter().map(to_tensor).collect()
    }
}

/// The first elements of a float32 tensor as one of another shape in the same memory, which must outlive it.
#[allow(unsafe_code)]
fn beginning(whole: &OrtTensor, shape: &[usize], allocator: &Allocator) -> ort::Result<DynValue> {
    let tensor = whole.0.view().downcast::<TensorValueType<f32>>()?;
    let (numbers, room) = (shape.iter().product::<usize>(), whole.shape().iter().product::<usize>());
    if numbers > room {
        return Err(ort::Error::new(format!("no room for {shape:?} among {room} numbers")));
    }
    let (bytes, shape) = (numbers * size_of::<f32>(), Shape::from(shape));
    let mut value = null_mut();
    // SAFETY: `bytes` are at most those of the tensor, which owns the memory at this address and says where it is. ONNX Runtime
    // neither frees nor keeps what it did not allocate: the caller drops the value before the tensor.
    let status = unsafe {
        (ort::api().CreateTensorWithDataAsOrtValue)(
            tensor.memory_info().ptr(),
            tensor.data_ptr().cast_mut(),
            bytes,
            shape.as_ptr(),
            shape.len(),
            ort::sys::ONNXTensorElementDataType::ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT,
            &mut value,
        )
    };
    // SAFETY: The status is what the call has returned.
    unsafe { ort::Error::result_from_status(status) }?;
    let value = NonNull::new(value).ok_or_else(|| ort::Error::new("no tensor was made"))?;
    // SAFETY: The value was made above, and nothing else releases it. The allocator has no part in memory that is borrowed.
    Ok(unsafe { DynValue::from_ptr(value, Some(allocator)) })
}

#[cfg(test)]
mod tests {
    use ndarray::{ArrayD, arr2};

    use super::super::SessionOptions;
    use super::super::testing::{model, node, runtime, value};
    use super::*;
    use crate::graph::onnx;

    const F32: i32 = onnx::tensor_proto::DataType::Float as i32;

    /// `sum = a + b`, over `rows` x 2, and `twice = 2 b`.
    fn session() -> Session {
        let dims = ["rows", "2"];
        let bytes = model(
            vec![node("Add", &["a", "b"], &["sum"]), node("Add", &["b", "b"], &["twice"])],
            vec![value("a", F32, &dims), value("b", F32, &dims)],
            vec![value("sum", F32, &dims), value("twice", F32, &dims)],
        );
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        Session::from_bytes(&runtime(), "test.onnx", &bytes, &options).unwrap()
    }

    #[test]
    fn the_beginning_of_a_tensor_is_written_where_it_lies() {
        let mut session = session();
        let b = Tensor::from(arr2(&[[1.0_f32, 10.0], [2.0, 20.0]]));
        let inputs = [("b", (&b).into())];
        let fives = OrtTensor::upload(&ArrayD::from_elem(vec![3, 2], 5.0), Device::Cpu).unwrap();
        let mut total = session.allocate(5).unwrap();
        for from in [Some(&fives), None] {
            let shapes = [vec![2, 2], vec![2, 2]];
            let passed = Passed { input: "a", from, output: "sum", to: &mut total, shapes };
            let twice = session.run_passing(&inputs, &["twice"], &mut [passed]).unwrap();
            assert_eq!(twice, [arr2(&[[2.0_f32, 20.0], [4.0, 40.0]]).into()]);
        }
        let numbers: Vec<f32> = total.to_tensor().unwrap().as_f32().unwrap().iter().copied().take(4).collect();
        assert_eq!(numbers, [7.0, 25.0, 9.0, 45.0]);
        assert_eq!(fives.to_tensor().unwrap(), ArrayD::<f32>::from_elem(vec![3, 2], 5.0).into());
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let mut session = session();
        let b = Tensor::from(arr2(&[[1.0_f32, 10.0], [2.0, 20.0]]));
        let mut total = session.allocate(3).unwrap();
        let mut refused = |output, shapes| {
            let passed = Passed { input: "a", from: None, output, to: &mut total, shapes };
            session.run_passing(&[("b", (&b).into())], &[], &mut [passed]).unwrap_err().to_string()
        };
        let text = refused("sum", [vec![2, 2], vec![2, 2]]);
        assert!(text.contains("no room for [2, 2] among 3 numbers"), "{text}");
        let text = refused("total", [vec![1, 2], vec![1, 2]]);
        assert!(text.contains("has no output `total`"), "{text}");
    }
}
