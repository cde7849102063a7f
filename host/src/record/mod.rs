//! The files of a run: config and lock, checkpoints, metrics, samples, candidates. Everything is written aside, synced and renamed,
//! so that a kill at any moment leaves either the old state or the new one; what is read back is read strictly.

mod alarms;
mod candidate;
mod candidates;
mod changes;
mod checkpoint;
mod directory;
mod ends;
mod error;
mod events;
mod finetune;
mod hash;
mod history;
mod json;
mod lock;
mod metrics;
mod pareto;
mod plateau;
mod pretrain;
mod recent;
mod run_card;
mod run_policy;
mod samples;
mod sinks;
mod status;
mod tensorboard;
mod writer_lock;

pub use alarms::{Alarm, AlarmSettings, Reaction};
pub use changes::Change;
pub use directory::{RunDirectory, Start};
pub use ends::Ends;
pub use error::RunError;
pub use finetune::{FinetuneRun, RecordSettings, StepSummary, stopped_by_guards};
pub use history::{RunConfig, RunHistory};
pub use lock::{Lock, Origin};
pub use metrics::{FunnelStage, StepMetrics};
pub use pareto::{ParetoAxis, ParetoFront};
pub use pretrain::{PretrainRun, Taught};
pub use recent::{RECENT, RecentSteps};
pub use run_card::run_card;
pub use run_policy::{RunPolicy, run_policy};
pub use samples::{OWN_NAMES, SampleChoice, step_of_samples};
pub use sinks::Sink;
pub use status::RunStatus;
pub use writer_lock::Writer;
