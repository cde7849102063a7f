//! What a worker comes to grief of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Most letters of a reason.
const LONGEST: usize = 1000;

/// Why there is no answer of a worker.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum WorkerFailure {
    /// No answer in time.
    #[error("no answer within the deadline of {} s; the worker was killed", .0.as_secs_f64())]
    Deadline(Duration),
    /// It ended before it answered.
    #[error("the worker {how} before it answered{}", stderr_suffix(.stderr))]
    Exited {
        /// "ended with exit code 3", "was killed by signal 11 (SIGSEGV)".
        how: String,
        /// The end of what it wrote to standard error.
        stderr: String,
    },
    /// More memory than allowed.
    #[error("the worker took {} MiB of memory, more than the {} MiB allowed, and was killed", used >> 20, limit >> 20)]
    Memory {
        /// Bytes.
        used: u64,
        /// Bytes.
        limit: u64,
    },
    /// Not the protocol.
    #[error("the worker broke the protocol: {0}; it was killed")]
    Protocol(String),
    /// It could not be started again.
    #[error("the worker could not be started again: {0}")]
    Start(String),
    /// It was started in vain too often.
    #[error("given up after {failures} failures in a row; the last: {last}")]
    GaveUp {
        /// How often it failed.
        failures: u32,
        /// The last reason.
        last: Box<WorkerFailure>,
    },
}

impl WorkerFailure {
    /// No worker can be asked any more.
    pub fn thread_has_ended() -> Self {
        Self::Start("the thread of the workers has ended".into())
    }

    /// What a worker sent is not the protocol, for a reason that may quote it.
    pub fn protocol(reason: String) -> Self {
        Self::Protocol(quotable(&reason))
    }
}

/// Why a worker is not there.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StartError {
    /// The system's reason.
    #[error("{program}: {reason}")]
    Spawn {
        /// What was to be started.
        program: String,
        /// The reason.
        reason: String,
    },
    /// It died or hung.
    #[error(transparent)]
    Failed(#[from] WorkerFailure),
}

/// A text from outside as a message may quote it: no control characters, which could steer a terminal, on one line, and of bounded
/// length, since a table of results keeps a reason for each row.
pub fn quotable(text: &str) -> String {
    let spaced = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let kept: String = spaced.filter(|c| !c.is_control()).take(LONGEST).collect();
    if text.chars().nth(LONGEST).is_some() { format!("{kept} ... ({} bytes)", text.len()) } else { kept }
}

fn stderr_suffix(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!("; its standard error ends: {stderr}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_outside_is_bounded_and_harmless() {
        assert_eq!(quotable("too hot"), "too hot");
        assert_eq!(quotable("\u{1b}[2Jtoo\r\nhot\u{7}\u{9b}"), "[2Jtoo  hot");
        let long = quotable(&"\u{e4}".repeat(1 << 20));
        assert_eq!(long, "\u{e4}".repeat(1000) + " ... (2097152 bytes)");
    }
}
