//! The record of a fine-tuning: metrics, samples, candidates and checkpoints, kept as the run goes.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alarms::{Alarm, AlarmSettings, Alarms, Noticed, Reaction};
use super::candidate::Candidate;
use super::candidates::Candidates;
use super::checkpoint::{Checkpoint, is_due};
use super::directory::METRICS;
use super::json::read_json;
use super::samples::{SampleChoice, SampleFiles};
use super::sinks::{JsonLines, Sinks};
use super::tensorboard::TensorBoard;
use super::{Ends, ParetoFront, RunDirectory, RunError, Start, StepMetrics};
use crate::input::{MOST_DATA, read};
use crate::policy::ModelToml;
use crate::reward::RewardMemory;
use crate::train::{ElementFrequencies, FinetuneState, ReplayMemory, StepRecord};

/// What is kept of a run.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// Steps between two checkpoints.
    pub checkpoint_every: usize,
    /// How many of the newest checkpoints are kept, besides the best.
    pub keep: usize,
    /// Whether an event file for TensorBoard is written.
    pub tensorboard: bool,
    /// Which samples are kept.
    pub samples: SampleChoice,
    /// Bytes of samples from which on no more are kept.
    pub samples_limit: u64,
    /// How many candidates are kept.
    pub candidates: usize,
    /// What computes the terms, for the candidates.
    pub computed_by: Arc<Value>,
}

/// A fine-tuning whose files are kept.
#[derive(Debug)]
pub struct FinetuneRun {
    directory: RunDirectory,
    /// What makes a policy of a checkpoint's parameters.
    model: ModelToml,
    settings: RecordSettings,
    sinks: Sinks,
    samples: SampleFiles,
    candidates: Candidates,
    pareto: Option<ParetoFront>,
    ends: Ends,
    alarms: Alarms,
    /// Step of the newest checkpoint.
    saved: Option<u64>,
}

/// What the record of a step shows.
#[derive(Clone, Debug)]
pub struct StepSummary {
    /// The line of `metrics.jsonl`.
    pub metrics: StepMetrics,
    /// What rings for the first time.
    pub alarms: Vec<Alarm>,
    /// Whether this is the first step whose samples were not kept because there are too many already.
    pub samples_are_full: bool,
}

/// `state` of a checkpoint's `state.json`.
#[derive(Serialize, Deserialize)]
struct StoredState {
    /// Null before any batch that could be learned from.
    #[serde(deserialize_with = "Option::deserialize")]
    baseline: Option<f64>,
    #[serde(deserialize_with = "Option::deserialize")]
    best: Option<StoredBest>,
    /// Steps in a row, up to this one, from which nothing was learned.
    #[serde(default, skip_serializing_if = "is_zero")]
    idle: usize,
    #[serde(default, skip_serializing_if = "Noticed::is_nothing")]
    alarms: Noticed,
    #[serde(default = "one", skip_serializing_if = "is_one")]
    learning_rate_scale: f64,
    #[serde(default, skip_serializing_if = "RewardMemory::is_empty")]
    memory: RewardMemory,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kl_weight: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    elements: Option<ElementFrequencies>,
    #[serde(default, skip_serializing_if = "ReplayMemory::is_empty")]
    replay: ReplayMemory,
    candidates: Candidates,
    #[serde(deserialize_with = "Option::deserialize")]
    pareto: Option<Vec<Candidate>>,
}

impl StoredState {
    /// Refuses what no run writes after so many steps.
    fn check(&self, steps: usize) -> Result<(), String> {
        // Only a run that has not learned yet has neither; a number that is not finite is null as well.
        for (key, is_null) in [("baseline", self.baseline.is_none()), ("best", self.best.is_none())] {
            if is_null && self.idle < steps {
                return Err(format!("`state.{key}` is null"));
            }
        }
        let scale = self.learning_rate_scale;
        if !(scale > 0.0 && scale <= 1.0) {
            return Err(format!("`state.learning_rate_scale` is {scale}, not above 0 and at most 1"));
        }
        match self.kl_weight.filter(|weight| *weight <= 0.0) {
            Some(weight) => Err(format!("`state.kl_weight` is {weight}, not above 0")),
            None => Ok(()),
        }
    }
}

/// What of a checkpoint's `state.json` says whether `[guards]` ended the run.
#[derive(Deserialize)]
struct StateOfGuards {
    step: usize,
    state: StoredGuards,
}

#[derive(Deserialize)]
struct StoredGuards {
    #[serde(default)]
    idle: usize,
    #[serde(default)]
    alarms: Noticed,
}

/// The step at which `[guards]` ended the run in this directory, if it did and the run did not go on. What cannot be read is no
/// such run: resuming it says what is wrong.
pub fn stopped_by_guards(path: &Path, max_idle_steps: usize) -> Option<usize> {
    let directory = RunDirectory::look(path, true, "steps").ok()?;
    let file = directory.state_file(directory.resumes_after()?);
    let StateOfGuards { step, state } = read_json(&file, "", &read(&file, MOST_DATA).ok()?).ok()?;
    let stopped = state.alarms.stopped == Some(step) || state.idle >= max_idle_steps;
    stopped.then_some(step)
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

fn one() -> f64 {
    1.0
}

fn is_one(number: &f64) -> bool {
    *number == 1.0
}

/// The step with the highest mean objective.
#[derive(Serialize, Deserialize)]
struct StoredBest {
    step: usize,
    objective: f64,
}

impl FinetuneRun {
    /// Begins a run in its directory, or the rest of one, whose state is then returned. `model` describes the policy; `pareto` is
    /// the empty front that the run keeps, if it keeps one.
    ///
    /// # Errors
    /// [`RunError::Changed`] when the run to resume was started from something else, and whatever hinders reading or writing.
    pub fn open(
        directory: RunDirectory,
        start: &Start<'_>,
        model: ModelToml,
        settings: RecordSettings,
        alarms: AlarmSettings,
        mut pareto: Option<ParetoFront>,
    ) -> Result<(Self, Option<FinetuneState>), RunError> {
        // What cannot be read is said before anything is written.
        let checkpoint = directory.checkpoint::<StoredState>(&model.hyper)?;
        directory.prepare(start, false)?;
        let last = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.step);
        let file = directory.path().join(METRICS);
        let strict = !start.accepted.iter().any(|key| key == METRICS);
        let (lines, kept) = JsonLines::open(&file, "step", last, strict)?;
        let ends = Ends::of_lines(&file, &kept)?;
        let (state, candidates, noticed) = match checkpoint {
            None => (None, Candidates::default(), Noticed::default()),
            Some(checkpoint) => {
                let (state, candidates, noticed) = restore(&directory, checkpoint, pareto.as_mut())?;
                (Some(state), candidates, noticed)
            }
        };
        let mut sinks = Sinks::new(vec![Box::new(lines)]);
        if settings.tensorboard {
            sinks.add(TensorBoard::new(directory.path()));
        }
        let samples = SampleFiles::open(&directory, last, settings.samples, settings.samples_limit)?;
        let alarms = Alarms::new(alarms, noticed);
        let saved = state.as_ref().map(|_| last);
        let run = Self { directory, model, settings, sinks, samples, candidates, pareto, ends, alarms, saved };
        // A kill may have come between the checkpoint and these.
        run.write_best_crystals()?;
        Ok((run, state))
    }

    /// Records a step: its samples, its metrics, and a checkpoint where one is due or `wanted`, or the step is the best so far. An
    /// alarm may lower the learning rate of the steps to come.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn step(
        &mut self,
        record: &StepRecord,
        state: &mut FinetuneState,
        wanted: bool,
    ) -> Result<StepSummary, RunError> {
        let scored = Candidate::of_step(record, &self.settings.computed_by);
        if let Some(front) = &mut self.pareto {
            front.add(&scored);
        }
        self.candidates.add(scored, self.settings.candidates);
        let samples_are_full = self.samples.write(record)?;
        let metrics = StepMetrics::new(record);
        self.sinks.record(record.step as u64, &metrics)?;
        let is_best = state.best.is_some_and(|(step, _)| step == record.step);
        self.ends.add(&metrics);
        let alarms = self.alarms.check(self.ends.first_step().unwrap_or(&metrics), &metrics);
        state.learning_rate_scale *= self.alarms.lowering(&alarms);
        let ends = alarms.iter().any(|alarm| alarm.reaction == Reaction::Stop);
        if wanted || is_best || ends || is_due(record.step, self.settings.checkpoint_every, record.times.step) {
            self.sinks.sync()?;
            self.checkpoint(state)?;
        }
        Ok(StepSummary { alarms, metrics, samples_are_full })
    }

    /// Writes a checkpoint, the candidates and the Pareto front.
    fn checkpoint(&mut self, state: &FinetuneState) -> Result<(), RunError> {
        let checkpoint = Checkpoint {
            step: state.step as u64,
            parameters: state.parameters.clone(),
            adam: state.adam.clone(),
            best: None,
            state: StoredState {
                baseline: state.baseline,
                idle: state.idle,
                alarms: self.alarms.noticed().clone(),
                learning_rate_scale: state.learning_rate_scale,
                memory: state.memory.clone(),
                kl_weight: state.kl_weight,
                elements: state.elements.clone(),
                replay: state.replay.clone(),
                best: state.best.map(|(step, objective)| StoredBest { step, objective }),
                candidates: self.candidates.clone(),
                pareto: self.pareto.as_ref().map(|front| front.members().to_vec()),
            },
        };
        let mut model = self.model.clone();
        model.provenance.get_or_insert_default().insert("steps".into(), (state.step as i64).into());
        self.directory.save(&checkpoint, &model, self.settings.keep, state.best.map(|(step, _)| step as u64))?;
        self.saved = Some(checkpoint.step);
        self.write_best_crystals()
    }

    fn write_best_crystals(&self) -> Result<(), RunError> {
        self.pareto.as_ref().map_or(Ok(()), |front| front.write(self.path()))?;
        self.candidates.write(self.path())
    }

    /// The step of the newest checkpoint.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    /// The Pareto front, if the run keeps one.
    pub fn pareto(&self) -> Option<&ParetoFront> {
        self.pareto.as_ref()
    }

    /// The run's first and last steps, also when it was resumed behind them.
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Where the run lives.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// The state of a checkpoint, and the candidates; `pareto` takes its front.
fn restore(
    directory: &RunDirectory,
    checkpoint: Checkpoint<StoredState>,
    pareto: Option<&mut ParetoFront>,
) -> Result<(FinetuneState, Candidates, Noticed), RunError> {
    let Checkpoint { step, parameters, adam, mut state, .. } = checkpoint;
    let refused = |reason: String| RunError::content(&directory.state_file(step), reason);
    state.check(step as usize).map_err(refused)?;
    match (pareto, state.pareto.take()) {
        (Some(front), Some(members)) => front.restore(members).map_err(refused)?,
        (None, None) => {}
        (Some(_), None) => return Err(refused("`state.pareto` is null, but the config has a front".to_owned())),
        (None, Some(_)) => return Err(refused("`state.pareto` is a front, but the config has none".to_owned())),
    }
    let StoredState {
        baseline,
        best,
        idle,
        alarms,
        learning_rate_scale,
        memory,
        kl_weight,
        elements,
        replay,
        candidates,
        ..
    } = state;
    let best = best.map(|best| (best.step, best.objective));
    let step = step as usize;
    let state = FinetuneState {
        baseline,
        best,
        idle,
        step,
        parameters,
        adam,
        learning_rate_scale,
        memory,
        kl_weight,
        elements,
        replay,
    };
    Ok((state, candidates, alarms))
}
