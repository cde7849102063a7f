//! Where models run: in this process, or in processes of their own.

use std::path::PathBuf;
use std::time::Duration;

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In this process: what kills ONNX Runtime there ends everything.
    Host,
    /// In processes of its own: whatever happens there fails the crystals under way.
    Process,
}

/// How processes for models are started, and what each may take.
#[derive(Clone, Debug)]
pub struct ModelProcesses {
    /// This program, as `temper model serve` will be called.
    pub program: PathBuf,
    /// Where it is kept what was seen when a file was first opened; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// Bytes of memory; `None`: no limit.
    pub memory: Option<u64>,
    /// How long the graph may take to be loaded.
    pub start_deadline: Duration,
    /// How many restarts in a row may fail before the model is given up.
    pub max_restarts: u32,
}
