//! ONNX graphs as values: build, encode and decode, infer shapes, differentiate.
//!
//! Runs nothing and opens no library: a graph is data here. Every operator has one file under `ops/` with its shape rule and
//! its reverse-mode derivative side by side; an operator without a derivative is an error that names it, never a zero.

mod attribute;
mod builder;
mod cuda;
mod differentiate;
mod error;
mod external;
mod file;
mod identity;
mod import;
mod limits;
mod math;
#[allow(missing_docs, clippy::all, rustdoc::all)]
#[rustfmt::skip]
pub mod onnx;
mod ops;
mod potential;
mod products;
mod proto;
mod shape;
mod split;
mod tensor;

pub use attribute::Attributes;
pub use builder::{Builder, Node, Value};
pub use cuda::{ForCuda, Obstacle, TABLE_OF, Trouble, for_cuda};
pub use error::GraphError;
pub use external::{embed_external, external_files};
pub use file::{decode, decode_own, encode, fix_inputs, for_runtime};
pub use ops::differentiable;
pub use potential::{EdgeGeometry, Potential, add_forces_and_stress};
pub use shape::{Dim, Symbols, TypeFacts};
pub use split::{Split, split};
pub use tensor::{DataType, Tensor};
