//! Maximum likelihood (spec section 6): shuffle, one Adam step per batch, validation after every epoch, early stop.

use std::collections::BTreeMap;
use std::time::Instant;

use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};

use super::dropout::Dropout;
use super::{Adam, NegativeLogLikelihood};
use crate::crystal::Tokens;
use crate::policy::{
    Hyperparameters, Likelihood, LikelihoodError, LogProbability, LossGradient, Parameters, Resources, keyed_stream,
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
    /// Adds a crystal to one of the parts: a hash of its `id` decides, so that about the share `holdout` is held out and no crystal
    /// changes sides when others come or go.
    pub fn add(&mut self, id: &str, tokens: Tokens, holdout: f64) {
        let hash = Sha256::digest(id.as_bytes());
        let number = hash.iter().take(8).fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        let held_out = (number as f64 / 2f64.powi(64)) < holdout;
        if held_out { self.valid.push(tokens) } else { self.train.push(tokens) }
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

/// The learning rate over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Down to zero at the last epoch along half a period of the cosine (Loshchilov and Hutter 2017, without restarts).
    Cosine,
}

/// How to train.
#[derive(Clone, Debug)]
pub struct PretrainSettings {
    /// Crystals per step; an incomplete last batch is dropped.
    pub batch: usize,
    /// Passes over the data.
    pub epochs: usize,
    /// Largest learning rate.
    pub learning_rate: f64,
    /// Its course.
    pub schedule: Schedule,
    /// Steps over which the rate rises from zero.
    pub warmup_steps: usize,
    /// Global norm to which gradients are clipped.
    pub grad_clip: f64,
    /// Epochs without a better validation NLL after which training stops; 0 for never.
    pub patience: usize,
    /// Seed of the shuffles and dropout masks.
    pub seed: u64,
    /// Where and how widely to run.
    pub resources: Resources,
}

/// Everything that a resumed training needs.
#[derive(Clone, Debug)]
pub struct PretrainState {
    /// Current parameters.
    pub parameters: Parameters,
    /// Optimiser.
    pub adam: Adam,
    /// Epochs finished.
    pub epoch: usize,
    /// Parameters with the lowest validation NLL.
    pub best: Parameters,
    /// That NLL.
    pub best_nll: f64,
    /// The epoch that reached it.
    pub best_epoch: usize,
}

/// What is reported of an epoch. NLL is per crystal, nats.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Mean over the epoch's training batches, with dropout.
    pub train_nll: f64,
    /// Mean over the held-out crystals, without dropout; parts as log-probabilities.
    pub valid: LogProbability,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Median of the gradient norms before clipping.
    pub grad_norm: f64,
    /// Steps whose gradient was not finite and that were skipped.
    pub skipped: usize,
    /// Whether the validation NLL is the lowest so far.
    pub best: bool,
    /// What the epoch took, seconds.
    pub seconds: f64,
}

/// What a training tells the outside, and is told by it.
pub trait PretrainObserver {
    /// What ends the training early: an error of its own, or of the observer itself.
    type Error: From<PretrainError>;
    /// A step is done: how many of how many in this epoch.
    fn step(&mut self, done: usize, of: usize);
    /// An epoch is done. `last`: no other follows, because the training is complete, no longer improves, or was interrupted.
    ///
    /// # Errors
    /// Any reason to stop: the record could not be written, say.
    fn epoch(&mut self, epoch: &Epoch, state: &PretrainState, last: bool) -> Result<(), Self::Error>;
    /// Whether to stop after this epoch.
    fn interrupted(&self) -> bool;
}

/// Why a training stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum PretrainError {
    /// The policy could not be evaluated.
    #[error(transparent)]
    Likelihood(#[from] LikelihoodError),
    /// Nothing was learned.
    #[error("epoch {epoch}: all {steps} optimiser steps were skipped: their gradients are not finite")]
    NothingLearned {
        /// From 1.
        epoch: usize,
        /// Steps of the epoch.
        steps: usize,
    },
    /// No complete batch, or nothing held out.
    #[error(
        "{train} crystals to train on and {valid} held out: training needs at least one batch, `train.batch` = {batch}, and \
         one held out"
    )]
    TooFew {
        /// To train on.
        train: usize,
        /// Held out.
        valid: usize,
        /// Crystals per step.
        batch: usize,
    },
}

impl PretrainState {
    /// Before the first epoch.
    pub fn new(parameters: Parameters) -> Self {
        let adam = Adam::new(&parameters);
        Self { best: parameters.clone(), parameters, adam, epoch: 0, best_nll: f64::INFINITY, best_epoch: 0 }
    }
}

/// Trains until the last epoch, the end of patience, or an interruption.
///
/// # Errors
/// A [`PretrainError`], or what the observer stops for.
pub fn pretrain<O: PretrainObserver>(
    runtime: &Runtime,
    hyper: &Hyperparameters,
    data: &PretrainData,
    settings: &PretrainSettings,
    state: &mut PretrainState,
    observer: &mut O,
) -> Result<(), O::Error> {
    let (train, valid, batch) = (data.train.len(), data.valid.len(), settings.batch);
    if train < batch || valid == 0 || batch == 0 {
        return Err(PretrainError::TooFew { train, valid, batch }.into());
    }
    let training = Pretraining::load(runtime, hyper, settings)?;
    let is_over = |state: &PretrainState, observer: &O| settings.are_met(state) || observer.interrupted();
    let mut last = is_over(state, observer);
    while !last {
        let epoch = training.epoch(data, state, &mut |done, of| observer.step(done, of))?;
        let steps = train / batch;
        let nothing = epoch.skipped == steps;
        last = nothing || is_over(state, observer);
        observer.epoch(&epoch, state, last)?;
        if nothing {
            return Err(PretrainError::NothingLearned { epoch: epoch.epoch, steps }.into());
        }
    }
    Ok(())
}

/// The graphs of a training, loaded.
struct Pretraining<'a> {
    hyper: &'a Hyperparameters,
    settings: &'a PretrainSettings,
    gradient: LossGradient<NegativeLogLikelihood>,
    likelihood: Likelihood,
}

impl<'a> Pretraining<'a> {
    fn load(
        runtime: &Runtime,
        hyper: &'a Hyperparameters,
        settings: &'a PretrainSettings,
    ) -> Result<Self, PretrainError> {
        let gradient = LossGradient::load(runtime, hyper, settings.resources)?;
        let likelihood = Likelihood::load(runtime, hyper, settings.resources)?;
        Ok(Self { hyper, settings, gradient, likelihood })
    }

    /// A pass over the training data, and the validation after it. `progress` is told how many steps are done, of how many.
    fn epoch(
        &self,
        data: &PretrainData,
        state: &mut PretrainState,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Epoch, PretrainError> {
        let start = Instant::now();
        let PretrainSettings { batch, seed, .. } = *self.settings;
        let steps = data.train.len() / batch;
        let (mut nll, mut norms, mut skipped) = (0.0, Vec::with_capacity(steps), 0);
        for (index, crystals) in shuffled(&data.train, seed, state.epoch).chunks_exact(batch).enumerate() {
            let step = state.epoch * steps + index;
            let (mean, norm) = self.step(step, self.settings.rate(steps, step), crystals, state)?;
            if norm.is_finite() {
                norms.push(norm)
            } else {
                skipped += 1
            }
            nll += mean;
            progress(index + 1, steps);
        }
        let held_out: Vec<&Tokens> = data.valid.iter().collect();
        let valid = mean(&self.likelihood.log_probabilities(&state.parameters, &held_out)?);
        state.epoch += 1;
        let best = -valid.total() < state.best_nll;
        if best {
            (state.best, state.best_nll, state.best_epoch) = (state.parameters.clone(), -valid.total(), state.epoch);
        }
        Ok(Epoch {
            epoch: state.epoch,
            train_nll: nll / steps as f64,
            valid,
            learning_rate: self.settings.rate(steps, state.epoch * steps - 1),
            grad_norm: median(norms),
            skipped,
            best,
            seconds: start.elapsed().as_secs_f64(),
        })
    }

    /// One optimiser step: the mean NLL of its batch and the norm of the gradient.
    fn step(
        &self,
        step: usize,
        rate: f64,
        crystals: &[&Tokens],
        state: &mut PretrainState,
    ) -> Result<(f64, f64), LikelihoodError> {
        let loss = NegativeLogLikelihood::mean(crystals.len());
        let dropout = Dropout { hyper: self.hyper, seed: self.settings.seed, step: step as u64 };
        let masks = |group, crystals, tokens| dropout.masks(group, crystals, tokens);
        let result = self.gradient.gradient_with_dropout(&state.parameters, crystals, &loss, &masks)?;
        let norm = state.adam.descend(&mut state.parameters, &result.gradient, rate, self.settings.grad_clip);
        Ok((-result.logp.iter().map(LogProbability::total).sum::<f64>() / crystals.len() as f64, norm))
    }
}

impl PretrainSettings {
    /// Whether all epochs are done, or the validation has not improved for too long.
    fn are_met(&self, state: &PretrainState) -> bool {
        let improves = self.patience == 0 || state.epoch < state.best_epoch + self.patience;
        state.epoch >= self.epochs || !improves
    }

    /// Learning rate of a step counted from 0 over the whole training.
    fn rate(&self, steps_per_epoch: usize, step: usize) -> f64 {
        let warmup = ((step + 1) as f64 / self.warmup_steps.max(1) as f64).min(1.0);
        let course = match self.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => {
                let progress = step as f64 / (steps_per_epoch * self.epochs).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos())
            }
        };
        self.learning_rate * warmup * course
    }
}

fn shuffled(crystals: &[Tokens], seed: u64, epoch: usize) -> Vec<&Tokens> {
    let mut order: Vec<&Tokens> = crystals.iter().collect();
    order.shuffle(&mut keyed_stream(seed, *b"temper pretrain shuffle ", epoch as u64));
    order
}

fn mean(values: &[LogProbability]) -> LogProbability {
    let n = values.len().max(1) as f64;
    let sum = |part: fn(&LogProbability) -> f64| values.iter().map(part).sum::<f64>() / n;
    LogProbability { w: sum(|p| p.w), xyz: sum(|p| p.xyz), a: sum(|p| p.a), l: sum(|p| p.l) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_ends_at_zero_and_warms_up() {
        let settings = PretrainSettings {
            batch: 1,
            epochs: 10,
            learning_rate: 2.0,
            schedule: Schedule::Cosine,
            warmup_steps: 4,
            grad_clip: 1.0,
            patience: 0,
            seed: 0,
            resources: Resources { device: crate::runtime::Device::Cpu, threads: 1, memory: 1 },
        };
        assert!((settings.rate(10, 0) - 0.5).abs() < 1e-12);
        assert!((settings.rate(10, 50) - 1.0).abs() < 1e-12);
        assert!(settings.rate(10, 100).abs() < 1e-12);
    }

    #[test]
    fn every_epoch_sees_everything_in_another_order() {
        let crystal = |group| Tokens {
            group: crate::crystal::SpaceGroup::new(group).unwrap(),
            lattice: [1.0; 6],
            sites: Vec::new(),
        };
        let crystals: Vec<Tokens> = (1..=50).map(crystal).collect();
        let numbers = |epoch| shuffled(&crystals, 7, epoch).iter().map(|c| c.group.number()).collect::<Vec<_>>();
        let (first, second) = (numbers(0), numbers(1));
        assert_ne!(first, second);
        assert_eq!(first, numbers(0));
        let mut sorted = second;
        sorted.sort_unstable();
        assert_eq!(sorted, (1..=50).collect::<Vec<u8>>());
    }
}
