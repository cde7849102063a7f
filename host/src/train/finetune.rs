//! Reinforcement fine-tuning by PPO (arXiv 2504.02367, appendix C; spec sections 8 and 12).
//!
//! A step: draw space groups, sample crystals, score them, subtract a running baseline, and take a few clipped gradient steps.
//! The KL term keeps the policy near its base: inside the reward, as the paper has it, or differentiated, as the reference code does.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::losses::{PpoSurrogate, mean_weights};
use super::statistics::{clip_fraction, kl_k3, mean, stable_fraction, standard_deviation, unique_formulas};
use super::{Adam, FinetuneSettings, KlGradient, Objectives, Sample, StageTimes, StepRecord, UpdateStatistics};
use crate::crystal::{Structure, Tokens};
use crate::policy::{
    Draws, Hyperparameters, Likelihood, LikelihoodError, LogProbability, LossGradient, Parameters, SampleSettings,
    Sampler,
};
use crate::reward::{ReductionError, RewardTable};
use crate::runtime::Runtime;

/// Everything that a resumed run needs besides its settings.
#[derive(Clone, Debug)]
pub struct FinetuneState {
    /// Current parameters.
    pub parameters: Parameters,
    /// Optimiser.
    pub adam: Adam,
    /// Steps finished.
    pub step: usize,
    /// Running baseline; `None` before the first batch.
    pub baseline: Option<f64>,
    /// Step with the highest mean objective so far, and that objective.
    pub best: Option<(usize, f64)>,
}

/// What a fine-tuning tells the outside, and is told by it.
pub trait FinetuneObserver {
    /// What ends the run early: an error of the training, or of the observer itself.
    type Error: From<FinetuneError>;
    /// A step is done. `last`: no other follows, because the run is complete or was interrupted.
    ///
    /// # Errors
    /// Any reason to stop: the record could not be written, say.
    fn step(&mut self, record: &StepRecord, state: &FinetuneState, last: bool) -> Result<(), Self::Error>;
    /// Whether to stop after this step.
    fn interrupted(&self) -> bool;
}

/// Why a fine-tuning stopped before its end.
#[derive(Debug, thiserror::Error)]
pub enum FinetuneError {
    /// The policy could not be evaluated.
    #[error(transparent)]
    Likelihood(#[from] LikelihoodError),
    /// Too many rows of a batch failed.
    #[error("step {step}: {source}")]
    Rewards {
        /// From 1.
        step: usize,
        /// The reason.
        source: ReductionError,
    },
    /// No row is left to learn from.
    #[error("step {step}: no crystal of the batch has an objective: {funnel}")]
    EmptyBatch {
        /// From 1.
        step: usize,
        /// Where they were lost.
        funnel: String,
    },
}

impl FinetuneState {
    /// Before the first step.
    pub fn new(parameters: Parameters) -> Self {
        let adam = Adam::new(&parameters);
        Self { parameters, adam, step: 0, baseline: None, best: None }
    }

    fn finish(&mut self, step: usize, baseline: f64, objective_mean: f64) {
        self.step = step;
        self.baseline = Some(baseline);
        if self.best.is_none_or(|(_, best)| objective_mean > best) {
            self.best = Some((step, objective_mean));
        }
    }
}

/// The graphs of a run, loaded.
pub struct Finetuning {
    sampler: Sampler,
    likelihood: Likelihood,
    gradient: LossGradient<PpoSurrogate>,
    base: Parameters,
}

/// Crystals and what they are worth.
struct Batch {
    samples: Vec<Sample>,
    /// Rows with tokens and an objective.
    trainable: Vec<usize>,
    table: RewardTable,
    monitor: Option<RewardTable>,
    /// Rows that failed.
    failed: usize,
}

impl Batch {
    /// The crystals to train on.
    fn crystals(&self) -> Vec<&Tokens> {
        self.trainable.iter().filter_map(|row| self.samples[*row].tokens.as_ref()).collect()
    }

    /// Their objectives.
    fn rewards(&self) -> Vec<f64> {
        self.trainable.iter().filter_map(|row| self.samples[*row].objective).collect()
    }
}

impl Finetuning {
    /// Builds and loads the graphs for a policy that starts from or is compared with `base`.
    ///
    /// # Errors
    /// [`LikelihoodError`].
    pub fn new(
        runtime: &Runtime,
        hyper: &Hyperparameters,
        base: Parameters,
        settings: &FinetuneSettings,
    ) -> Result<Self, LikelihoodError> {
        let (resources, restriction) = (settings.resources, &settings.restriction);
        Ok(Self {
            sampler: Sampler::load(runtime, hyper, resources)?,
            likelihood: Likelihood::restricted(runtime, hyper, restriction.clone(), resources)?,
            gradient: LossGradient::restricted(runtime, hyper, restriction.clone(), resources)?,
            base,
        })
    }

    /// Runs the remaining steps, or until interrupted.
    ///
    /// # Errors
    /// A [`FinetuneError`], or what the observer stops for.
    pub fn run<O: FinetuneObserver>(
        &self,
        objectives: &Objectives,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let is_over = |state: &FinetuneState, observer: &O| state.step >= settings.steps || observer.interrupted();
        let mut last = is_over(state, observer);
        while !last {
            let record = self.step(objectives, settings, state)?;
            last = is_over(state, observer);
            observer.step(&record, state, last)?;
        }
        Ok(())
    }

    fn step(
        &self,
        objectives: &Objectives,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> Result<StepRecord, FinetuneError> {
        let (step, start) = (state.step + 1, Instant::now());
        let mut times = StageTimes::default();
        let mut batch = self.collect(step, objectives, settings, &state.parameters, &mut times)?;
        let statistics = self.learn(&batch.crystals(), &batch.rewards(), settings, state, &mut times)?;
        let objective_mean = mean(&batch.rewards());
        state.finish(step, statistics.baseline, objective_mean);
        for (row, logp) in batch.trainable.iter().zip(&statistics.logp) {
            batch.samples[*row].logp = Some(*logp);
        }
        times.step = start.elapsed().as_secs_f64();
        Ok(StepRecord {
            step,
            objective_mean,
            objective_std: standard_deviation(&batch.rewards()),
            baseline: statistics.baseline,
            kl: statistics.kl,
            entropy: statistics.entropy,
            stable_fraction: objectives.hull_term.map(|term| stable_fraction(&batch.table, term)),
            unique_formulas: unique_formulas(&batch.samples),
            failed_fraction: batch.failed as f64 / batch.samples.len() as f64,
            update: statistics.update,
            table: batch.table,
            monitor: batch.monitor,
            samples: batch.samples,
            times,
        })
    }

    /// Samples crystals and scores them.
    fn collect(
        &self,
        step: usize,
        objectives: &Objectives,
        settings: &FinetuneSettings,
        parameters: &Parameters,
        times: &mut StageTimes,
    ) -> Result<Batch, FinetuneError> {
        let rows = 0..settings.batch;
        let mut samples = timed(&mut times.sample, || self.sample(parameters, step, rows, settings))?;
        let structures: Vec<Result<Structure, String>> = samples.iter().map(|s| s.structure.clone()).collect();
        let mut table = timed(&mut times.reward, || objectives.rewards.score(&structures));
        let monitor = objectives.monitor.as_ref().filter(|monitor| step.is_multiple_of(monitor.every));
        let monitor = monitor.map(|monitor| timed(&mut times.reward, || monitor.rewards.score(&structures)));
        let values = table.objective_values(&objectives.objective, settings.max_failed);
        let values = values.map_err(|source| FinetuneError::Rewards { step, source })?;
        table.reached("scored", values.scored());
        for (sample, value) in samples.iter_mut().zip(values.values()) {
            sample.objective = *value;
        }
        for (row, reason) in values.not_finite() {
            samples[*row].not_finite = Some(reason.clone());
        }
        let trainable: Vec<usize> = (0..samples.len()).filter(|row| samples[*row].is_trainable()).collect();
        if trainable.is_empty() {
            return Err(FinetuneError::EmptyBatch { step, funnel: table.funnel_text() });
        }
        Ok(Batch { failed: values.failed(), samples, trainable, table, monitor })
    }

    /// Draws some rows of a step's batch. The random numbers belong to the row, so that a batch drawn in parts is the same batch.
    fn sample(
        &self,
        parameters: &Parameters,
        step: usize,
        rows: Range<usize>,
        settings: &FinetuneSettings,
    ) -> Result<Vec<Sample>, LikelihoodError> {
        let draws = Draws { seed: settings.seed, step: step as u32, first: rows.start as u32 };
        let groups = settings.groups.draw(draws, rows.len());
        let sampling = SampleSettings::of_policy(settings.restriction.clone());
        let drawn = self.sampler.sample(parameters, &groups, draws, &sampling)?;
        Ok(drawn.into_iter().map(Sample::new).collect())
    }

    /// Optimiser steps on a scored batch that the current parameters drew.
    fn learn(
        &self,
        crystals: &[&Tokens],
        rewards: &[f64],
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
        times: &mut StageTimes,
    ) -> Result<BatchStatistics, LikelihoodError> {
        let (logp, base_logp) = timed(&mut times.likelihood, || {
            let logp = self.log_probabilities(&state.parameters, crystals)?;
            Ok::<_, LikelihoodError>((logp, self.log_probabilities(&self.base, crystals)?))
        })?;
        let log_ratio_to_base: Vec<f64> = logp.iter().zip(&base_logp).map(|(logp, base)| logp - base).collect();
        let (advantage, baseline) = advantages(rewards, &log_ratio_to_base, state.baseline, settings);
        let loss = PpoSurrogate {
            row_weight: mean_weights(crystals.len()),
            old_logp: logp,
            base_logp,
            advantage,
            clip: settings.clip,
            beta: match settings.kl_gradient {
                KlGradient::Detached => 0.0,
                KlGradient::Reference => settings.kl_weight,
            },
        };
        let update = self.update(crystals, &loss, settings, state, times)?;
        let (kl, entropy) = (mean(&log_ratio_to_base), -mean(&loss.old_logp));
        Ok(BatchStatistics { logp: loss.old_logp, kl, entropy, baseline, update })
    }

    fn log_probabilities(&self, parameters: &Parameters, crystals: &[&Tokens]) -> Result<Vec<f64>, LikelihoodError> {
        let values = self.likelihood.log_probabilities(parameters, crystals)?;
        Ok(values.iter().map(LogProbability::total).collect())
    }

    /// A few optimiser steps up the clipped objective of a batch.
    ///
    /// # Errors
    /// [`LikelihoodError`].
    pub fn update(
        &self,
        crystals: &[&Tokens],
        loss: &PpoSurrogate,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
        times: &mut StageTimes,
    ) -> Result<UpdateStatistics, LikelihoodError> {
        let mut update = UpdateStatistics::default();
        for _ in 0..settings.epochs {
            let mut result = timed(&mut times.gradient, || self.gradient.gradient(&state.parameters, crystals, loss))?;
            let log_ratios: Vec<f64> =
                result.logp.iter().zip(&loss.old_logp).map(|(new, old)| new.total() - old).collect();
            update.clip_fraction = clip_fraction(&log_ratios, settings.clip);
            if settings.kl_stop.is_some_and(|most| kl_k3(&log_ratios) > most) {
                break;
            }
            let norm = timed(&mut times.optimiser, || {
                // Adam descends, the objective is to be ascended.
                result.gradient.iter_mut().for_each(|g| g.mapv_inplace(|x| -x));
                let adam = &mut state.adam;
                adam.descend(&mut state.parameters, &result.gradient, settings.learning_rate, settings.grad_clip)
            });
            if norm.is_finite() { update.grad_norms.push(norm) } else { update.skipped += 1 }
        }
        Ok(update)
    }
}

/// What is reported of learning from a batch.
struct BatchStatistics {
    /// log p of the crystals under the policy that drew them.
    logp: Vec<f64>,
    /// Estimates of KL(policy || base) and of the policy's entropy before the optimiser steps, nats.
    kl: f64,
    entropy: f64,
    baseline: f64,
    update: UpdateStatistics,
}

/// Advantages A = R - b and the baseline b. R is r - tau ln(p / p_base) in the paper's form and r in the reference's; b is the mean
/// of R over the first batch, then `decay` times the old one plus 1 - `decay` times the mean of R over this batch.
fn advantages(
    rewards: &[f64],
    log_ratio_to_base: &[f64],
    baseline: Option<f64>,
    settings: &FinetuneSettings,
) -> (Vec<f64>, f64) {
    let penalised: Vec<f64> = match settings.kl_gradient {
        KlGradient::Detached => {
            rewards.iter().zip(log_ratio_to_base).map(|(r, log_ratio)| r - settings.kl_weight * log_ratio).collect()
        }
        KlGradient::Reference => rewards.to_vec(),
    };
    let (now, decay) = (mean(&penalised), settings.baseline_decay);
    let baseline = baseline.map_or(now, |b| decay * b + (1.0 - decay) * now);
    (penalised.iter().map(|r| r - baseline).collect(), baseline)
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *seconds += Duration::as_secs_f64(&start.elapsed());
    result
}

#[cfg(test)]
mod tests;
