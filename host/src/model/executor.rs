//! The threads on which models run.

use std::sync::Arc;

use super::ModelError;

/// Threads that models share: however many models are evaluated at a time, together they take no more than these.
#[derive(Clone, Debug)]
pub struct Executor(Arc<rayon::ThreadPool>);

impl Executor {
    /// Starts threads; 0 takes every core.
    ///
    /// # Errors
    /// [`ModelError::Threads`] when the system gives none.
    pub fn new(threads: usize) -> Result<Self, ModelError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { cores() } else { threads };
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| ModelError::Threads { threads, reason: e.to_string() })?;
        Ok(Self(Arc::new(pool)))
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.0.current_num_threads()
    }

    /// Does work on these threads; what it does in parallel stays on them.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.0.install(work)
    }
}
