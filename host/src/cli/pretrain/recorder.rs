//! What a pretraining writes: metrics, checkpoints, the policy.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::data::Data;
use crate::cli::{Context, Failure, Interrupts, Progress};
use crate::config;
use crate::policy::{Hyperparameters, ModelToml, PolicyDirectory};
use crate::record::{Checkpoint, Metrics, prune_checkpoints};
use crate::train::{Epoch, PretrainObserver, PretrainState};

/// Checkpoints kept.
const KEEP: usize = 2;

/// Writes what a training reports.
pub(super) struct Recorder<'a> {
    config: &'a config::Pretrain,
    hyper: &'a Hyperparameters,
    data: &'a Data,
    metrics: Metrics,
    checkpoints: PathBuf,
    progress: Progress,
    interrupts: Interrupts,
    started: Instant,
}

impl<'a> Recorder<'a> {
    /// For a training of which `epoch` epochs are done.
    pub(super) fn new(
        context: &Context,
        config: &'a config::Pretrain,
        hyper: &'a Hyperparameters,
        data: &'a Data,
        epoch: usize,
    ) -> Result<Self, Failure> {
        let metrics = config.run.dir.join("metrics.jsonl");
        Ok(Self {
            config,
            hyper,
            data,
            metrics: Metrics::open(&metrics, "epoch", epoch as u64).map_err(|e| super::cannot_write(&metrics, &e))?,
            checkpoints: super::checkpoints(config),
            progress: context.progress("steps", 0),
            interrupts: context.interrupts()?,
            started: Instant::now(),
        })
    }
}

impl PretrainObserver for Recorder<'_> {
    fn step(&mut self, done: usize, of: usize) {
        self.progress.set(done as u64, of as u64);
    }

    fn epoch(&mut self, epoch: &Epoch, state: &PretrainState) -> Result<(), String> {
        let seconds = self.started.elapsed().as_secs_f64();
        self.started = Instant::now();
        let valid = epoch.valid;
        let line = json!({
            "epoch": epoch.epoch, "train_nll": epoch.train_nll, "valid_nll": -valid.total(), "valid_nll_w": -valid.w,
            "valid_nll_xyz": -valid.xyz, "valid_nll_a": -valid.a, "valid_nll_l": -valid.l,
            "learning_rate": epoch.learning_rate, "grad_norm": epoch.grad_norm, "skipped": epoch.skipped,
            "best": epoch.best, "time": { "seconds": seconds },
        });
        self.metrics.append(&line).map_err(|e| format!("{}: {e}", self.metrics.path().display()))?;
        let mark = if epoch.best { " *" } else { "" };
        self.progress.say(&format!(
            "epoch {:4}  train {:8.3}  valid {:8.3}{mark}  lr {:.2e}  {seconds:.1} s",
            epoch.epoch,
            epoch.train_nll,
            -valid.total(),
            epoch.learning_rate
        ));
        let last = epoch.epoch == self.config.train.epochs || self.interrupted();
        if epoch.epoch.is_multiple_of(self.config.run.checkpoint_every) || last {
            self.save(state).map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupts.requested()
    }
}

impl Recorder<'_> {
    fn save(&self, state: &PretrainState) -> Result<(), Failure> {
        let checkpoint = Checkpoint {
            step: state.epoch as u64,
            parameters: state.parameters.clone(),
            adam: state.adam.clone(),
            best: Some(state.best.clone()),
            state: json!({ "best_nll": state.best_nll, "best_epoch": state.best_epoch }),
        };
        checkpoint.write(&self.checkpoints)?;
        prune_checkpoints(&self.checkpoints, KEEP, &[])?;
        let mut provenance = toml::Table::new();
        provenance.insert("made_by".into(), format!("temper {} pretrain", env!("CARGO_PKG_VERSION")).into());
        provenance.insert("epochs".into(), (state.best_epoch as i64).into());
        provenance.insert("validation_nll".into(), state.best_nll.into());
        provenance.insert("training_crystals".into(), (self.data.split.train.len() as i64).into());
        let model = ModelToml {
            hyper: self.hyper.clone(),
            spacegroups: Some(self.data.spacegroups.clone()),
            provenance: Some(provenance),
        };
        let policy = PolicyDirectory { model, parameters: state.best.clone() };
        Ok(policy.save(&self.config.train.out)?)
    }
}
