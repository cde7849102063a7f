//! Runs that take too long are stopped: one thread watches all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions};

use super::Error;

/// The process's watchdog, started with the first session that has a deadline.
static WATCHDOG: OnceLock<Arc<Watchdog>> = OnceLock::new();

/// The runs that have a deadline.
#[derive(Default)]
pub(super) struct Watchdog {
    runs: Mutex<Runs>,
    changed: Condvar,
}

/// The runs by when they are to be stopped, and how many there have been.
#[derive(Default)]
struct Runs {
    going: BTreeMap<(Instant, u64), Arc<Stoppable>>,
    started: u64,
}

/// The options of one run.
pub(super) struct Stoppable(RunOptions<HasSelectedOutputs>);

// SAFETY: `ort` withholds `Sync` because a selector may hold a preallocated output, which several runs would then write at once;
// one made by `Stoppable::new` holds none. Beside the run that reads the options, the watchdog's thread sets their terminate
// flag, which ONNX Runtime documents as the way to end a run from another thread.
#[allow(unsafe_code)]
unsafe impl Sync for Stoppable {}

impl Stoppable {
    /// Options of a run that gives these outputs.
    pub fn new(outputs: &[&str]) -> ort::Result<Self> {
        let selected = outputs.iter().fold(OutputSelector::no_default(), |selected, name| selected.with(*name));
        Ok(Self(RunOptions::new()?.with_outputs(selected)))
    }

    /// What a session is run with.
    pub fn options(&self) -> &RunOptions<HasSelectedOutputs> {
        &self.0
    }
}

impl Watchdog {
    /// The process's watchdog.
    ///
    /// # Errors
    /// [`Error::Watchdog`] if its thread cannot be started.
    pub fn start() -> Result<Arc<Self>, Error> {
        if let Some(running) = WATCHDOG.get() {
            return Ok(Arc::clone(running));
        }
        let watchdog = Arc::new(Self::default());
        let own = Arc::clone(&watchdog);
        let thread = std::thread::Builder::new().name("temper-deadlines".into());
        thread.spawn(move || own.watch()).map_err(Error::Watchdog)?;
        // Of two that start at once one is used, and the other's thread sleeps.
        Ok(Arc::clone(WATCHDOG.get_or_init(|| watchdog)))
    }

    /// Has a run stopped unless [`Watch::end`] is called before `deadline` has passed.
    pub fn watch_run(&self, run: &Arc<Stoppable>, deadline: Duration) -> Option<Watch<'_>> {
        // A deadline beyond the clock's end is none.
        let at = Instant::now().checked_add(deadline)?;
        let mut runs = self.runs();
        runs.started += 1;
        let key = (at, runs.started);
        runs.going.insert(key, Arc::clone(run));
        if runs.going.first_key_value().is_some_and(|(first, _)| *first == key) {
            self.changed.notify_one();
        }
        Some(Watch { watchdog: self, key })
    }

    fn runs(&self) -> MutexGuard<'_, Runs> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stops runs as their time comes, until the process ends.
    fn watch(&self) {
        let mut runs = self.runs();
        loop {
            let now = Instant::now();
            while let Some(first) = runs.going.first_entry().filter(|first| first.key().0 <= now) {
                if let Err(error) = first.remove().0.terminate() {
                    tracing::warn!("a run that is too slow cannot be stopped: {error}");
                }
            }
            let next = runs.going.first_key_value().map(|((at, _), _)| *at);
            runs = match next {
                Some(at) => {
                    let wait = at.saturating_duration_since(now);
                    self.changed.wait_timeout(runs, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(runs).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").finish_non_exhaustive()
    }
}

/// One run under watch.
pub(super) struct Watch<'a> {
    watchdog: &'a Watchdog,
    key: (Instant, u64),
}

impl Watch<'_> {
    /// Ends the watch; says whether the run was stopped.
    pub fn end(self) -> bool {
        self.watchdog.runs().going.remove(&self.key).is_none()
    }
}
