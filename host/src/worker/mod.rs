//! Processes that work for this one: started, spoken to in frames, supervised, started again, and ended with all that they have
//! started. What is said in the frames is the business of those who use them.

mod command;
mod error;
mod exit;
mod frame;
#[cfg(target_os = "linux")]
mod guard;
mod process;
mod process_tree;
mod processes;
mod serving;
mod signals;
mod slot;
mod stderr;
mod thread;

pub use command::{Environment, Supervision, WorkerCommand};
pub use error::{StartError, WorkerFailure, quotable};
pub use frame::{Entry, Frame, FrameError, Limits};
#[cfg(target_os = "linux")]
pub use guard::{GuardedExit, guard};
pub use process::{Ending, Worker};
pub use process_tree::{MEMORY_IS_MEASURED, end_all_workers};
pub use serving::{ignore_signals, streams};
pub use signals::{hangup_is_ignored, leave_signals_to_the_caller};
pub use slot::{Accept, Request, Service, Slot};
pub use thread::{run, spawn};
