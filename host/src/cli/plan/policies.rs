//! The policy of a run, and the one that it is compared with.

use std::path::Path;

use super::Planner;
use crate::cli::Failure;
use crate::config::{Finetune, TemperatureTable};
use crate::policy::{MODEL, ModelToml, Parameters, PolicyDirectory, Temperatures};

impl Planner<'_> {
    /// The policy's description, the parameters to start from and those that KL is measured against. Both have the
    /// temperature of `[sampling]`, on top of their own.
    pub(super) fn policies(&mut self, config: &Finetune) -> Result<(ModelToml, Parameters, Parameters), Failure> {
        let (config, temperature) = (&config.policy, config.sampling.temperature);
        let PolicyDirectory { mut model, parameters: start } = self.policy("policy.model", &config.model)?;
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
        let TemperatureTable { w, a, xyz, l } = temperature.each();
        model.hyper.temperature = model.hyper.temperature.times(Temperatures { w, a, xyz, l });
        Ok((model, start, base))
    }

    fn policy(&mut self, key: &str, path: &Path) -> Result<PolicyDirectory, Failure> {
        let found = self.context.policy(&self.find(key, path)?)?;
        self.lock(key, &found.parameters_file)?;
        self.lock(&format!("{MODEL} of {key}"), &found.model_file)?;
        Ok(found.policy)
    }
}
