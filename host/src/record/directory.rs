//! The directory of a run, whatever it trains: its config, its lock and its checkpoints.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::changes::record_changes;
use super::checkpoint::{Checkpoint, checkpoints, prune_checkpoints};
use super::lock::LOCK;
use super::writer_lock::WriterLock;
use super::{Change, Lock, RunError};
use crate::atomic::{check_folder, remove_leftovers, write_atomically};
use crate::input::{MOST_TEXT, read_text};
use crate::policy::{Hyperparameters, ModelToml};

/// The file with the lines of the steps; its name stands for them where changes are accepted.
pub(super) const METRICS: &str = "metrics.jsonl";

/// The directory of a run, with the lock of its only writer if it was opened.
#[derive(Debug)]
pub struct RunDirectory {
    path: PathBuf,
    /// Steps or epochs of the checkpoint from which the run goes on, and its folder.
    found: Option<(u64, PathBuf)>,
    /// `steps` or `epochs`.
    unit: &'static str,
    writer: Option<WriterLock>,
}

/// What a run is started or resumed with, for its directory to record.
#[derive(Debug)]
pub struct Start<'a> {
    /// The resolved config as TOML.
    pub config: &'a str,
    /// Hashes of all that its numbers depend on.
    pub lock: &'a Lock,
    /// Keys that shape the numbers and differ from the config of the run to resume.
    pub changes: Vec<Change>,
    /// Keys whose change the user accepts.
    pub accepted: &'a [String],
}

impl RunDirectory {
    /// The directory as it is, for whoever writes nothing. `unit` is what a run counts, `steps` or `epochs`.
    ///
    /// # Errors
    /// [`RunError::Occupied`] for a new run in an old one's directory, [`RunError::Read`].
    pub fn look(path: &Path, resume: bool, unit: &'static str) -> Result<Self, RunError> {
        let path = path.to_owned();
        let found = checkpoints(&path.join("checkpoints"))?.into_iter().max_by_key(|(step, _)| *step);
        match &found {
            Some((done, _)) if !resume => Err(RunError::Occupied { path, done: *done, unit }),
            _ => Ok(Self { path, found, unit, writer: None }),
        }
    }

    /// The directory of a new run, or, if it is there, of the run to resume. Nobody else can open it until this is dropped.
    ///
    /// # Errors
    /// [`RunError::Busy`] while another process has it, and as [`Self::look`].
    pub fn open(path: &Path, resume: bool, unit: &'static str) -> Result<Self, RunError> {
        Self::look(path, resume, unit)?;
        fs::create_dir_all(path).map_err(RunError::write(path))?;
        let writer = WriterLock::take(path)?;
        // The writer that has just ended may have left more.
        let mut directory = Self::look(path, resume, unit)?;
        if writer.warning().is_none() {
            for folder in [path.to_owned(), path.join("samples"), directory.checkpoints()] {
                remove_leftovers(&folder).map_err(RunError::write(&folder))?;
            }
        }
        directory.writer = Some(writer);
        Ok(directory)
    }

    /// Tries whether a run could be written here, and leaves nothing behind.
    ///
    /// # Errors
    /// [`RunError::Write`], and [`RunError::Busy`] while another process writes.
    pub fn check_writable(&self) -> Result<(), RunError> {
        check_folder(&self.path).map_err(RunError::write(&self.path))
    }

    /// Why another process could write here as well, if it could.
    pub fn warning(&self) -> Option<&str> {
        self.writer.as_ref().and_then(WriterLock::warning)
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
        read_text(&file, MOST_TEXT).map_err(RunError::read(&file))
    }

    /// What has changed since the run to resume was started, and what of it nobody accepts is refused. An old run may have no
    /// lock where `lock_is_new`.
    ///
    /// # Errors
    /// [`RunError::Changed`], and what hinders reading.
    pub fn check_changes(&self, start: &Start<'_>, lock_is_new: bool) -> Result<Vec<Change>, RunError> {
        if self.found.is_none() {
            return Ok(Vec::new());
        }
        let lock_file = self.path.join(LOCK);
        let found = match lock_is_new && !lock_file.exists() {
            // Without a lock, the config alone tells.
            true => vec![Change::unnamed("config")],
            false => start.lock.changed_since(&lock_file)?,
        };
        let mut changes = Vec::new();
        for change in found {
            match (change.key.as_str(), lock_file.exists(), start.changes.is_empty()) {
                ("config", false, true) => {}
                ("config", _, false) => changes.extend(start.changes.iter().cloned()),
                _ => changes.push(change),
            }
        }
        let refused: Vec<Change> = changes.iter().filter(|c| !c.is_among(start.accepted)).cloned().collect();
        match refused.is_empty() {
            true => Ok(changes),
            false => Err(RunError::Changed { path: self.path.clone(), changes: refused }),
        }
    }

    /// Makes the folders and records the config and the lock, which must be those of the run to resume, but for what is accepted.
    pub(super) fn prepare(&self, start: &Start<'_>, lock_is_new: bool) -> Result<(), RunError> {
        let changes = self.check_changes(start, lock_is_new)?;
        let checkpoints = self.checkpoints();
        fs::create_dir_all(&checkpoints).map_err(RunError::write(&checkpoints))?;
        record_changes(&self.path, self.resumes_after().unwrap_or(0), &changes)?;
        let file = self.config_file();
        write_atomically(&file, start.config.as_bytes()).map_err(RunError::write(&file))?;
        start.lock.write(&self.path.join(LOCK))
    }

    /// The checkpoint from which the run goes on. If it is damaged, the error names the newest that is whole.
    pub(super) fn checkpoint<S: DeserializeOwned>(
        &self,
        hyper: &Hyperparameters,
    ) -> Result<Option<Checkpoint<S>>, RunError> {
        let Some((step, folder)) = &self.found else { return Ok(None) };
        Checkpoint::read(folder, hyper).map(Some).or_else(|reason| {
            let mut older = checkpoints(&self.checkpoints())?;
            older.retain(|(other, _)| other < step);
            older.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
            let whole = older.into_iter().find(|(_, folder)| Checkpoint::<S>::read(folder, hyper).is_ok());
            Err(match whole {
                Some((_, whole)) => RunError::Damaged { folder: folder.clone(), reason: Box::new(reason), whole },
                None => reason,
            })
        })
    }

    /// Writes a checkpoint, and removes those beyond the newest `keep` but that of the step `best`.
    pub(super) fn save<S: Serialize>(
        &self,
        checkpoint: &Checkpoint<S>,
        model: &ModelToml,
        keep: usize,
        best: Option<u64>,
    ) -> Result<(), RunError> {
        checkpoint.write(&self.checkpoints(), model)?;
        prune_checkpoints(&self.checkpoints(), keep, best)
    }

    /// The file with the state of a checkpoint.
    pub(super) fn state_file(&self, step: u64) -> PathBuf {
        self.checkpoints().join(format!("step-{step}/state.json"))
    }

    /// `steps` or `epochs`.
    pub fn unit(&self) -> &'static str {
        self.unit
    }

    fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }
}
