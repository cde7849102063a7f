//! `temper pretrain`: maximum likelihood on files of structures or tokens.

mod data;
mod recorder;

use std::path::{Path, PathBuf};

use clap::Args;

use self::data::Data;
use self::recorder::Recorder;
use super::{Context, Exit, Failure, Search};
use crate::atomic::write_atomically;
use crate::config::{self, Config, Document, Override};
use crate::policy::{Hyperparameters, ModelToml, Parameters, PolicyDirectory, Resources};
use crate::record::{Checkpoint, latest_checkpoint};
use crate::train::{PretrainObserver, PretrainSettings, PretrainState, Schedule, pretrain};

/// Train a policy by maximum likelihood.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper pretrain pretrain.toml --set train.epochs=200")]
pub struct Pretrain {
    /// The config: a TOML file
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Override a key of the config; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Continue from the newest checkpoint in `run.dir`, or start if there is none
    #[arg(long)]
    resume: bool,
}

impl Pretrain {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let overrides = self.set.iter().map(|s| s.parse()).collect::<Result<Vec<Override>, _>>()?;
        let mut config: config::Pretrain = Document::open(&self.config, overrides)?.read()?;
        config.run.seed = context.globals.seed.unwrap_or(config.run.seed);
        config.run.device = context.globals.device.clone().unwrap_or(config.run.device);
        let run = &config.run;
        let (model, start) = self.policy(&config)?;
        let resources = Resources {
            device: run.device.parse()?,
            threads: context.threads(run.threads),
            memory: run.memory.bytes(),
        };
        let settings = settings(&config, resources);
        let mut state = self.state(context, &config, &model.hyper, start)?;
        let data = Data::read(context, &config.data, &model.hyper, &run.dir.join("data.status.csv"))?;
        let runtime = context.runtime(resources.device)?;
        let mut recorder = Recorder::new(context, &config, &model.hyper, &data, state.epoch)?;
        pretrain(&runtime, &model.hyper, &data.split, &settings, &mut state, &mut recorder)?;
        let stopped = recorder.interrupted() && state.epoch < settings.epochs;
        drop(recorder);
        context.say(&format!(
            "validation NLL {:.3} per crystal at epoch {}: {}",
            state.best_nll,
            state.best_epoch,
            config.train.out.display()
        ));
        if stopped { Err(Failure::new(Exit::Interrupted, "interrupted; continue with --resume")) } else { Ok(()) }
    }

    /// Hyper-parameters, and the parameters to start from if there are any.
    fn policy(&self, config: &config::Pretrain) -> Result<(ModelToml, Option<Parameters>), Failure> {
        match &config.policy {
            config::PretrainPolicy::Model(directory) => {
                let directory = Search::new(Some(&self.config)).find("`policy.model`", directory)?;
                let PolicyDirectory { model, parameters } = PolicyDirectory::open(&directory)?;
                Ok((model, Some(parameters)))
            }
            config::PretrainPolicy::CrystalFormer(shape) => {
                let hyper = hyperparameters(shape);
                hyper.check().map_err(|e| Failure::user(format!("[policy.crystalformer]: {e}")))?;
                Ok((ModelToml { hyper, spacegroups: None, provenance: None }, None))
            }
        }
    }

    /// Where the training stands; makes its directory where there is none.
    fn state(
        &self,
        context: &Context,
        config: &config::Pretrain,
        hyper: &Hyperparameters,
        start: Option<Parameters>,
    ) -> Result<PretrainState, Failure> {
        let checkpoints = checkpoints(config);
        std::fs::create_dir_all(&checkpoints).map_err(|e| cannot_write(&checkpoints, &e))?;
        let found = latest_checkpoint(&checkpoints);
        let fresh = || PretrainState::new(start.unwrap_or_else(|| Parameters::initialise(hyper, config.run.seed)));
        match (found, self.resume) {
            (None, _) => {
                if self.resume {
                    context.say("nothing to resume: starting from the beginning");
                }
                record_config(config)?;
                Ok(fresh())
            }
            (Some((epoch, _)), false) => {
                let folder = checkpoints.display();
                Err(Failure::user(format!("{folder} already holds a checkpoint of epoch {epoch}"))
                    .hint("continue from it with --resume, or choose another run.dir"))
            }
            (Some((_, path)), true) => {
                same_training(config)?;
                let checkpoint = Checkpoint::read(&path, hyper)?;
                let number = |key: &str| checkpoint.state.get(key).and_then(serde_json::Value::as_f64);
                let state = PretrainState {
                    best: checkpoint.best.unwrap_or_else(|| checkpoint.parameters.clone()),
                    parameters: checkpoint.parameters,
                    adam: checkpoint.adam,
                    epoch: checkpoint.step as usize,
                    best_nll: number("best_nll").unwrap_or(f64::INFINITY),
                    best_epoch: number("best_epoch").unwrap_or(0.0) as usize,
                };
                context.say(&format!("resuming after epoch {}", state.epoch));
                Ok(state)
            }
        }
    }
}

/// Where a training's checkpoints lie.
fn checkpoints(config: &config::Pretrain) -> PathBuf {
    config.run.dir.join("checkpoints")
}

/// Keeps the resolved config beside the checkpoints.
fn record_config(config: &config::Pretrain) -> Result<(), Failure> {
    let path = config.run.dir.join("run.toml");
    let text = config.to_toml().map_err(|e| Failure::from_error(Exit::Internal, &e))?;
    write_atomically(&path, text.as_bytes()).map_err(|e| cannot_write(&path, &e))
}

/// Refuses to go on with another config than the training began with, as far as its numbers depend on it.
fn same_training(config: &config::Pretrain) -> Result<(), Failure> {
    let path = config.run.dir.join("run.toml");
    let text = std::fs::read_to_string(&path).map_err(|e| Failure::user(format!("{}: {e}", path.display())))?;
    let old: config::Pretrain = Document::new(path.display().to_string(), text, Vec::new()).read()?;
    let (old, new) = (decisive(&old), decisive(config));
    let changed = [
        ("data", old.data != new.data),
        ("policy", old.policy != new.policy),
        ("run.seed", old.run != new.run),
        ("train", old.train != new.train),
    ];
    match changed.into_iter().find(|(_, changed)| *changed) {
        None => Ok(()),
        Some((what, _)) => Err(Failure::user(format!("{}: the training was started with a different `{what}`", path.display()))
            .hint("only train.epochs, train.patience, train.out, and keys of [run] other than seed may change; start a new training with --set run.dir=...")),
    }
}

/// The config without what a training may change on its way: how long, where, on how many threads.
fn decisive(config: &config::Pretrain) -> config::Pretrain {
    let mut config = config.clone();
    config.run = config::PretrainRun { seed: config.run.seed, ..config::PretrainRun::default() };
    let config::Train { epochs, patience, out, .. } = config::Train::default();
    config.train = config::Train { epochs, patience, out, ..config.train };
    config
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

fn hyperparameters(shape: &config::CrystalFormerShape) -> Hyperparameters {
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

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::user(format!("cannot write to {}: {error}", path.display()))
}
