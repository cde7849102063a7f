//! ONNX Runtime: find and load the library, choose a device, run graphs.
//!
//! The only module that names `ort`. A process loads one library, once ([`Runtime::open`]); from then on a [`Session`] runs one
//! model, on tensors of [`crate::graph`]. The library itself is never part of the build: the [`Locator`] finds an installed one
//! or fetches the pinned wheel, and refuses whatever does not carry the pinned hash. This module prints nothing: what a user
//! should read while waiting goes through a callback.

mod bound;
mod deadline;
mod device;
mod doctor;
mod environment;
mod error;
mod gpu;
mod in_place;
mod locate;
mod probe;
mod session;
mod tensor;
#[cfg(test)]
mod testing;

pub use device::Device;
pub use doctor::{Loaded, Provider, Report, doctor};
pub use environment::Runtime;
pub use error::Error;
pub use gpu::Gpu;
pub use in_place::Passed;
pub use locate::{Found, Library, LocateError, Locator, Setup};
pub use session::{Optimization, Session, SessionOptions, default_threads};
pub use tensor::{Dim, Input, OrtTensor, TensorInfo};
