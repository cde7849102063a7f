//! A fine-tuning run's directory: metrics, samples, candidates and checkpoints, kept as the run goes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::candidates::{Candidate, Candidates};
use super::{Checkpoint, CheckpointError, Metrics, ParetoFront, latest_checkpoint, prune_checkpoints};
use crate::atomic::write_atomically;
use crate::crystal::{Structure, Tokens};
use crate::policy::Hyperparameters;
use crate::reward::{RewardTable, Stage};
use crate::train::{FinetuneState, Sample, StageTimes, StepRecord};

/// The directory of a run.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    metrics: Metrics,
    candidates: Candidates,
    pareto: Option<ParetoFront>,
    first: Option<StepSummary>,
}

/// What a user compares: the same numbers at the first step and at the last.
#[derive(Clone, Debug)]
pub struct StepSummary {
    /// From 1.
    pub step: usize,
    /// Mean objective.
    pub objective: f64,
    /// Share of stable crystals.
    pub stable: Option<f64>,
    /// KL to the base, nats.
    pub kl: f64,
    /// Share of distinct formulas.
    pub unique: f64,
    /// Share of failed rows.
    pub failed: f64,
    /// Rows that came through each stage of the scoring.
    pub funnel: Vec<Stage>,
    /// Seconds per stage.
    pub times: StageTimes,
}

/// Why a run directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system's reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A checkpoint that cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The directory holds a run already.
    #[error("{} already holds a run of {step} steps", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
        /// Steps of its newest checkpoint.
        step: u64,
    },
    /// The run to resume was started from something else.
    #[error("{}: the run was started with a different {what}", path.display())]
    Changed {
        /// The lock file.
        path: PathBuf,
        /// What differs: the config, a model, the hull, the program.
        what: String,
    },
}

impl RunDirectory {
    /// Opens a directory for a new run, or for the rest of one. `lock` holds the hash of everything that a run's numbers depend
    /// on; `pareto` is the empty front that a run keeps, if it keeps one.
    ///
    /// # Errors
    /// [`RunError::Occupied`] for a new run in an old one's directory, [`RunError::Changed`] when `lock` is not the old one's.
    pub fn open(
        path: &Path,
        resume: bool,
        config: &str,
        lock: &BTreeMap<String, String>,
        hyper: &Hyperparameters,
        mut pareto: Option<ParetoFront>,
    ) -> Result<(Self, Option<FinetuneState>), RunError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        let checkpoints = path.join("checkpoints");
        let found = latest_checkpoint(&checkpoints);
        if let (Some((step, _)), false) = (&found, resume) {
            return Err(RunError::Occupied { path: path.to_owned(), step: *step });
        }
        for folder in [&checkpoints, &path.join("samples")] {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        let lock_file = path.join("lock.json");
        if found.is_some() {
            compare(&lock_file, lock)?;
        }
        let written = serde_json::to_string_pretty(lock).unwrap_or_default();
        write_atomically(&lock_file, written.as_bytes()).map_err(failed(&lock_file))?;
        let config_file = path.join("run.toml");
        write_atomically(&config_file, config.as_bytes()).map_err(failed(&config_file))?;
        let (state, candidates) = match found {
            None => (None, Candidates::default()),
            Some((_, folder)) => {
                let checkpoint = Checkpoint::read(&folder, hyper)?;
                let candidates = Candidates::from_json(checkpoint.state.get("candidates"));
                if let Some(front) = &mut pareto {
                    front.restore(checkpoint.state.get("pareto"));
                }
                (Some(state_of(checkpoint)), candidates)
            }
        };
        let last = state.as_ref().map_or(0, |s| s.step as u64);
        let metrics_file = path.join("metrics.jsonl");
        let metrics = Metrics::open(&metrics_file, "step", last).map_err(failed(&metrics_file))?;
        let first = metrics.first().map_err(failed(&metrics_file))?.and_then(|line| StepSummary::of_line(&line));
        Ok((Self { path: path.to_owned(), metrics, candidates, pareto, first }, state))
    }

    /// Records a step: a line of metrics, its samples, and the candidates so far.
    ///
    /// # Errors
    /// [`RunError::Io`].
    pub fn step(&mut self, record: &StepRecord) -> Result<StepSummary, RunError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RunError::Io { path, source }
        };
        let scored = Candidate::of_step(record);
        if let Some(front) = &mut self.pareto {
            front.add(&scored);
        }
        self.candidates.add(scored);
        let samples = self.path.join(format!("samples/step-{}.jsonl", record.step));
        let lines: String = record.samples.iter().enumerate().map(|(i, s)| sample_line(record, i, s)).collect();
        write_atomically(&samples, lines.as_bytes()).map_err(failed(&samples))?;
        self.metrics.append(&metrics_line(record)).map_err(failed(self.metrics.path()))?;
        let summary = StepSummary::of(record);
        self.first.get_or_insert_with(|| summary.clone());
        Ok(summary)
    }

    /// Writes a checkpoint, the candidates and the Pareto front, and removes checkpoints beyond the newest `keep` and the best.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn checkpoint(&self, state: &FinetuneState, keep: usize) -> Result<(), RunError> {
        let folder = self.path.join("checkpoints");
        let best = state.best.map(|(step, value)| json!({ "step": step, "objective": value }));
        let checkpoint = Checkpoint {
            step: state.step as u64,
            parameters: state.parameters.clone(),
            adam: state.adam.clone(),
            best: None,
            state: json!({
                "baseline": state.baseline, "best": best, "candidates": self.candidates.to_json(),
                "pareto": self.pareto.as_ref().map(ParetoFront::to_json),
            }),
        };
        checkpoint.write(&folder)?;
        let best: Vec<u64> = state.best.iter().map(|(step, _)| *step as u64).collect();
        prune_checkpoints(&folder, keep, &best)?;
        self.pareto.as_ref().map_or(Ok(()), |front| front.write(&self.path))?;
        self.candidates.write(&self.path)
    }

    /// The Pareto front, if the run keeps one.
    pub fn pareto(&self) -> Option<&ParetoFront> {
        self.pareto.as_ref()
    }

    /// The run's first step, also when the run was resumed behind it.
    pub fn first(&self) -> Option<&StepSummary> {
        self.first.as_ref()
    }

    /// Where the run lives.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn compare(path: &Path, lock: &BTreeMap<String, String>) -> Result<(), RunError> {
    let text = fs::read(path).map_err(|source| RunError::Io { path: path.to_owned(), source })?;
    let old: BTreeMap<String, String> = serde_json::from_slice(&text).unwrap_or_default();
    match lock.iter().find(|(key, value)| old.get(*key) != Some(value)) {
        Some((what, _)) => Err(RunError::Changed { path: path.to_owned(), what: what.clone() }),
        None => Ok(()),
    }
}

fn state_of(checkpoint: Checkpoint) -> FinetuneState {
    let best = checkpoint.state.get("best");
    let best = best.and_then(|b| Some((b.get("step")?.as_u64()? as usize, b.get("objective")?.as_f64()?)));
    FinetuneState {
        baseline: checkpoint.state.get("baseline").and_then(Value::as_f64),
        best,
        step: checkpoint.step as usize,
        parameters: checkpoint.parameters,
        adam: checkpoint.adam,
    }
}

impl StepSummary {
    fn of(record: &StepRecord) -> Self {
        Self {
            step: record.step,
            objective: record.objective_mean,
            stable: record.stable_fraction,
            kl: record.kl,
            unique: record.unique_formulas,
            failed: record.failed_fraction,
            funnel: record.table.funnel().to_vec(),
            times: record.times,
        }
    }

    /// From a line of `metrics.jsonl`.
    fn of_line(line: &Value) -> Option<Self> {
        let number = |key: &str| line.get(key)?.as_f64();
        Some(Self {
            step: line.get("step")?.as_u64()? as usize,
            objective: number("objective_mean")?,
            stable: number("stable_fraction"),
            kl: number("kl")?,
            unique: number("unique_formulas")?,
            failed: number("failed_fraction")?,
            funnel: line.get("funnel").and_then(Value::as_array)?.iter().filter_map(stage_of).collect(),
            times: stage_times(line.get("time")?)?,
        })
    }
}

fn stage_times(time: &Value) -> Option<StageTimes> {
    let seconds = |stage: &str| time.get(stage)?.as_f64();
    Some(StageTimes {
        sample: seconds("sample")?,
        reward: seconds("reward")?,
        likelihood: seconds("likelihood")?,
        gradient: seconds("gradient")?,
        optimiser: seconds("optimiser")?,
        step: seconds("step")?,
    })
}

/// What depends on the clock stands under `time` alone.
fn metrics_line(record: &StepRecord) -> Value {
    let t = &record.times;
    json!({
        "step": record.step,
        "objective_mean": record.objective_mean,
        "objective_std": record.objective_std,
        "baseline": record.baseline,
        "kl": record.kl,
        "entropy": record.entropy,
        "stable_fraction": record.stable_fraction,
        "unique_formulas": record.unique_formulas,
        "failed_fraction": record.failed_fraction,
        "funnel": funnel(&record.table),
        "clip_fraction": record.update.clip_fraction,
        "grad_norms": record.update.grad_norms,
        "skipped": record.update.skipped,
        "terms": terms(&record.table),
        "judge": record.monitor.as_ref().map(terms),
        "time": {
            "sample": t.sample, "reward": t.reward, "likelihood": t.likelihood, "gradient": t.gradient,
            "optimiser": t.optimiser, "step": t.step,
        },
    })
}

/// A list, because a filter may be called what a stage is called.
fn funnel(table: &RewardTable) -> Value {
    table.funnel().iter().map(|s| json!({ "stage": s.name, "rows": s.rows })).collect()
}

fn stage_of(value: &Value) -> Option<Stage> {
    let rows = usize::try_from(value.get("rows")?.as_u64()?).ok()?;
    Some(Stage { name: value.get("stage")?.as_str()?.to_owned(), rows })
}

fn terms(table: &RewardTable) -> Value {
    let term = |s: &crate::reward::TermStatistics| {
        (
            s.name.clone(),
            json!({ "mean": s.mean, "spread": s.spread, "values": s.values, "abstained": s.abstained, "failures": s.failures }),
        )
    };
    Value::Object(table.statistics().iter().map(term).collect())
}

fn sample_line(record: &StepRecord, row: usize, sample: &Sample) -> String {
    let mut line = Map::new();
    line.insert("id".into(), json!(format!("step-{}-{row}", record.step)));
    if let Some(tokens) = &sample.tokens {
        line.insert("tokens".into(), tokens_json(tokens));
    }
    match &sample.structure {
        Ok(structure) => line.extend(structure_json(structure)),
        Err(reason) => {
            line.insert("refused".into(), json!(reason));
        }
    }
    for (column, outcome) in record.table.columns().iter().zip(record.table.row(row)) {
        let value = match outcome {
            crate::reward::Outcome::Value(value) => json!(value),
            crate::reward::Outcome::Failed(failure) => json!({ "failed": failure.to_string() }),
            crate::reward::Outcome::Abstained => json!("abstained"),
            crate::reward::Outcome::NotAsked => Value::Null,
        };
        line.insert(column.name.clone(), value);
    }
    line.insert("objective".into(), json!(sample.objective));
    if let Some(reason) = &sample.not_finite {
        line.insert("objective_failed".into(), json!(reason.to_string()));
    }
    line.insert("logp".into(), json!(sample.logp));
    format!("{}\n", Value::Object(line))
}

/// Tokens as JSON: space group, lattice (lengths / atoms^(1/3) in angstrom, angles in radians), sites.
pub fn tokens_json(tokens: &Tokens) -> Value {
    let site = |s: &crate::crystal::Site| json!({ "w": s.wyckoff, "a": s.species.symbol(), "xyz": s.coord });
    json!({
        "spacegroup": tokens.group.number(),
        "lattice": tokens.lattice,
        "sites": tokens.sites.iter().map(site).collect::<Vec<_>>(),
    })
}

pub(super) fn structure_json(structure: &Structure) -> Map<String, Value> {
    let species: Vec<&str> = structure.species.iter().map(|e| e.symbol()).collect();
    let mut map = Map::new();
    map.insert("lattice".into(), json!(structure.lattice.0));
    map.insert("species".into(), json!(species));
    map.insert("frac_coords".into(), json!(structure.frac));
    map
}
