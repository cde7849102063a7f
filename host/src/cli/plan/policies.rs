//! The policy of a run, and the one that it is compared with.

use std::path::Path;

use super::Planner;
use crate::cli::Failure;
use crate::config::{Finetune, Temperature, TemperatureTable};
use crate::policy::{Hyperparameters, MODEL, ModelToml, Parameters, PolicyDirectory, Temperatures};

impl Planner<'_> {
    /// The policy's description, the parameters to start from and those that KL is measured against. Both have the
    /// temperature of `[sampling]`, if it gives one.
    pub(super) fn policies(&mut self, config: &Finetune) -> Result<(ModelToml, Parameters, Parameters), Failure> {
        let (config, temperature) = (&config.policy, config.sampling.temperature);
        let PolicyDirectory { mut model, parameters: start } = self.policy("policy.model", &config.model)?;
        set(&mut model.hyper, temperature);
        let base = match &config.base {
            None => start.clone(),
            Some(path) => {
                let PolicyDirectory { model: mut other, parameters: base } = self.policy("policy.base", path)?;
                set(&mut other.hyper, temperature);
                self.check_alike(&model.hyper, &other.hyper)?;
                base
            }
        };
        Ok((model, start, base))
    }

    /// Refuses a base of which the graphs are not those of the policy.
    fn check_alike(&self, policy: &Hyperparameters, base: &Hyperparameters) -> Result<(), Failure> {
        let Hyperparameters { temperature, dropout_rate, attn_dropout, description, .. } = *policy;
        if base.temperature != temperature {
            let message =
                "`policy.base` has other temperatures than the policy, and KL is between policies of the same";
            return Err(self.mistake("policy.base", message).hint("`sampling.temperature` sets those of both"));
        }
        if (Hyperparameters { dropout_rate, attn_dropout, description, ..base.clone() }) != *policy {
            return Err(self.mistake("policy.base", "`policy.base` has other hyper-parameters"));
        }
        Ok(())
    }

    fn policy(&mut self, key: &str, path: &Path) -> Result<PolicyDirectory, Failure> {
        let found = self.context.policy(&self.find(key, path)?)?;
        self.lock(key, &found.parameters_file)?;
        self.lock(&format!("{MODEL} of {key}"), &found.model_file)?;
        Ok(found.policy)
    }
}

/// Gives a policy the temperatures of a config, where there are any.
fn set(hyper: &mut Hyperparameters, temperature: Option<Temperature>) {
    let TemperatureTable { w, a, xyz, l } = temperature.map(Temperature::each).unwrap_or_default();
    let own = hyper.temperature;
    hyper.temperature = Temperatures {
        w: w.unwrap_or(own.w),
        a: a.unwrap_or(own.a),
        xyz: xyz.unwrap_or(own.xyz),
        l: l.unwrap_or(own.l),
    };
}
