//! Why a crystal has no value from a plugin.

use serde::{Deserialize, Serialize};

use crate::worker::WorkerFailure;

/// Why a crystal has no value from a plugin.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
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
    /// Outcomes that do not fit the batch.
    #[error("the plugin's answer does not fit the batch: {0}")]
    Outcomes(String),
    /// It came to grief.
    #[error(transparent)]
    Worker(#[from] WorkerFailure),
}

impl PluginError {
    /// The kind of error, by which failures are counted.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Crystal(_) | Self::Batch(..) => "plugin failed",
            Self::Element(_) => "unknown element",
            Self::NotFinite(_) => "not finite",
            Self::OutOfRange { .. } => "out of its range",
            Self::Outcomes(_) => "plugin answered wrong",
            Self::Worker(failure) => match failure {
                WorkerFailure::Deadline(_) => "plugin too slow",
                WorkerFailure::Exited { .. } => "plugin died",
                WorkerFailure::Memory { .. } => "plugin out of memory",
                WorkerFailure::Protocol(_) => "plugin broke protocol",
                WorkerFailure::Start(_) => "plugin did not start",
                WorkerFailure::GaveUp { .. } => "plugin given up",
            },
        }
    }
}
