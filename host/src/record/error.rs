//! Why a run's directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use crate::hint::Hint;
use crate::policy::{ParameterError, PolicyDirectoryError};

/// Why a run's directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A file or folder cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file or folder cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// File or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file does not hold what a run needs.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The line or key, and what is wrong with it.
        reason: String,
    },
    /// The parameters of a checkpoint cannot be used.
    #[error(transparent)]
    Parameters(#[from] ParameterError),
    /// The policy that a training results in cannot be written.
    #[error(transparent)]
    Policy(PolicyDirectoryError),
    /// The directory of a new run holds a run already.
    #[error("{} already holds a run of {done} {unit}", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// Steps or epochs of its newest checkpoint.
        done: u64,
        /// `steps` or `epochs`.
        unit: &'static str,
    },
    /// The run to resume was started from something else.
    #[error("{}: the run was started with a different {what}", path.display())]
    Changed {
        /// The file that records what the run was started with.
        path: PathBuf,
        /// What differs: a part of the config, a model, the hull, the program.
        what: String,
    },
}

impl RunError {
    pub(super) fn read(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Read { path: path.clone(), source }
    }

    pub(super) fn write(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Write { path: path.clone(), source }
    }

    pub(super) fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.into() }
    }
}

impl Hint for RunError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Write { .. } | Self::Policy(_) => {
                vec!["once it can be written, go on from the last checkpoint with --resume".to_owned()]
            }
            Self::Occupied { .. } => {
                vec!["continue it with --resume, or choose another directory with --set run.dir=...".to_owned()]
            }
            Self::Changed { .. } => vec!["start a new run in another directory with --set run.dir=...".to_owned()],
            Self::Read { .. } | Self::Content { .. } | Self::Parameters(_) => Vec::new(),
        }
    }
}
