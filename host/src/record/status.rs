//! How far a run is.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::directory::METRICS;
use super::writer_lock::{Writer, writer};
use super::{RecentSteps, RunError};

/// How far a run is.
#[derive(Clone, Debug)]
pub struct RunStatus {
    /// What it counts: `step` or `epoch`.
    pub unit: &'static str,
    /// Steps or epochs whose metrics are there.
    pub done: u64,
    /// Steps or epochs that the config asks for.
    pub planned: u64,
    /// Median duration of the last ten, seconds.
    pub seconds: Option<f64>,
    /// Who writes to the directory.
    pub writer: Writer,
    /// Time since the last metrics were written, by the clock of the file system.
    pub age: Option<Duration>,
    /// Figures of the last step or epoch: key in the metrics, and value.
    pub figures: Vec<(&'static str, f64)>,
}

impl RunStatus {
    /// Looks at the directory of a run, running or not.
    ///
    /// # Errors
    /// [`RunError`], when the directory holds no run or cannot be read.
    pub fn look(path: &Path) -> Result<Self, RunError> {
        let recent = RecentSteps::read(path)?;
        let modified = fs::metadata(path.join(METRICS)).and_then(|data| data.modified()).ok();
        let done = recent.done();
        Ok(Self {
            unit: recent.unit,
            done,
            planned: recent.planned,
            seconds: recent.seconds(),
            writer: writer(path)?,
            age: modified.filter(|_| done > 0).and_then(|time| time.elapsed().ok()),
            figures: recent.newest(),
        })
    }

    /// What is left at the rate of the last steps or epochs; nothing is known of it before the first.
    pub fn left(&self) -> Option<Duration> {
        let seconds = self.seconds? * self.planned.saturating_sub(self.done) as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}
