//! What a CUDA device is called, and how much memory it has.

use std::ffi::{CStr, c_int, c_void};

use super::{Device, Runtime};

/// A CUDA device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// NVIDIA's name for it.
    pub name: String,
    /// Its memory, bytes.
    pub memory: u64,
}

/// Memory that the activations and caches of a stage may take where nothing else is said, bytes.
const MEMORY: u64 = 4 << 30;

/// On a GPU, the share of its memory: sampling, log-probabilities, gradients and potentials each keep what they once took.
const STAGES: u64 = 4;

impl Runtime {
    /// Memory that a stage may take on a device where nothing else is said, bytes: 4 GiB on the processor, a quarter of what a CUDA
    /// device has.
    pub fn memory(&self, device: Device) -> u64 {
        self.gpu(device).map_or(MEMORY, |gpu| gpu.memory / STAGES)
    }

    /// The CUDA device; none for the processor, or where the library of CUDA does not tell.
    pub fn gpu(&self, device: Device) -> Option<Gpu> {
        let Ok(Device::Cuda(index)) = self.resolve(device, &|_| ()) else { return None };
        // Now ONNX Runtime has loaded the library, wherever it lies.
        properties(c_int::try_from(index).ok()?)
    }
}

/// The library that ONNX Runtime loads for CUDA 13.
const LIBRARY: &str = if cfg!(windows) { "cudart64_13.dll" } else { "libcudart.so.13" };

/// Bytes of CUDA 13's `cudaDeviceProp`, and then some; where the memory stands in it, behind the name.
const PROPERTIES: usize = 4096;
const TOTAL_MEMORY: usize = 288;

/// As `cudaGetDeviceProperties` has it.
#[repr(C, align(16))]
struct Properties([u8; PROPERTIES]);

type GetDeviceProperties = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;

#[allow(unsafe_code)]
fn properties(index: c_int) -> Option<Gpu> {
    // SAFETY: the library is CUDA's own, which ONNX Runtime has loaded already; its initialisers have run.
    let library = unsafe { libloading::Library::new(LIBRARY) }.ok()?;
    // SAFETY: the function has this type in CUDA 13, which the library's name tells.
    let get = unsafe { library.get::<GetDeviceProperties>(b"cudaGetDeviceProperties\0") }.ok()?;
    let mut found = Properties([0; PROPERTIES]);
    // SAFETY: the function writes a `cudaDeviceProp`, which has less than half of these bytes and no stricter alignment.
    let status = unsafe { get((&raw mut found).cast(), index) };
    let Properties(bytes) = found;
    let name = CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy().trim().to_owned();
    let memory = bytes[TOTAL_MEMORY..].first_chunk().map(|memory| u64::from_ne_bytes(*memory))?;
    (status == 0 && !name.is_empty() && memory > 0).then_some(Gpu { name, memory })
}
