//! Why there is nothing to report.

use std::path::PathBuf;

use crate::hint::Hint;
use crate::record::RunError;

/// Why there is nothing to report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The directory of a run cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A run without a line of metrics.
    #[error("{}: no {unit} is done yet, so there is nothing to report", path.display())]
    NothingDone {
        /// The run's directory.
        path: PathBuf,
        /// `step` or `epoch`.
        unit: &'static str,
    },
    /// A run whose metrics nobody can read.
    #[error("{}: none of the {lines} lines is one of a run's metrics", path.display())]
    NoMetrics {
        /// The file.
        path: PathBuf,
        /// Its lines.
        lines: usize,
    },
    /// A config that cannot be written as TOML again.
    #[error("the configs cannot be compared: {0}")]
    Config(#[from] toml::ser::Error),
}

impl Hint for ReportError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Run(error) => error.hints(),
            Self::NothingDone { .. } => vec!["`temper status` says whether the run is still going".to_owned()],
            Self::NoMetrics { .. } | Self::Config(_) => Vec::new(),
        }
    }
}
