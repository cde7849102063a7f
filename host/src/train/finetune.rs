//! Reinforcement fine-tuning by PPO (arXiv 2504.02367, appendix C; spec sections 8 and 12).
//!
//! A step: draw space groups, sample crystals, score them, subtract a baseline, and take a few clipped gradient steps.
//! The KL term keeps the policy near its base: inside the reward, as the paper has it, or differentiated, as the reference code does.

mod batch;
mod densities;
mod elements;
mod learn;
mod replay;
mod update;

use std::ops::Range;
use std::time::{Duration, Instant};

use self::batch::Batch;
pub use self::elements::ElementFrequencies;
use self::learn::{BatchStatistics, Learned};
pub use self::replay::{Replay, ReplayMemory};
use super::losses::PpoSurrogate;
use super::statistics::{
    gap, mean, space_groups, spread, stable_fraction, standard_deviation, top_element, unique_formulas,
};
use super::{Adam, FinetuneSettings, Objectives, Sample, StageTimes, StepRecord};
use crate::crystal::{Structure, smallest_distance};
use crate::policy::{
    Draws, Hyperparameters, Likelihood, LikelihoodError, LossGradient, Parameters, SampleSettings, Sampler,
};
use crate::reward::{ReductionError, RewardMemory, density};
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
    /// Weight of the KL term in the next step, where it is led towards a KL; `None` before the first batch.
    pub kl_weight: Option<f64>,
    /// How often each element occurs, where the elements are watched.
    pub elements: Option<ElementFrequencies>,
    /// Step with the highest mean objective so far, and that objective.
    pub best: Option<(usize, f64)>,
    /// Steps in a row, up to the last one, from which nothing was learned.
    pub idle: usize,
    /// What the learning rate of the settings is multiplied with: 1, unless an alarm has lowered it.
    pub learning_rate_scale: f64,
    /// The best crystals so far, if some are replayed.
    pub replay: ReplayMemory,
    /// What reward terms remember of the batches so far.
    pub memory: RewardMemory,
}

/// What a fine-tuning tells the outside, and is told by it.
pub trait FinetuneObserver {
    /// What ends the run early: an error of the training, or of the observer itself.
    type Error: From<FinetuneError>;
    /// A step is done; the observer may lower the learning rate of those to come. `last`: no other follows, because the run is complete
    /// or was interrupted.
    ///
    /// # Errors
    /// Any reason to stop: the record could not be written, say.
    fn step(&mut self, record: &StepRecord, state: &mut FinetuneState, last: bool) -> Result<(), Self::Error>;
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
    /// Nothing was learned for too long.
    #[error("step {step}: {reason}; {}", nothing_learned(*steps))]
    Idle {
        /// From 1.
        step: usize,
        /// Why nothing was learned from it.
        reason: String,
        /// Steps in a row for which that was so.
        steps: usize,
    },
}

fn nothing_learned(steps: usize) -> String {
    match steps {
        1 => "nothing was learned".to_owned(),
        steps => format!("nothing was learned in {steps} steps in a row"),
    }
}

impl FinetuneState {
    /// Before the first step.
    pub fn new(parameters: Parameters) -> Self {
        let adam = Adam::new(&parameters);
        Self {
            parameters,
            adam,
            step: 0,
            baseline: None,
            kl_weight: None,
            elements: None,
            best: None,
            idle: 0,
            learning_rate_scale: 1.0,
            replay: ReplayMemory::default(),
            memory: RewardMemory::new(),
        }
    }

    /// Learning rate of the next step.
    fn learning_rate(&self, settings: &FinetuneSettings) -> f64 {
        settings.rate(self.step) * self.learning_rate_scale
    }

    fn finish(&mut self, step: usize, learned: &Learned, objective_mean: Option<f64>) {
        self.step = step;
        self.baseline = learned.statistics.as_ref().map(|statistics| statistics.baseline).or(self.baseline);
        self.idle = if learned.idle.is_some() { self.idle + 1 } else { 0 };
        if let Some(mean) = objective_mean.filter(|mean| self.best.is_none_or(|(_, best)| *mean > best)) {
            self.best = Some((step, mean));
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

    /// Bytes that the gradient of one crystal may take, whatever the budget is.
    pub fn least_bytes(&self) -> u64 {
        self.gradient.least_bytes()
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
        objectives.rewards.remember(&state.memory);
        self.watch_elements(settings, state).map_err(FinetuneError::from)?;
        let is_over = |state: &FinetuneState, observer: &O| state.step >= settings.steps || observer.interrupted();
        let mut last = is_over(state, observer);
        while !last {
            let (record, refused) = self.step(objectives, settings, state)?;
            let step = record.step;
            // A run that ends without having learned anything has failed as well.
            let in_vain = state.step >= settings.steps && state.idle == state.step;
            let is_idle = in_vain || state.idle >= settings.max_idle_steps;
            last = refused.is_some() || is_idle || is_over(state, observer);
            observer.step(&record, state, last)?;
            if let Some(source) = refused {
                return Err(FinetuneError::Rewards { step, source }.into());
            }
            if let Some(reason) = record.idle.filter(|_| is_idle) {
                return Err(FinetuneError::Idle { step, reason, steps: state.idle }.into());
            }
        }
        Ok(())
    }

    /// One step, and why it must be the last, if so.
    fn step(
        &self,
        objectives: &Objectives,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> Result<(StepRecord, Option<ReductionError>), FinetuneError> {
        let (step, start) = (state.step + 1, Instant::now());
        let mut times = StageTimes::default();
        let learning_rate = state.learning_rate(settings);
        let mut batch = self.collect(step, objectives, settings, &state.parameters, &mut times)?;
        state.memory = objectives.rewards.memory();
        let learned = self.learn(&mut batch, settings, state, &mut times)?;
        let composition_kl = state.count_elements(&batch);
        if let Some(replay) = &settings.replay {
            state.remember(step, &batch, replay);
        }
        let rewards = batch.rewards();
        let objective_mean = (!rewards.is_empty()).then(|| mean(&rewards)).filter(|mean| mean.is_finite());
        let objective_std = objective_mean.map(|_| standard_deviation(&rewards)).filter(|std| std.is_finite());
        state.finish(step, &learned, objective_mean);
        times.step = start.elapsed().as_secs_f64();
        let Learned { statistics, idle } = learned;
        for (row, logp) in batch.trainable.iter().zip(statistics.iter().flat_map(|statistics| &statistics.logp)) {
            batch.samples[*row].logp = Some(*logp);
        }
        let of = |value: fn(&BatchStatistics) -> f64| statistics.as_ref().map(value);
        let (table, samples) = (&batch.table, &batch.samples);
        let (hull, monitor) = (objectives.hull_term, objectives.monitor.as_ref());
        let whole: Vec<&Structure> = batch.whole();
        let record = StepRecord {
            step,
            objective_mean,
            objective_std,
            baseline: of(|s| s.baseline),
            kl: of(|s| s.kl),
            kl_weight: settings.kl_target.and(of(|s| s.kl_weight)),
            entropy: of(|s| s.entropy),
            composition_kl,
            replayed: settings.replay.and(statistics.as_ref().map(|s| s.replayed)),
            idle,
            idle_steps: state.idle,
            not_finite: batch.not_finite,
            stable_fraction: hull.map(|term| stable_fraction(table, term)),
            unique_formulas: unique_formulas(samples),
            space_groups: space_groups(samples, |row| table.complete(row)),
            top_element: top_element(samples),
            failed_fraction: batch.failed as f64 / samples.len() as f64,
            update: statistics.map(|statistics| statistics.update).unwrap_or_default(),
            judge_gap: monitor
                .and_then(|monitor| monitor.judged)
                .zip(batch.monitor.as_ref())
                .and_then(|(term, verdicts)| gap(table, term, verdicts)),
            distance: spread(whole.iter().map(|structure| smallest_distance(structure))),
            density: spread(whole.iter().map(|structure| density(structure))),
            learning_rate,
            table: batch.table,
            monitor: batch.monitor,
            samples: batch.samples,
            times,
        };
        Ok((record, batch.refused))
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
        let values = match table.objective_values(&objectives.objective, settings.max_failed) {
            Ok(values) => values,
            // The step is recorded all the same, so that it can be seen what failed.
            Err(refused @ ReductionError::TooManyFailed { failed, .. }) => {
                let (trainable, refused) = (Vec::new(), Some(refused));
                return Ok(Batch { samples, trainable, table, monitor, failed, not_finite: 0, refused });
            }
            Err(source) => return Err(FinetuneError::Rewards { step, source }),
        };
        table.reached("scored", values.scored());
        for (sample, value) in samples.iter_mut().zip(values.values()) {
            sample.objective = *value;
        }
        for (row, reason) in values.not_finite() {
            samples[*row].not_finite = Some(reason.clone());
        }
        let trainable: Vec<usize> = (0..samples.len()).filter(|row| samples[*row].is_trainable()).collect();
        Ok(Batch { failed: values.failed(), samples, trainable, table, monitor, not_finite: 0, refused: None })
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
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *seconds += Duration::as_secs_f64(&start.elapsed());
    result
}

#[cfg(test)]
pub(super) mod tests;
