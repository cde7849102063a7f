//! The policy of a run, and the one that it is compared with.

use std::path::Path;

use super::Planner;
use crate::cli::Failure;
use crate::config::PolicySource;
use crate::policy::{MODEL, ModelToml, PARAMETERS, Parameters, PolicyDirectory};

impl Planner<'_> {
    /// The policy's description, the parameters to start from and those that KL is measured against.
    pub(super) fn policies(&mut self, config: &PolicySource) -> Result<(ModelToml, Parameters, Parameters), Failure> {
        let PolicyDirectory { model, parameters: start } = self.policy("policy.model", &config.model)?;
        let base = match &config.base {
            None => start.clone(),
            Some(path) => {
                let PolicyDirectory { model: other, parameters: base } = self.policy("policy.base", path)?;
                if other.hyper != model.hyper {
                    return Err(self.mistake("policy.base", "`policy.base` has other hyper-parameters"));
                }
                base
            }
        };
        Ok((model, start, base))
    }

    fn policy(&mut self, key: &str, path: &Path) -> Result<PolicyDirectory, Failure> {
        let folder = self.find(key, path)?;
        let policy = PolicyDirectory::open(&folder)?;
        self.lock(key, &folder.join(PARAMETERS))?;
        self.lock(&format!("{MODEL} of {key}"), &folder.join(MODEL))?;
        Ok(policy)
    }
}
