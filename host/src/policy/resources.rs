//! Where the policy's graphs run, and how the memory is shared out.

use crate::ranks::Ranks;
use crate::runtime::{Device, Error, Runtime};

/// Where and how widely the graphs run.
#[derive(Clone, Copy, Debug)]
pub struct Resources {
    /// CPU or a CUDA device.
    pub device: Device,
    /// Sessions side by side on the CPU.
    pub threads: usize,
    /// Bytes that the activations of all sessions may take together.
    pub memory: u64,
    /// The processes that share the work.
    pub ranks: Ranks,
}

/// What each worker gets of [`Resources`].
pub(super) struct Split {
    /// Sessions side by side.
    pub workers: usize,
    /// Bytes that a task of a worker may take.
    pub bytes: u64,
    /// What `device` means here: the CPU or a CUDA device, which is one worker.
    pub device: Device,
    pub ranks: Ranks,
}

impl Resources {
    /// Workers whose tasks take `bytes` each: less memory means fewer workers, and smaller tasks only where not even one fits.
    /// So the cut into tasks, and with it the last bits of results, does not depend on the number of threads.
    pub(super) fn split(&self, runtime: &Runtime, bytes: u64) -> Result<Split, Error> {
        let (device, ranks) = (runtime.resolve(self.device, &|_| ())?, self.ranks);
        if matches!(device, Device::Cuda(_)) {
            return Ok(Split { workers: 1, bytes: self.memory, device, ranks });
        }
        let fit = usize::try_from(self.memory / bytes).unwrap_or(usize::MAX);
        Ok(Split { workers: self.threads.min(fit).max(1), bytes: bytes.min(self.memory), device, ranks })
    }
}
