//! The files of a run: config and lock, checkpoints, metrics, samples, candidates. Everything is written aside, synced and renamed,
//! so that a kill at any moment leaves either the old state or the new one; what is read back is read strictly.

mod candidates;
mod checkpoint;
mod directory;
mod error;
mod finetune;
mod json;
mod lock;
mod metrics;
mod pareto;
mod pretrain;
mod samples;
mod sinks;

pub use directory::RunDirectory;
pub use error::RunError;
pub use finetune::{Checkpoints, FinetuneRun, StepSummary};
pub use lock::Lock;
pub use metrics::{FunnelStage, StepMetrics};
pub use pareto::{ParetoAxis, ParetoFront};
pub use pretrain::PretrainRun;
pub use samples::tokens_json;
pub use sinks::Sink;
