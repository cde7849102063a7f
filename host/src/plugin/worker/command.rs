//! Which program a worker is, and how it is supervised.

use std::ffi::OsString;
use std::time::Duration;

/// A program that speaks the worker protocol.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerCommand {
    /// The program.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// How workers are supervised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Supervision {
    /// How long one batch may take.
    pub deadline: Duration,
    /// How long a worker may take to greet.
    pub start_deadline: Duration,
    /// Bytes of memory that one worker may hold; `None`: no limit.
    pub memory: Option<u64>,
    /// How many workers share a batch.
    pub workers: usize,
    /// How many restarts in a row may fail before the worker is given up.
    pub max_restarts: u32,
}
