//! A training on examples with its config checked and its policy opened.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::numbers::Conditions;
use crate::cli::plan::schedule;
use crate::cli::resume::Beginning;
use crate::cli::runtime::lock_runtime;
use crate::cli::{Context, Failure, Search};
use crate::config::{self, Config, CrystalFormerShape, PretrainPolicy, with_seed};
use crate::crystal::Description;
use crate::crystal::files_at;
use crate::policy::{Hyperparameters, PolicyDirectory, Resources, Temperatures};
use crate::record::Lock;
use crate::runtime::{Device, Runtime};
use crate::train::PretrainSettings;

/// A pretraining, ready to start.
pub(super) struct PretrainPlan {
    /// The config as it will be recorded.
    pub config: config::Pretrain,
    /// The same as TOML.
    pub text: String,
    /// Of the policy that is trained.
    pub hyper: Hyperparameters,
    /// The policy to start from; a new one has none.
    pub start: Option<PolicyDirectory>,
    /// Settings of the training.
    pub settings: PretrainSettings,
    /// ONNX Runtime.
    pub runtime: Arc<Runtime>,
    /// Hashes of everything that its numbers depend on.
    pub lock: Lock,
    /// The files of `data.files`, as they are named and where they are.
    pub files: Vec<(PathBuf, PathBuf)>,
    /// The table of `data.scores`.
    pub scores: Option<PathBuf>,
    /// What is asked of the crystals' numbers.
    pub conditions: Conditions,
}

impl PretrainPlan {
    /// Checks a config, which was read from `file`, and opens what it names.
    pub fn new(context: &Context, beginning: &Beginning) -> Result<Self, Failure> {
        let mut config: config::Pretrain = beginning.document.read()?;
        config.run.seed = context.globals.seed.unwrap_or(config.run.seed);
        config.run.dir = with_seed(&config.run.dir, config.run.seed);
        config.train.out = with_seed(&config.train.out, config.run.seed);
        config.run.device = context.globals.device.clone().unwrap_or(config.run.device);
        let conditions = Conditions::new(&config)?;
        let wish: Device = config.run.device.parse()?;
        let runtime = context.runtime(wish)?;
        let device = context.resolve(&runtime, wish)?;
        let mut lock = Lock::new(env!("CARGO_PKG_VERSION"));
        lock.set_origin(&beginning.origin);
        lock_runtime(&mut lock, &runtime, device);
        lock.add("config", config.decisive().to_toml()?.as_bytes());
        let (hyper, start) = match &config.policy {
            PretrainPolicy::Model(directory) => {
                let found = context.policy(&beginning.search.find("`policy.model`", directory)?)?;
                lock_file(&mut lock, "policy.model", &found.parameters_file)?;
                lock_file(&mut lock, "model.toml of policy.model", &found.model_file)?;
                (found.policy.model.hyper.clone(), Some(found.policy))
            }
            PretrainPolicy::CrystalFormer(shape) => {
                let hyper = hyperparameters(shape);
                hyper.check().map_err(|e| Failure::user(format!("[policy.crystalformer]: {e}")))?;
                (hyper, None)
            }
        };
        let (threads, memory) =
            (context.threads(config.run.threads), context.memory(&runtime, device, config.run.memory));
        let resources = Resources { device, threads, memory, ranks: context.ranks };
        let settings = settings(&config, resources);
        let files = files(&config, &beginning.search, &mut lock)?;
        let scores = match &config.data.scores {
            Some(table) => {
                let found = beginning.search.find("`data.scores`", table)?;
                lock_file(&mut lock, "data.scores", &found)?;
                Some(found)
            }
            None => None,
        };
        config.record.get_or_insert_default();
        let text = config.to_toml()?;
        Ok(Self { text, config, hyper, start, settings, runtime, lock, files, scores, conditions })
    }
}

fn files(config: &config::Pretrain, search: &Search, lock: &mut Lock) -> Result<Vec<(PathBuf, PathBuf)>, Failure> {
    let mut found = Vec::new();
    for (place, named) in config.data.files.iter().enumerate() {
        // Standard input is there once: nothing is known of it beforehand.
        if named.as_os_str() == "-" {
            found.push((named.clone(), named.clone()));
            continue;
        }
        let file = search.find_data("`data.files`", named)?;
        let key = format!("data.files.{place}");
        if !file.exists() {
            let matching = files_at(&file, |_| true)?;
            lock.add_files(&key, &matching).map_err(|e| Failure::user(format!("{}: {e}", file.display())))?;
        } else if file.is_file() || file.is_dir() {
            lock_file(lock, &key, &file)?;
        }
        // Nothing is known of a pipe.
        found.push((named.clone(), file));
    }
    Ok(found)
}

fn lock_file(lock: &mut Lock, key: &str, file: &Path) -> Result<(), Failure> {
    lock.add_file(key, file).map_err(|e| Failure::user(format!("{}: {e}", file.display())))
}

fn settings(config: &config::Pretrain, resources: Resources) -> PretrainSettings {
    let train = &config.train;
    PretrainSettings {
        batch: train.batch,
        epochs: train.epochs,
        learning_rate: train.learning_rate,
        schedule: schedule(train.schedule),
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
        description: match shape.description {
            config::Description::Found => Description::Found,
            config::Description::Standard => Description::Standard,
        },
        temperature: Temperatures::default(),
    }
}
