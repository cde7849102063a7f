//! Training on examples that are at hand: shuffle, one Adam step per batch, validation after every epoch, early stop. What an example
//! is and what is learnt from it is the task's: see [`Task`].

use std::time::Instant;

use ndarray::ArrayD;
use rand::seq::SliceRandom;

use super::{Adam, PairFigures};
use crate::policy::{LikelihoodError, LogProbability, Parameters, Resources, keyed_stream};

/// What is learnt from examples, and how it is measured on those that are held out.
pub trait Task {
    /// What a batch of training examples tells of itself.
    type Batch;
    /// What its examples are called in messages.
    const EXAMPLES: &'static str;

    /// Examples to train on, and examples held out.
    fn examples(&self) -> (usize, usize);

    /// Bytes that the gradient of one crystal may take, whatever the budget is.
    fn least_bytes(&self) -> u64;

    /// The gradient of the mean loss over some of the training examples, for a step counted from 0 over the whole training.
    ///
    /// # Errors
    /// [`LikelihoodError`].
    fn learn(
        &self,
        parameters: &Parameters,
        step: usize,
        examples: &[usize],
    ) -> Result<(Self::Batch, Vec<ArrayD<f32>>), LikelihoodError>;

    /// What is to be reported after an epoch, counted from 1, whose steps told `batches`.
    ///
    /// # Errors
    /// [`LikelihoodError`].
    fn measure(
        &self,
        parameters: &Parameters,
        epoch: usize,
        batches: &[Self::Batch],
    ) -> Result<Measured, LikelihoodError>;
}

/// What an epoch's task measured.
#[derive(Clone, Copy, Debug)]
pub enum Measured {
    /// Of maximum likelihood; NLL is per crystal, nats.
    Likelihood {
        /// Mean over the epoch's training batches, with dropout.
        train_nll: f64,
        /// Mean over the held-out crystals, without dropout; parts as log-probabilities.
        valid: LogProbability,
    },
    /// Of preferences.
    Preferences {
        /// Mean over the epoch's training batches.
        train: PairFigures,
        /// Mean over the held-out pairs.
        valid: PairFigures,
        /// KL to the base, nats: mean over crystals that the policy draws after the epoch.
        kl: f64,
        /// Its standard error.
        kl_error: f64,
    },
}

impl Measured {
    /// The loss on what is held out, which decides which epoch is the best: a negative log-likelihood, nats per crystal or per pair.
    pub fn valid_nll(&self) -> f64 {
        match self {
            Self::Likelihood { valid, .. } => -valid.total(),
            Self::Preferences { valid, .. } => valid.loss,
        }
    }
}

/// The learning rate over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Down to zero at the last step along half a period of the cosine (Loshchilov and Hutter 2017, without restarts).
    Cosine,
}

impl Schedule {
    /// What the learning rate is multiplied with after a share of the steps.
    pub(super) fn course(self, progress: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress.min(1.0)).cos()),
        }
    }
}

/// How to train.
#[derive(Clone, Debug)]
pub struct PretrainSettings {
    /// Examples per step; an incomplete last batch is dropped.
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
    /// Parameters with the lowest validation loss.
    pub best: Parameters,
    /// That NLL.
    pub best_nll: f64,
    /// The epoch that reached it.
    pub best_epoch: usize,
}

/// What is reported of an epoch.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// What the task measured.
    pub measured: Measured,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Median of the gradient norms before clipping.
    pub grad_norm: f64,
    /// Steps whose gradient was not finite and that were skipped.
    pub skipped: usize,
    /// Whether the validation loss is the lowest so far.
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
        "{train} {examples} to train on and {valid} held out: training needs at least one batch, `train.batch` = {batch}, and \
         one held out"
    )]
    TooFew {
        /// What they are.
        examples: &'static str,
        /// To train on.
        train: usize,
        /// Held out.
        valid: usize,
        /// Examples per step.
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

/// Whether there are enough examples to train on.
///
/// # Errors
/// [`PretrainError::TooFew`].
pub fn check_examples<T: Task>(task: &T, settings: &PretrainSettings) -> Result<(), PretrainError> {
    let ((train, valid), batch) = (task.examples(), settings.batch);
    match train < batch || valid == 0 || batch == 0 {
        true => Err(PretrainError::TooFew { examples: T::EXAMPLES, train, valid, batch }),
        false => Ok(()),
    }
}

/// Trains until the last epoch, the end of patience, or an interruption.
///
/// # Errors
/// A [`PretrainError`], or what the observer stops for.
pub fn pretrain<T: Task, O: PretrainObserver>(
    task: &T,
    settings: &PretrainSettings,
    state: &mut PretrainState,
    observer: &mut O,
) -> Result<(), O::Error> {
    check_examples(task, settings)?;
    let ((train, _), batch) = (task.examples(), settings.batch);
    let is_over = |state: &PretrainState, observer: &O| settings.are_met(state) || observer.interrupted();
    let mut last = is_over(state, observer);
    while !last {
        let epoch = train_epoch(task, settings, state, &mut |done, of| observer.step(done, of))
            .map_err(|error| O::Error::from(error.into()))?;
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

/// A pass over the training examples, and the validation after it. `progress` is told how many steps are done, of how many.
fn train_epoch<T: Task>(
    task: &T,
    settings: &PretrainSettings,
    state: &mut PretrainState,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Epoch, LikelihoodError> {
    let start = Instant::now();
    let (train, _) = task.examples();
    let steps = train / settings.batch;
    let (mut batches, mut norms, mut skipped) = (Vec::with_capacity(steps), Vec::with_capacity(steps), 0);
    for (index, examples) in shuffled(train, settings.seed, state.epoch).chunks_exact(settings.batch).enumerate() {
        let step = state.epoch * steps + index;
        let (batch, gradient) = task.learn(&state.parameters, step, examples)?;
        let rate = settings.rate(steps, step);
        let norm = state.adam.descend(&mut state.parameters, &gradient, rate, settings.grad_clip);
        if norm.is_finite() {
            norms.push(norm)
        } else {
            skipped += 1
        }
        batches.push(batch);
        progress(index + 1, steps);
    }
    state.epoch += 1;
    let measured = task.measure(&state.parameters, state.epoch, &batches)?;
    let best = measured.valid_nll() < state.best_nll;
    if best {
        (state.best, state.best_nll, state.best_epoch) = (state.parameters.clone(), measured.valid_nll(), state.epoch);
    }
    Ok(Epoch {
        epoch: state.epoch,
        measured,
        learning_rate: settings.rate(steps, state.epoch * steps - 1),
        grad_norm: median(norms),
        skipped,
        best,
        seconds: start.elapsed().as_secs_f64(),
    })
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
        let progress = step as f64 / (steps_per_epoch * self.epochs).max(1) as f64;
        self.learning_rate * warmup * self.schedule.course(progress)
    }
}

/// The numbers of all training examples in the order of an epoch.
fn shuffled(examples: usize, seed: u64, epoch: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..examples).collect();
    order.shuffle(&mut keyed_stream(seed, *b"temper pretrain shuffle ", epoch as u64));
    order
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
            resources: Resources {
                device: crate::runtime::Device::Cpu,
                threads: 1,
                memory: 1,
                ranks: crate::ranks::Ranks::one(),
            },
        };
        assert!((settings.rate(10, 0) - 0.5).abs() < 1e-12);
        assert!((settings.rate(10, 50) - 1.0).abs() < 1e-12);
        assert!(settings.rate(10, 100).abs() < 1e-12);
    }

    #[test]
    fn every_epoch_sees_everything_in_another_order() {
        let (first, second) = (shuffled(50, 7, 0), shuffled(50, 7, 1));
        assert_ne!(first, second);
        assert_eq!(first, shuffled(50, 7, 0));
        let mut sorted = second;
        sorted.sort_unstable();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }
}
