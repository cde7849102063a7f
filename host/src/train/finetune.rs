//! Reinforcement fine-tuning by PPO (arXiv 2504.02367, appendix C; spec sections 8 and 12).
//!
//! A step: draw space groups, sample crystals, score them, subtract a running baseline, and take a few clipped gradient steps.
//! The KL term keeps the policy near its base: inside the reward, as the paper has it, or differentiated, as the reference code does.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::Adam;
use crate::crystal::{Composition, Structure, Tokens};
use crate::policy::{
    Draws, Hyperparameters, Likelihood, LikelihoodError, LogProbability, Parameters, Resources, SampleSettings,
    Sampler, SpaceGroupDistribution, logp_graph, ppo_gradient_graph,
};
use crate::reward::{NotFinite, Objective, ReductionError, RewardTable, Rewards};
use crate::runtime::Runtime;

/// How the KL term enters the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlGradient {
    /// A constant of the batch inside the advantage, as in the paper.
    Detached,
    /// Differentiated and multiplied by the ratio, as in the reference code.
    Reference,
}

/// How to fine-tune.
#[derive(Clone, Debug)]
pub struct FinetuneSettings {
    /// Batches to sample.
    pub steps: usize,
    /// Crystals per batch.
    pub batch: usize,
    /// Optimiser steps on each batch.
    pub epochs: usize,
    /// Ratios are clipped to 1 - clip ..= 1 + clip.
    pub clip: f64,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Global norm to which gradients are clipped.
    pub grad_clip: f64,
    /// Weight of the KL term, tau.
    pub kl_weight: f64,
    /// How it enters the gradient.
    pub kl_gradient: KlGradient,
    /// KL of the sampling policy to the policy as updated, nats, above which the batch's remaining optimiser steps are left out.
    pub kl_stop: Option<f64>,
    /// Weight of the old baseline in the new one.
    pub baseline_decay: f64,
    /// Largest share of a batch that may fail.
    pub max_failed: f64,
    /// Where space groups come from.
    pub groups: SpaceGroupDistribution,
    /// One flag per atom class, where only some elements may be drawn.
    pub elements: Option<Vec<bool>>,
    /// Seed of every random stream.
    pub seed: u64,
    /// Where and how widely to run.
    pub resources: Resources,
}

/// What crystals are judged by.
pub struct Judgement {
    /// The reward terms.
    pub rewards: Rewards,
    /// What is maximised.
    pub objective: Objective,
    /// The term whose values below 0.1 eV/atom count as stable, if one is an energy above hull.
    pub hull_term: Option<usize>,
    /// A second opinion, logged every so many steps and never part of the objective.
    pub second: Option<(Rewards, usize)>,
}

/// Energy above hull below which a crystal counts as stable, eV/atom.
pub const STABLE: f64 = 0.1;

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

/// One sampled crystal and what became of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was drawn; `None` when the draw itself failed.
    pub tokens: Option<Tokens>,
    /// The crystal, or why there is none.
    pub structure: Result<Structure, String>,
    /// Its objective; `None` when the row left the batch.
    pub objective: Option<f64>,
    /// Why the expression has no value of its own here, where its terms have.
    pub not_finite: Option<NotFinite>,
    /// log p under the policy that drew it.
    pub logp: Option<f64>,
}

/// Seconds per stage.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// Sampling and decoding.
    pub sample: f64,
    /// Reward terms.
    pub reward: f64,
    /// Log-probabilities under the policy and the base.
    pub likelihood: f64,
    /// Gradients.
    pub gradient: f64,
    /// Clipping and Adam.
    pub optimiser: f64,
    /// The whole step, with what lies between the stages.
    pub step: f64,
}

impl StageTimes {
    /// What the step took besides its stages.
    pub fn rest(&self) -> f64 {
        self.step - self.sample - self.reward - self.update()
    }

    /// Learning from the batch: log-probabilities, gradients and the optimiser.
    pub fn update(&self) -> f64 {
        self.likelihood + self.gradient + self.optimiser
    }
}

/// What is reported of a step.
#[derive(Debug)]
pub struct StepRecord {
    /// From 1.
    pub step: usize,
    /// Mean objective over the rows in the batch.
    pub objective_mean: f64,
    /// Its standard deviation (population).
    pub objective_std: f64,
    /// Baseline that was subtracted.
    pub baseline: f64,
    /// Mean of ln p(policy) - ln p(base) over the batch: an estimate of KL(policy || base), nats, before the step.
    pub kl: f64,
    /// Mean of -ln p: an estimate of the policy's entropy, nats.
    pub entropy: f64,
    /// Crystals below [`STABLE`] over all that were requested; `None` without a hull term.
    pub stable_fraction: Option<f64>,
    /// Distinct reduced formulas over all that were requested.
    pub unique_formulas: f64,
    /// Rows without a valid crystal or with a failed term, over all that were requested.
    pub failed_fraction: f64,
    /// Share of ratios outside of the clip range at the last optimiser step's gradient.
    pub clip_fraction: f64,
    /// Gradient norms before clipping, one per optimiser step.
    pub grad_norms: Vec<f64>,
    /// Optimiser steps skipped because a gradient was not finite.
    pub skipped: usize,
    /// The terms' outcomes.
    pub table: RewardTable,
    /// The second opinion's outcomes, at its steps.
    pub second: Option<RewardTable>,
    /// The crystals.
    pub samples: Vec<Sample>,
    /// Seconds per stage.
    pub times: StageTimes,
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
}

/// Crystals and what they are worth.
struct Batch {
    samples: Vec<Sample>,
    /// Rows with tokens and an objective.
    learnt: Vec<usize>,
    table: RewardTable,
    second: Option<RewardTable>,
    /// Rows that failed.
    failed: usize,
}

/// What is reported of a batch's optimiser steps.
#[derive(Default)]
struct Ascent {
    clip_fraction: f64,
    grad_norms: Vec<f64>,
    skipped: usize,
}

impl Sample {
    fn is_learnt_from(&self) -> bool {
        self.tokens.is_some() && self.objective.is_some()
    }
}

/// The graphs of a run, loaded.
pub struct Finetuning {
    sampler: Sampler,
    likelihood: Likelihood,
    gradients: Likelihood,
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
        let resources = settings.resources;
        let elements = settings.elements.clone();
        let likelihood = Likelihood::load(runtime, &logp_graph(hyper)?, hyper, false, resources)?;
        let gradients = Likelihood::load(runtime, &ppo_gradient_graph(hyper)?, hyper, true, resources)?;
        Ok(Self {
            sampler: Sampler::load(runtime, hyper, resources)?,
            likelihood: likelihood.restricted_to(elements.clone()),
            gradients: gradients.restricted_to(elements),
            base,
        })
    }

    /// Runs the remaining steps, or until interrupted.
    ///
    /// # Errors
    /// A [`FinetuneError`], or what the observer stops for.
    pub fn run<O: FinetuneObserver>(
        &self,
        judgement: &Judgement,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
        observer: &mut O,
    ) -> Result<(), O::Error> {
        let ends = |state: &FinetuneState, observer: &O| state.step >= settings.steps || observer.interrupted();
        let mut last = ends(state, observer);
        while !last {
            let record = self.step(judgement, settings, state)?;
            last = ends(state, observer);
            observer.step(&record, state, last)?;
        }
        Ok(())
    }

    fn step(
        &self,
        judgement: &Judgement,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> Result<StepRecord, FinetuneError> {
        let (step, start) = (state.step + 1, Instant::now());
        let mut times = StageTimes::default();
        let batch = self.collect(step, judgement, settings, &state.parameters, &mut times)?;
        let crystals: Vec<&Tokens> = batch.learnt.iter().filter_map(|i| batch.samples[*i].tokens.as_ref()).collect();
        let reward: Vec<f64> = batch.learnt.iter().filter_map(|i| batch.samples[*i].objective).collect();
        let (old, base) = timed(&mut times.likelihood, || {
            let old = self.log_probabilities(&state.parameters, &crystals)?;
            Ok::<_, LikelihoodError>((old, self.log_probabilities(&self.base, &crystals)?))
        })?;
        let drift: Vec<f64> = old.iter().zip(&base).map(|(old, base)| old - base).collect();
        let (advantage, baseline) = advantages(&reward, &drift, state.baseline, settings);
        let ascent = self.ascend(state, &crystals, [&old, &base, &advantage], settings, &mut times)?;

        let objective_mean = mean(&reward);
        state.step = step;
        state.baseline = Some(baseline);
        if state.best.is_none_or(|(_, best)| objective_mean > best) {
            state.best = Some((step, objective_mean));
        }
        let Batch { mut samples, learnt, table, second, failed } = batch;
        for (row, logp) in learnt.iter().zip(&old) {
            samples[*row].logp = Some(*logp);
        }
        times.step = start.elapsed().as_secs_f64();
        Ok(StepRecord {
            step,
            objective_mean,
            objective_std: mean(&reward.iter().map(|r| (r - objective_mean).powi(2)).collect::<Vec<_>>()).sqrt(),
            baseline,
            kl: mean(&drift),
            entropy: -mean(&old),
            stable_fraction: judgement.hull_term.map(|term| stable_fraction(&table, term)),
            unique_formulas: unique_formulas(&samples),
            failed_fraction: failed as f64 / samples.len() as f64,
            clip_fraction: ascent.clip_fraction,
            grad_norms: ascent.grad_norms,
            skipped: ascent.skipped,
            table,
            second,
            samples,
            times,
        })
    }

    /// Samples crystals and scores them.
    fn collect(
        &self,
        step: usize,
        judgement: &Judgement,
        settings: &FinetuneSettings,
        parameters: &Parameters,
        times: &mut StageTimes,
    ) -> Result<Batch, FinetuneError> {
        let draws = Draws { seed: settings.seed, step: step as u32, first: 0 };
        let mut samples = timed(&mut times.sample, || self.sample(parameters, draws, settings))?;
        let structures: Vec<Result<Structure, String>> = samples.iter().map(|s| s.structure.clone()).collect();
        let mut table = timed(&mut times.reward, || judgement.rewards.score(&structures));
        let second = judgement.second.as_ref().filter(|(_, every)| step.is_multiple_of(*every));
        let second = second.map(|(rewards, _)| timed(&mut times.reward, || rewards.score(&structures)));
        let values = table.objective_values(&judgement.objective, settings.max_failed);
        let values = values.map_err(|source| FinetuneError::Rewards { step, source })?;
        table.reached("scored", values.scored());
        for (sample, value) in samples.iter_mut().zip(values.values()) {
            sample.objective = *value;
        }
        for (row, reason) in values.not_finite() {
            samples[*row].not_finite = Some(reason.clone());
        }
        let learnt: Vec<usize> = (0..samples.len()).filter(|i| samples[*i].is_learnt_from()).collect();
        if learnt.is_empty() {
            return Err(FinetuneError::EmptyBatch { step, funnel: table.funnel_text() });
        }
        Ok(Batch { failed: values.failed(), samples, learnt, table, second })
    }

    fn log_probabilities(&self, parameters: &Parameters, crystals: &[&Tokens]) -> Result<Vec<f64>, LikelihoodError> {
        let values = self.likelihood.log_probabilities(parameters, crystals)?;
        Ok(values.iter().map(LogProbability::total).collect())
    }

    /// A few steps up the clipped objective; `old`, `base` and `advantage` have one value per crystal.
    fn ascend(
        &self,
        state: &mut FinetuneState,
        crystals: &[&Tokens],
        [old, base, advantage]: [&[f64]; 3],
        settings: &FinetuneSettings,
        times: &mut StageTimes,
    ) -> Result<Ascent, LikelihoodError> {
        let beta = match settings.kl_gradient {
            KlGradient::Detached => 0.0,
            KlGradient::Reference => settings.kl_weight,
        };
        let weight = vec![1.0 / crystals.len() as f64; crystals.len()];
        let inputs: [(&'static str, &[f64]); 4] =
            [("row_weight", &weight), ("old_logp", old), ("base_logp", base), ("advantage", advantage)];
        let scalars = |_: usize, _: usize, _: usize| {
            vec![("clip", ndarray::arr0(settings.clip).into()), ("beta", ndarray::arr0(beta).into())]
        };
        let mut ascent = Ascent::default();
        for _ in 0..settings.epochs {
            let mut result =
                timed(&mut times.gradient, || self.gradients.gradient(&state.parameters, crystals, &inputs, &scalars))?;
            let moved: Vec<f64> = result.logp.iter().zip(old).map(|(new, old)| new.total() - old).collect();
            ascent.clip_fraction = mean_of(&moved, |m| f64::from((m.exp() - 1.0).abs() > settings.clip));
            // r - 1 - ln r: an estimate of KL(old || new) that is never negative (Schulman 2020, k3).
            if settings.kl_stop.is_some_and(|most| mean_of(&moved, |m| m.exp_m1() - m) > most) {
                break;
            }
            let norm = timed(&mut times.optimiser, || {
                // Adam descends, the objective is to be ascended.
                result.gradient.iter_mut().for_each(|g| g.mapv_inplace(|x| -x));
                let adam = &mut state.adam;
                adam.descend(&mut state.parameters, &result.gradient, settings.learning_rate, settings.grad_clip)
            });
            if norm.is_finite() { ascent.grad_norms.push(norm) } else { ascent.skipped += 1 }
        }
        Ok(ascent)
    }

    fn sample(
        &self,
        parameters: &Parameters,
        draws: Draws,
        settings: &FinetuneSettings,
    ) -> Result<Vec<Sample>, LikelihoodError> {
        let groups = settings.groups.draw(draws, settings.batch);
        let sampling = SampleSettings { temperature: 1.0, top_p: 1.0, elements: settings.elements.clone() };
        let drawn = self.sampler.sample(parameters, &groups, draws, &sampling)?;
        let sample = |drawn: Result<Tokens, crate::policy::Refusal>| match drawn {
            Ok(tokens) => {
                let structure = tokens.to_structure().map_err(|e| e.to_string());
                Sample { tokens: Some(tokens), structure, objective: None, not_finite: None, logp: None }
            }
            Err(refusal) => {
                let structure = Err(refusal.to_string());
                Sample { tokens: None, structure, objective: None, not_finite: None, logp: None }
            }
        };
        Ok(drawn.into_iter().map(sample).collect())
    }
}

/// Advantages R - b and the baseline b, where R = r - tau ln(p / p_base) in the paper's form, and r in the reference's.
fn advantages(reward: &[f64], drift: &[f64], baseline: Option<f64>, settings: &FinetuneSettings) -> (Vec<f64>, f64) {
    let penalised: Vec<f64> = match settings.kl_gradient {
        KlGradient::Detached => reward.iter().zip(drift).map(|(r, d)| r - settings.kl_weight * d).collect(),
        KlGradient::Reference => reward.to_vec(),
    };
    let (now, decay) = (mean(&penalised), settings.baseline_decay);
    let baseline = baseline.map_or(now, |b| decay * b + (1.0 - decay) * now);
    (penalised.iter().map(|r| r - baseline).collect(), baseline)
}

/// Rows whose energy above hull lies below [`STABLE`], over all rows: failures count against it.
fn stable_fraction(table: &RewardTable, term: usize) -> f64 {
    let stable = |row: &usize| table.row(*row)[term].value().is_some_and(|e| e < STABLE);
    (0..table.rows()).filter(stable).count() as f64 / table.rows().max(1) as f64
}

fn unique_formulas(samples: &[Sample]) -> f64 {
    let formula = |s: &Sample| {
        let composition = Composition::of_structure(s.structure.as_ref().ok()?).ok()?;
        Some(composition.reduced_formula())
    };
    let formulas: HashSet<String> = samples.iter().filter_map(formula).collect();
    formulas.len() as f64 / samples.len().max(1) as f64
}

fn mean(values: &[f64]) -> f64 {
    mean_of(values, |x| x)
}

fn mean_of(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|x| of(*x)).sum::<f64>() / values.len().max(1) as f64
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *seconds += Duration::as_secs_f64(&start.elapsed());
    result
}
