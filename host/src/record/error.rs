//! Why a run's directory cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use super::Change;
use crate::hint::Hint;
use crate::policy::{MODEL, ModelTomlError, ParameterError, PolicyDirectoryError};

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
    /// The lines of the steps before the checkpoint are not all there, once each.
    #[error("{}: {reason}", path.display())]
    Metrics {
        /// The file.
        path: PathBuf,
        /// The line, and what is wrong with it.
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
    #[error("{}: {}", path.display(), listed(changes))]
    Changed {
        /// The run's directory.
        path: PathBuf,
        /// What differs: keys of the config, a model, the hull, the program.
        changes: Vec<Change>,
    },
    /// Another process writes to the directory.
    #[error("{} is being written to by {holder}", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
        /// Which process, and where.
        holder: String,
    },
    /// The newest checkpoint is damaged, and an older one is not.
    #[error("{reason}: this checkpoint is damaged, {} is whole", whole.display())]
    Damaged {
        /// The damaged one.
        folder: PathBuf,
        /// What is wrong with it.
        reason: Box<RunError>,
        /// The newest that is whole.
        whole: PathBuf,
    },
    /// A run without a checkpoint where a policy is asked for.
    #[error("{}: this run has no checkpoint yet", path.display())]
    NoCheckpoint {
        /// The run's directory.
        path: PathBuf,
    },
    /// A checkpoint of a version that did not keep `model.toml` with it.
    #[error("{}: no {MODEL} in this checkpoint, which an earlier version of the program wrote", folder.display())]
    NoModel {
        /// The checkpoint.
        folder: PathBuf,
    },
    /// `model.toml` of a checkpoint cannot be used.
    #[error(transparent)]
    Model(#[from] ModelTomlError),
}

/// All changes in one sentence.
fn listed(changes: &[Change]) -> String {
    let named: Vec<String> = changes.iter().filter(|change| change.is_explained()).map(Change::to_string).collect();
    let others: Vec<&str> = changes.iter().filter(|c| !c.is_explained()).map(|change| change.key.as_str()).collect();
    let others = (!others.is_empty()).then(|| format!("the run was started with a different {}", others.join(", ")));
    named.into_iter().chain(others).collect::<Vec<_>>().join("; ")
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
            Self::Changed { changes, .. } => {
                let accept = |change: &Change| match change.key.contains(' ') {
                    true => format!("--accept-changed '{}'", change.key),
                    false => format!("--accept-changed {}", change.key),
                };
                let accept: Vec<String> = changes.iter().map(accept).collect();
                vec![
                    format!("go on with what is there now, on the record, with {}", accept.join(" ")),
                    "or start a new run in another directory with --set run.dir=...".to_owned(),
                ]
            }
            Self::Busy { .. } => {
                vec!["wait until it ends, or choose another directory with --set run.dir=...".to_owned()]
            }
            Self::Damaged { folder, whole, .. } => {
                vec![format!("move {} away, and --resume goes on from {}", folder.display(), whole.display())]
            }
            Self::NoModel { .. } => {
                vec![format!("copy the {MODEL} of the policy that the run started from into it")]
            }
            Self::Model(error) => error.hints(),
            Self::Metrics { .. } => vec![
                "put the file back as it was, or go on without the lines with --accept-changed metrics.jsonl"
                    .to_owned(),
            ],
            Self::Read { .. } | Self::Content { .. } | Self::Parameters(_) | Self::NoCheckpoint { .. } => Vec::new(),
        }
    }
}
