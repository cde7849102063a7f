//! Why a crystal has no value from a plugin.

use std::time::Duration;

/// Most letters of a reason.
const LONGEST: usize = 1000;

/// Why a crystal has no value from a plugin.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PluginError {
    /// The plugin's own reason, for this crystal.
    #[error("{0}")]
    Crystal(String),
    /// The plugin's own reason, for the whole batch.
    #[error("{0} (for the whole batch of {1} crystals)")]
    Batch(String, usize),
    /// An element that it was not made for.
    #[error("the plugin does not know the element with the atomic number {0}")]
    Element(u8),
    /// NaN or an infinity.
    #[error("the plugin returned {0}")]
    NotFinite(f64),
    /// A value that its author says cannot be.
    #[error("the plugin returned {value}, outside the range {least} to {greatest} that it declares")]
    OutOfRange {
        /// As given.
        value: f64,
        /// Least value claimed.
        least: f64,
        /// Greatest value claimed.
        greatest: f64,
    },
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
    /// Outcomes that do not fit the batch.
    #[error("the plugin's answer does not fit the batch: {0}")]
    Outcomes(String),
    /// It could not be started again.
    #[error("the worker could not be started again: {0}")]
    Start(String),
    /// It was started in vain too often.
    #[error("given up after {failures} failures in a row; the last: {last}")]
    GaveUp {
        /// How often it failed.
        failures: u32,
        /// The last reason.
        last: Box<PluginError>,
    },
}

impl PluginError {
    /// The kind of error, by which failures are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crystal(_) | Self::Batch(..) => "plugin failed",
            Self::Element(_) => "unknown element",
            Self::NotFinite(_) => "not finite",
            Self::OutOfRange { .. } => "out of its range",
            Self::Deadline(_) => "plugin too slow",
            Self::Exited { .. } => "plugin died",
            Self::Memory { .. } => "plugin out of memory",
            Self::Protocol(_) => "plugin broke protocol",
            Self::Outcomes(_) => "plugin answered wrong",
            Self::Start(_) => "plugin did not start",
            Self::GaveUp { .. } => "plugin given up",
        }
    }

    /// Whether the worker is gone for it.
    pub(super) fn ends_the_worker(&self) -> bool {
        matches!(
            self,
            Self::Deadline(_) | Self::Exited { .. } | Self::Memory { .. } | Self::Protocol(_) | Self::Start(_)
        )
    }

    /// What a worker sent is not the protocol, for a reason that may quote it.
    pub(super) fn protocol(reason: String) -> Self {
        Self::Protocol(quotable(&reason))
    }
}

/// A plugin's text as a message may quote it: no control characters, which could steer a terminal, on one line, and of bounded
/// length, since a table of results keeps a reason for each row.
pub(super) fn quotable(text: &str) -> String {
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
    fn a_plugins_text_is_bounded_and_harmless() {
        assert_eq!(quotable("too hot"), "too hot");
        assert_eq!(quotable("\u{1b}[2Jtoo\r\nhot\u{7}\u{9b}"), "[2Jtoo  hot");
        let long = quotable(&"\u{e4}".repeat(1 << 20));
        assert_eq!(long, "\u{e4}".repeat(1000) + " ... (2097152 bytes)");
    }
}
