//! The record of a pretraining: metrics, checkpoints, and the policy with the lowest validation NLL.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::metrics::EpochMetrics;
use super::sinks::{JsonLines, Sinks};
use super::{RunDirectory, RunError};
use crate::policy::{Hyperparameters, ModelToml, Parameters, PolicyDirectory};
use crate::train::{Epoch, PretrainData, PretrainState};

/// Checkpoints kept.
const KEEP: usize = 2;

/// A pretraining whose files are kept.
#[derive(Debug)]
pub struct PretrainRun {
    directory: RunDirectory,
    /// Epochs between two checkpoints.
    every: usize,
    sinks: Sinks,
    /// Where the policy goes.
    out: PathBuf,
}

/// `state` of a checkpoint's `state.json`.
#[derive(Serialize, Deserialize)]
struct StoredState {
    /// Nats per crystal; null before any epoch has a finite one.
    #[serde(deserialize_with = "Option::deserialize")]
    best_nll: Option<f64>,
    best_epoch: usize,
}

impl PretrainRun {
    /// Begins a training in its directory, or the rest of one, whose state is then returned. `config` is the resolved config as
    /// TOML; a checkpoint is written after `every` so many epochs, and the best policy goes to the directory `out`.
    ///
    /// # Errors
    /// Whatever hinders reading or writing.
    pub fn open(
        directory: RunDirectory,
        config: &str,
        hyper: &Hyperparameters,
        every: usize,
        out: PathBuf,
    ) -> Result<(Self, Option<PretrainState>), RunError> {
        directory.prepare(config, None)?;
        let checkpoint = directory.checkpoint::<StoredState>(hyper)?;
        let state = checkpoint.map(|checkpoint| restore(&directory, checkpoint)).transpose()?;
        let last = state.as_ref().map_or(0, |state| state.epoch as u64);
        let (lines, _) = JsonLines::open(&directory.path().join("metrics.jsonl"), "epoch", last)?;
        let sinks = Sinks::new(vec![Box::new(lines)]);
        Ok((Self { directory, every, sinks, out }, state))
    }

    /// The file for what became of every row of the data.
    pub fn data_status(&self) -> PathBuf {
        self.directory.path().join("data.status.csv")
    }

    /// Records an epoch: its metrics, and a checkpoint and the policy where they are due or the epoch is the `last`.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn epoch(
        &mut self,
        epoch: &Epoch,
        state: &PretrainState,
        data: &PretrainData,
        hyper: &Hyperparameters,
        last: bool,
    ) -> Result<(), RunError> {
        self.sinks.record(epoch.epoch as u64, &EpochMetrics::new(epoch))?;
        if last || epoch.epoch.is_multiple_of(self.every) {
            self.sinks.sync()?;
            self.checkpoint(state)?;
            policy(state, data, hyper).save(&self.out).map_err(RunError::Policy)?;
        }
        Ok(())
    }

    fn checkpoint(&self, state: &PretrainState) -> Result<(), RunError> {
        let checkpoint = Checkpoint {
            step: state.epoch as u64,
            parameters: state.parameters.clone(),
            adam: state.adam.clone(),
            best: Some(state.best.clone()),
            state: StoredState {
                best_nll: Some(state.best_nll).filter(|nll| nll.is_finite()),
                best_epoch: state.best_epoch,
            },
        };
        self.directory.save(&checkpoint, KEEP, None)
    }
}

/// The best policy, with what it comes from.
fn policy(state: &PretrainState, data: &PretrainData, hyper: &Hyperparameters) -> PolicyDirectory {
    let mut provenance = toml::Table::new();
    provenance.insert("made_by".into(), format!("temper {} pretrain", env!("CARGO_PKG_VERSION")).into());
    provenance.insert("epochs".into(), (state.best_epoch as i64).into());
    provenance.insert("validation_nll".into(), state.best_nll.into());
    provenance.insert("training_crystals".into(), (data.train.len() as i64).into());
    let model = ModelToml { hyper: hyper.clone(), spacegroups: Some(data.spacegroups()), provenance: Some(provenance) };
    PolicyDirectory { model, parameters: state.best.clone() }
}

fn restore(directory: &RunDirectory, checkpoint: Checkpoint<StoredState>) -> Result<PretrainState, RunError> {
    let Checkpoint { step, parameters, adam, best, state } = checkpoint;
    let lacks_best = || RunError::content(&directory.state_file(step).with_file_name("best.safetensors"), "is missing");
    let best: Parameters = best.ok_or_else(lacks_best)?;
    let StoredState { best_nll, best_epoch } = state;
    let best_nll = best_nll.unwrap_or(f64::INFINITY);
    Ok(PretrainState { parameters, adam, epoch: step as usize, best, best_nll, best_epoch })
}
