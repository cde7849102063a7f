//! Potentials and property models: a model file, opened, and evaluated on many crystals.
//!
//! Rows go in and rows come out: whatever is wrong with a crystal is an error of its row and of no other. Nothing here knows
//! of rewards or of hulls.

mod cache;
mod check;
mod contract;
mod derived;
mod engine;
mod error;
mod evaluate;
mod executor;
mod first_look;
mod forces;
mod graph_inputs;
mod graph_source;
mod isolated_session;
mod isolation;
mod model_file;
mod onnx_model;
mod session_message;
mod session_server;
mod single_batch;
mod smallest_cell;
#[cfg(test)]
pub(crate) mod testing;
mod trial;
mod verify;

pub use check::{
    Golden, GoldenError, GoldenRow, ModelReport, QuickCheck, check_model, check_quickly, textbook_crystals,
};
pub use contract::{
    Axis, Contract, ContractError, InputKind, Inspection, ModelInput, ModelOutput, Operators, OutputKind, Port,
    SidecarLine, locate_model,
};
pub use error::{EvaluationError, ModelError};
pub use executor::Executor;
pub use forces::{ForceModel, Response};
pub use isolation::{Isolation, ModelProcesses};
pub use model_file::for_cuda;
pub use onnx_model::{ModelId, ModelOptions, OnnxModel};
pub use session_server::{ServeError, serve_graph};
pub use single_batch::CrystalOutputs;
pub use trial::Trial;

/// Most edges, and most triplets, of one crystal: beyond that one crystal would need gigabytes.
const LARGEST_LIST: usize = 500_000;
