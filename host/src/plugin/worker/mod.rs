//! Worker processes: started, asked, watched, restarted and ended.

mod pool;
mod process;

pub(super) use pool::{Pool, run};
pub use pool::{Supervision, WorkerCommand};
pub(super) use process::{Ending, StartError, Worker};
pub use process::{MEMORY_IS_MEASURED, end_all_workers, leave_signals_to_the_caller};
