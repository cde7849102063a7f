//! Runs on a CUDA device that leave their results there.

use ort::memory::{AllocationDevice, AllocatorType, MemoryInfo, MemoryType};
use ort::session::Session;

use super::{Device, Error, Input, OrtTensor};

/// Runs a session on the CUDA device `index`: the outputs `fetched` come to the host's memory, `kept` stay on the device. The
/// results are in that order.
pub(super) fn run(
    session: &mut Session,
    index: u32,
    inputs: &[(&str, Input<'_>)],
    fetched: &[&str],
    kept: &[&str],
) -> ort::Result<Vec<OrtTensor>> {
    let device = memory(AllocationDevice::CUDA, index, MemoryType::Default)?;
    let host = memory(AllocationDevice::CPU, 0, MemoryType::CPUOutput)?;
    let mut binding = session.create_binding()?;
    for (name, input) in inputs {
        let value = input.to_owned_ort()?;
        binding.bind_input(*name, &*value)?;
    }
    for (names, place) in [(fetched, &host), (kept, &device)] {
        for name in names {
            binding.bind_output_to_device(*name, place)?;
        }
    }
    // The copies of the inputs are on another stream than the run.
    binding.synchronize_inputs()?;
    let mut results = session.run_binding(&binding)?;
    let missing = |name: &str| ort::Error::new(format!("the output `{name}` was not given"));
    let take = |name: &&str| results.remove(*name).map(OrtTensor).ok_or_else(|| missing(name));
    fetched.iter().chain(kept).map(take).collect()
}

impl OrtTensor {
    /// Copies a float32 array to where `device` computes; on the CPU it stays in this process's memory.
    ///
    /// # Errors
    /// [`Error::Device`] if the device has no room for it or cannot be used.
    pub fn upload(array: &ndarray::ArrayD<f32>, device: Device) -> Result<Self, Error> {
        let copy = || -> ort::Result<Self> {
            let tensor = ort::value::Tensor::from_array(array.as_standard_layout().into_owned())?;
            match device {
                Device::Cuda(index) => {
                    Ok(Self(tensor.to(AllocationDevice::CUDA, i32::try_from(index).unwrap_or(i32::MAX))?.into_dyn()))
                }
                Device::Auto | Device::Cpu => Ok(Self(tensor.into_dyn())),
            }
        };
        copy().map_err(|error| Error::Device { device, reason: error.to_string() })
    }
}

fn memory(place: AllocationDevice, index: u32, kind: MemoryType) -> ort::Result<MemoryInfo> {
    MemoryInfo::new(place, i32::try_from(index).unwrap_or(i32::MAX), AllocatorType::Device, kind)
}
