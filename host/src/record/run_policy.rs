//! A run, or one of its checkpoints, where a policy is asked for.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::RunError;
use super::checkpoint::{BEST, STATE, checkpoints, verify};
use super::json::read_json;
use crate::input::{MOST_DATA, read};
use crate::policy::{MODEL, ModelToml, PARAMETERS, Parameters, PolicyDirectory};

/// The policy of a run.
#[derive(Debug)]
pub struct RunPolicy {
    /// What the checkpoint holds.
    pub policy: PolicyDirectory,
    /// The checkpoint.
    pub checkpoint: PathBuf,
    /// Its file with the description.
    pub model_file: PathBuf,
    /// Its file with the parameters.
    pub parameters_file: PathBuf,
    /// Steps or epochs that the parameters have behind them.
    pub done: u64,
    /// Why this one, such as "the best of 100 steps, mean objective 0.25".
    pub reason: String,
}

/// What any checkpoint says of itself.
#[derive(Deserialize)]
struct Described {
    step: u64,
    state: DescribedState,
}

#[derive(Deserialize)]
struct DescribedState {
    best: Option<BestStep>,
    best_epoch: Option<u64>,
    best_nll: Option<f64>,
}

#[derive(Deserialize)]
struct BestStep {
    step: u64,
    objective: f64,
}

/// The policy of a run's directory: of the best step of a fine-tuning, where its checkpoint is there, or of the best epoch of a
/// pretraining. That of a checkpoint, where `path` is one. `None` if it is neither.
///
/// # Errors
/// [`RunError`], when a checkpoint is damaged, or none is there.
pub fn run_policy(path: &Path) -> Result<Option<RunPolicy>, RunError> {
    if path.join(STATE).is_file() {
        let described = describe(path)?;
        return open(path, PARAMETERS, described.step, "this checkpoint".to_owned()).map(Some);
    }
    let folder = path.join("checkpoints");
    if !folder.is_dir() {
        return Ok(None);
    }
    let newest = checkpoints(&folder)?.into_iter().max_by_key(|(step, _)| *step);
    let (_, newest) = newest.ok_or_else(|| RunError::NoCheckpoint { path: path.to_owned() })?;
    let Described { step, state } = describe(&newest)?;
    if let (Some(epoch), true) = (state.best_epoch, newest.join(BEST).is_file()) {
        let nll = state.best_nll.map_or_else(String::new, |nll| format!(", validation NLL {nll:.3}"));
        return open(&newest, BEST, epoch, format!("the best of {step} epochs{nll}")).map(Some);
    }
    let best = state.best.map(|best| (folder.join(format!("step-{}", best.step)), best));
    match best.filter(|(folder, _)| folder.is_dir()) {
        Some((folder, BestStep { step: best, objective })) => {
            open(&folder, PARAMETERS, best, format!("the best of {step} steps, mean objective {objective:.4}"))
        }
        None => open(&newest, PARAMETERS, step, "the newest checkpoint".to_owned()),
    }
    .map(Some)
}

fn describe(checkpoint: &Path) -> Result<Described, RunError> {
    let file = checkpoint.join(STATE);
    let text = read(&file, MOST_DATA).map_err(RunError::read(&file))?;
    read_json(&file, "", &text)
}

fn open(checkpoint: &Path, parameters: &str, done: u64, reason: String) -> Result<RunPolicy, RunError> {
    verify(checkpoint)?;
    let model_file = checkpoint.join(MODEL);
    if !model_file.exists() {
        return Err(RunError::NoModel { folder: checkpoint.to_owned() });
    }
    let model = ModelToml::read(&model_file)?;
    let parameters_file = checkpoint.join(parameters);
    let parameters = Parameters::load(&parameters_file, &model.hyper)?;
    let policy = PolicyDirectory { model, parameters };
    Ok(RunPolicy { policy, checkpoint: checkpoint.to_owned(), model_file, parameters_file, done, reason })
}
