//! The directory of a run, whatever it trains: its config, its lock and its checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::checkpoint::{Checkpoint, latest_checkpoint, prune_checkpoints};
use super::{Lock, RunError};
use crate::atomic::write_atomically;
use crate::policy::Hyperparameters;

/// The directory of a run. Opening it writes nothing: that is for [`super::FinetuneRun`] and [`super::PretrainRun`].
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Steps or epochs of the checkpoint from which the run goes on, and its folder.
    found: Option<(u64, PathBuf)>,
}

impl RunDirectory {
    /// The directory of a new run, or, if it is there, of the run to resume; `unit` is what a run counts, `steps` or `epochs`.
    ///
    /// # Errors
    /// [`RunError::Occupied`] for a new run in an old one's directory, [`RunError::Read`].
    pub fn open(path: &Path, resume: bool, unit: &'static str) -> Result<Self, RunError> {
        let path = path.to_owned();
        let found = latest_checkpoint(&path.join("checkpoints"))?;
        match &found {
            Some((done, _)) if !resume => Err(RunError::Occupied { path, done: *done, unit }),
            _ => Ok(Self { path, found }),
        }
    }

    /// Steps or epochs of the checkpoint from which the run goes on, if it does.
    pub fn resumes_after(&self) -> Option<u64> {
        self.found.as_ref().map(|(done, _)| *done)
    }

    /// Where the run lives.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file with the resolved config.
    pub fn config_file(&self) -> PathBuf {
        self.path.join("run.toml")
    }

    /// The config that the run was last started with.
    ///
    /// # Errors
    /// [`RunError::Read`].
    pub fn recorded_config(&self) -> Result<String, RunError> {
        let file = self.config_file();
        fs::read_to_string(&file).map_err(RunError::read(&file))
    }

    /// Makes the folders and records the config. A lock must be that of the run to resume.
    pub(super) fn prepare(&self, config: &str, lock: Option<&Lock>) -> Result<(), RunError> {
        let lock_file = self.path.join("lock.json");
        if let (Some(lock), Some(_)) = (lock, &self.found) {
            lock.compare(&lock_file)?;
        }
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(RunError::write(&checkpoints))?;
        if let Some(lock) = lock {
            lock.write(&lock_file)?;
        }
        let file = self.config_file();
        write_atomically(&file, config.as_bytes()).map_err(RunError::write(&file))
    }

    /// The checkpoint from which the run goes on.
    pub(super) fn checkpoint<S: DeserializeOwned>(
        &self,
        hyper: &Hyperparameters,
    ) -> Result<Option<Checkpoint<S>>, RunError> {
        self.found.as_ref().map(|(_, folder)| Checkpoint::read(folder, hyper)).transpose()
    }

    /// Writes a checkpoint, and removes those beyond the newest `keep` but that of the step `best`.
    pub(super) fn save<S: Serialize>(
        &self,
        checkpoint: &Checkpoint<S>,
        keep: usize,
        best: Option<u64>,
    ) -> Result<(), RunError> {
        checkpoint.write(&self.checkpoints())?;
        prune_checkpoints(&self.checkpoints(), keep, best)
    }

    /// The file with the state of a checkpoint.
    pub(super) fn state_file(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step}/state.json"))
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}
