//! Maximum likelihood (spec section 6): the examples are crystals, the loss is the mean of -log p.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use sha2::{Digest, Sha256};

use super::dropout::Dropout;
use super::{Measured, NegativeLogLikelihood, Task};
use crate::crystal::Tokens;
use crate::policy::{
    Hyperparameters, Likelihood, LikelihoodError, LogProbability, LossGradient, Parameters, Resources,
};
use crate::runtime::Runtime;

/// What is trained on, and what is held out.
#[derive(Clone, Debug, Default)]
pub struct PretrainData {
    /// Seen in training.
    pub train: Vec<Tokens>,
    /// Never trained on: decides when to stop.
    pub valid: Vec<Tokens>,
}

impl PretrainData {
    /// Adds a crystal to one of the parts, as a hash of its `id` decides: about the share `holdout` is held out.
    pub fn add(&mut self, id: &str, crystal: Tokens, holdout: f64) {
        if is_held_out(id, holdout) { self.valid.push(crystal) } else { self.train.push(crystal) }
    }

    /// Number of crystals of each space group, in both parts.
    pub fn spacegroups(&self) -> BTreeMap<u8, f64> {
        let mut counts = BTreeMap::new();
        for tokens in self.train.iter().chain(&self.valid) {
            *counts.entry(tokens.group.number()).or_insert(0.0) += 1.0;
        }
        counts
    }
}

/// Whether a crystal is held out: a hash of its `id` decides, so that about the share `holdout` is, and no crystal changes sides when
/// others come or go.
pub(super) fn is_held_out(id: &str, holdout: f64) -> bool {
    let hash = Sha256::digest(id.as_bytes());
    let number = hash.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
    (number as f64 / 2f64.powi(64)) < holdout
}

/// Learns to give crystals a high probability.
pub struct MaximumLikelihood<'a> {
    hyper: &'a Hyperparameters,
    data: &'a PretrainData,
    /// Of the dropout masks.
    seed: u64,
    gradient: LossGradient<NegativeLogLikelihood>,
    likelihood: Likelihood,
}

impl<'a> MaximumLikelihood<'a> {
    /// Loads the graphs. `seed` is that of the dropout masks.
    ///
    /// # Errors
    /// [`LikelihoodError::Graph`] and [`LikelihoodError::Runtime`].
    pub fn load(
        runtime: &Runtime,
        hyper: &'a Hyperparameters,
        data: &'a PretrainData,
        seed: u64,
        resources: Resources,
    ) -> Result<Self, LikelihoodError> {
        let gradient = LossGradient::load(runtime, hyper, resources)?;
        let likelihood = Likelihood::load(runtime, hyper, resources)?;
        Ok(Self { hyper, data, seed, gradient, likelihood })
    }

    /// Mean over the held-out crystals, without dropout.
    ///
    /// # Errors
    /// [`LikelihoodError`].
    pub fn validation(&self, parameters: &Parameters) -> Result<LogProbability, LikelihoodError> {
        let held_out: Vec<&Tokens> = self.data.valid.iter().collect();
        Ok(mean(&self.likelihood.log_probabilities(parameters, &held_out)?))
    }
}

impl Task for MaximumLikelihood<'_> {
    /// The mean NLL.
    type Batch = f64;
    const EXAMPLES: &'static str = "crystals";

    fn examples(&self) -> (usize, usize) {
        (self.data.train.len(), self.data.valid.len())
    }

    fn least_bytes(&self) -> u64 {
        self.gradient.least_bytes()
    }

    fn learn(
        &self,
        parameters: &Parameters,
        step: usize,
        examples: &[usize],
    ) -> Result<(f64, Vec<ArrayD<f32>>), LikelihoodError> {
        let crystals: Vec<&Tokens> = examples.iter().map(|example| &self.data.train[*example]).collect();
        let loss = NegativeLogLikelihood::mean(crystals.len());
        let dropout = Dropout { hyper: self.hyper, seed: self.seed, step: step as u64 };
        let masks = |group, crystals, tokens| dropout.masks(group, crystals, tokens);
        let result = self.gradient.gradient_with_dropout(parameters, &crystals, &loss, &masks)?;
        let nll = -result.logp.iter().map(LogProbability::total).sum::<f64>() / crystals.len() as f64;
        Ok((nll, result.gradient))
    }

    fn measure(&self, parameters: &Parameters, _: usize, batches: &[f64]) -> Result<Measured, LikelihoodError> {
        Ok(Measured::Likelihood {
            train_nll: batches.iter().sum::<f64>() / batches.len() as f64,
            valid: self.validation(parameters)?,
        })
    }
}

fn mean(values: &[LogProbability]) -> LogProbability {
    let n = values.len().max(1) as f64;
    let sum = |part: fn(&LogProbability) -> f64| values.iter().map(part).sum::<f64>() / n;
    LogProbability { w: sum(|p| p.w), xyz: sum(|p| p.xyz), a: sum(|p| p.a), l: sum(|p| p.l) }
}
