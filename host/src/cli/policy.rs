//! Where a policy is asked for: a policy directory, a run, or one of its checkpoints.

use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::policy::{MODEL, PARAMETERS, PolicyDirectory};
use crate::record::{RunPolicy, run_policy};

/// A policy, and the files that it was read from.
pub(super) struct FoundPolicy {
    pub policy: PolicyDirectory,
    pub model_file: PathBuf,
    pub parameters_file: PathBuf,
}

impl Context {
    /// Opens the policy of a folder. Of a run, it says which of its policies that is.
    ///
    /// # Errors
    /// When there is none, or it cannot be used.
    pub(super) fn policy(&self, folder: &Path) -> Result<FoundPolicy, Failure> {
        let Some(RunPolicy { policy, model_file, parameters_file, reason, .. }) = run_policy(folder)? else {
            let policy = PolicyDirectory::open(folder)?;
            return Ok(FoundPolicy {
                policy,
                model_file: folder.join(MODEL),
                parameters_file: folder.join(PARAMETERS),
            });
        };
        self.say(&format!("{}: {reason}", parameters_file.display()));
        Ok(FoundPolicy { policy, model_file, parameters_file })
    }
}
