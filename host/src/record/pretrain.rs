//! The record of a training on examples: metrics, checkpoints, and the policy with the lowest validation loss.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, is_due};
use super::directory::METRICS;
use super::metrics::EpochMetrics;
use super::sinks::{JsonLines, Sinks};
use super::tensorboard::TensorBoard;
use super::{RunDirectory, RunError, Start};
use crate::atomic::{remove_leftovers, try_folder};
use crate::policy::{Hyperparameters, MODEL, ModelToml, PARAMETERS, Parameters, PolicyDirectory};
use crate::train::{Epoch, PretrainState};

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
    /// Epoch of the newest checkpoint.
    saved: Option<u64>,
}

/// What the policy that comes out is described with, besides how far the training got.
#[derive(Clone, Debug)]
pub struct Taught {
    /// How often each space group is to be drawn.
    pub spacegroups: Option<BTreeMap<u8, f64>>,
    /// What it was trained on.
    pub provenance: toml::Table,
}

/// `state` of a checkpoint's `state.json`.
#[derive(Serialize, Deserialize)]
struct StoredState {
    /// Nats per crystal, or per preference; null before any epoch has a finite one.
    #[serde(deserialize_with = "Option::deserialize")]
    best_nll: Option<f64>,
    best_epoch: usize,
}

impl PretrainRun {
    /// Begins a training in its directory, or the rest of one, whose state is then returned. A checkpoint is written after `every`
    /// so many epochs, and the best policy goes to the directory `out`, which is made and tried at once. `tensorboard`: whether an
    /// event file is written.
    ///
    /// # Errors
    /// [`RunError::Changed`] when the training to resume was started from something else, and whatever hinders reading or writing.
    pub fn open(
        directory: RunDirectory,
        start: &Start<'_>,
        hyper: &Hyperparameters,
        every: usize,
        tensorboard: bool,
        out: PathBuf,
    ) -> Result<(Self, Option<PretrainState>), RunError> {
        let checkpoint = directory.checkpoint::<StoredState>(hyper)?;
        let state = checkpoint.map(|checkpoint| restore(&directory, checkpoint)).transpose()?;
        directory.prepare(start, true)?;
        try_folder(&out).map_err(RunError::write(&out))?;
        remove_leftovers(&out).map_err(RunError::write(&out))?;
        if let Some(folder) = [MODEL, PARAMETERS].map(|name| out.join(name)).into_iter().find(|path| path.is_dir()) {
            return Err(RunError::write(&folder)(io::ErrorKind::IsADirectory.into()));
        }
        let last = state.as_ref().map_or(0, |state| state.epoch as u64);
        let strict = !start.accepted.iter().any(|key| key == METRICS);
        let (lines, _) = JsonLines::open(&directory.path().join(METRICS), "epoch", last, strict)?;
        let mut sinks = Sinks::new(vec![Box::new(lines)]);
        if tensorboard {
            sinks.add(TensorBoard::new(directory.path()));
        }
        let saved = state.as_ref().map(|_| last);
        Ok((Self { directory, every, sinks, out, saved }, state))
    }

    /// The file for what became of every row of the data.
    pub fn data_status(&self) -> PathBuf {
        self.directory.path().join("data.status.csv")
    }

    /// The file for the numbers of pairs of each space group.
    pub fn pairs_table(&self) -> PathBuf {
        self.directory.path().join("pairs.csv")
    }

    /// Records an epoch: its metrics, and a checkpoint and the policy where they are due or `wanted`.
    ///
    /// # Errors
    /// [`RunError`].
    pub fn epoch(
        &mut self,
        epoch: &Epoch,
        state: &PretrainState,
        taught: &Taught,
        hyper: &Hyperparameters,
        wanted: bool,
    ) -> Result<(), RunError> {
        self.sinks.record(epoch.epoch as u64, &EpochMetrics::new(epoch))?;
        if wanted || is_due(epoch.epoch, self.every, epoch.seconds) {
            self.sinks.sync()?;
            let best = policy(state, taught, hyper);
            self.checkpoint(state, &best.model)?;
            self.write_policy(state, &best)?;
        }
        Ok(())
    }

    /// Puts the best policy in its place, unless it stands there: a kill may have come between the last checkpoint and that. True if
    /// there is one: an epoch had a finite validation NLL.
    ///
    /// # Errors
    /// [`RunError::Policy`].
    pub fn finish(&self, state: &PretrainState, taught: &Taught, hyper: &Hyperparameters) -> Result<bool, RunError> {
        self.write_policy(state, &policy(state, taught, hyper))?;
        Ok(state.best_epoch > 0)
    }

    fn write_policy(&self, state: &PretrainState, best: &PolicyDirectory) -> Result<(), RunError> {
        if state.best_epoch == 0 || PolicyDirectory::open(&self.out).is_ok_and(|there| there == *best) {
            return Ok(());
        }
        best.save(&self.out).map_err(RunError::Policy)
    }

    /// Where the best policy goes.
    pub fn out(&self) -> &Path {
        &self.out
    }

    /// The epoch of the newest checkpoint.
    pub fn saved(&self) -> Option<u64> {
        self.saved
    }

    fn checkpoint(&mut self, state: &PretrainState, model: &ModelToml) -> Result<(), RunError> {
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
        self.directory.save(&checkpoint, model, KEEP, None)?;
        self.saved = Some(checkpoint.step);
        Ok(())
    }
}

/// The best policy, with what it comes from.
fn policy(state: &PretrainState, taught: &Taught, hyper: &Hyperparameters) -> PolicyDirectory {
    let mut provenance = taught.provenance.clone();
    provenance.insert("made_by".into(), format!("temper {} pretrain", env!("CARGO_PKG_VERSION")).into());
    provenance.insert("epochs".into(), (state.best_epoch as i64).into());
    provenance.insert("validation_nll".into(), state.best_nll.into());
    let spacegroups = taught.spacegroups.clone();
    let model = ModelToml { hyper: hyper.clone(), spacegroups, provenance: Some(provenance) };
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
