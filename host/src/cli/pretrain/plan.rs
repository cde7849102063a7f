//! A pretraining with its config checked and its policy opened.

use std::path::Path;

use crate::cli::{Context, Failure, Search};
use crate::config::{self, Config, CrystalFormerShape, Document, PretrainPolicy};
use crate::policy::{Hyperparameters, Parameters, PolicyDirectory, Resources};
use crate::record::{RunDirectory, RunError};
use crate::train::{PretrainSettings, Schedule};

/// A pretraining, ready to start.
pub(super) struct PretrainPlan {
    /// The config as it will be recorded.
    pub config: config::Pretrain,
    /// The same as TOML.
    pub text: String,
    /// Of the policy that is trained.
    pub hyper: Hyperparameters,
    /// Parameters to start from; a new policy has none.
    pub start: Option<Parameters>,
    /// Settings of the training.
    pub settings: PretrainSettings,
}

impl PretrainPlan {
    /// Checks a config, which was read from `file`, and opens what it names.
    pub fn new(context: &Context, document: &Document, file: &Path) -> Result<Self, Failure> {
        let mut config: config::Pretrain = document.read()?;
        config.run.seed = context.globals.seed.unwrap_or(config.run.seed);
        config.run.device = context.globals.device.clone().unwrap_or(config.run.device);
        let (hyper, start) = match &config.policy {
            PretrainPolicy::Model(directory) => {
                let directory = Search::new(Some(file)).find("`policy.model`", directory)?;
                let PolicyDirectory { model, parameters } = PolicyDirectory::open(&directory)?;
                (model.hyper, Some(parameters))
            }
            PretrainPolicy::CrystalFormer(shape) => {
                let hyper = hyperparameters(shape);
                hyper.check().map_err(|e| Failure::user(format!("[policy.crystalformer]: {e}")))?;
                (hyper, None)
            }
        };
        let resources = Resources {
            device: config.run.device.parse()?,
            threads: context.threads(config.run.threads),
            memory: config.run.memory.bytes(),
        };
        let settings = settings(&config, resources);
        Ok(Self { text: config.to_toml()?, config, hyper, start, settings })
    }

    /// Refuses to resume a run with another config than it began with, as far as its numbers depend on it.
    pub fn check_unchanged(&self, directory: &RunDirectory) -> Result<(), Failure> {
        let path = directory.config_file();
        let document = Document::new(path.display().to_string(), directory.recorded_config()?, Vec::new());
        match self.config.changed_since(&document.read()?) {
            None => Ok(()),
            Some(part) => Err(Failure::from(RunError::Changed { path, what: format!("`{part}`") })
                .hint("only train.epochs, train.patience, train.out, and keys of [run] other than seed may change")),
        }
    }
}

fn settings(config: &config::Pretrain, resources: Resources) -> PretrainSettings {
    let train = &config.train;
    PretrainSettings {
        batch: train.batch,
        epochs: train.epochs,
        learning_rate: train.learning_rate,
        schedule: match train.schedule {
            config::Schedule::Constant => Schedule::Constant,
            config::Schedule::Cosine => Schedule::Cosine,
        },
        warmup_steps: train.warmup_steps,
        grad_clip: train.grad_clip,
        patience: train.patience,
        seed: config.run.seed,
        resources,
    }
}

fn hyperparameters(shape: &CrystalFormerShape) -> Hyperparameters {
    Hyperparameters {
        Nf: shape.Nf,
        Kx: shape.Kx,
        Kl: shape.Kl,
        n_max: shape.n_max,
        h0_size: shape.h0_size,
        num_layers: shape.num_layers,
        num_heads: shape.num_heads,
        key_size: shape.key_size,
        model_size: shape.model_size,
        embed_size: shape.embed_size,
        atom_types: shape.atom_types,
        wyck_types: shape.wyck_types,
        dropout_rate: shape.dropout_rate,
        attn_dropout: shape.attn_dropout,
    }
}
