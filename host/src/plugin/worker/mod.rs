//! Worker processes: start, requests, supervision, restart and end.

mod command;
mod exit;
#[cfg(target_os = "linux")]
mod guard;
mod pool;
mod process;
mod process_tree;
mod processes;
mod signals;
mod stderr;
mod thread;

pub use command::{Supervision, WorkerCommand};
#[cfg(target_os = "linux")]
pub use guard::{GuardedExit, guard};
pub(super) use pool::WorkerPool;
pub(super) use process::{Ending, StartError, Worker};
pub use process_tree::{MEMORY_IS_MEASURED, end_all_workers};
pub use signals::{hangup_is_ignored, leave_signals_to_the_caller};
pub(super) use thread::run;
