//! What ONNX Runtime's CUDA provider makes of everything that ships, on a fake device: CUDA's libraries over the processor's
//! memory, whose kernels do nothing (`tools/fake-cuda` of the reference material). Placement, refusals and copies are those of a
//! real device; numbers are not, and none is looked at.
//!
//! Needs gcc, binutils, python3 and the CUDA build of ONNX Runtime, which is fetched once. Where one is missing, nothing runs.

#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot run has failed, and one that is skipped says so"
)]

#[path = "cuda_fake_device/copies.rs"]
mod copies;
#[path = "cuda_fake_device/device.rs"]
mod device;
#[path = "cuda_fake_device/runs.rs"]
mod runs;
mod support;
