//! The files of a run: checkpoints and metrics. Everything is written aside, synced and renamed, so that a kill at any moment leaves
//! either the old state or the new one. Decides nothing about training.

mod candidates;
mod checkpoint;
mod metrics;
mod pareto;
mod run;

pub use checkpoint::{Checkpoint, CheckpointError, latest_checkpoint, prune_checkpoints};
pub use metrics::Metrics;
pub use pareto::{ParetoAxis, ParetoFront};
pub use run::{RunDirectory, RunError, StepSummary, tokens_json};
