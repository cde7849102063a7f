//! A fine-tuning run with everything opened and checked: every mistake that a user can make is found here, before anything runs.

mod elements;
mod models;
mod plugins;
mod policies;
mod settings;
mod terms;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::models::ModelKey;
pub(super) use self::settings::schedule;
pub(super) use self::terms::parsed_objective;
use super::model::sensible;
use super::resume::Beginning;
use super::runtime::lock_runtime;
use super::{Context, Failure, Search};
use crate::config::{Config, Document, Finetune, Problem, with_seed};
use crate::hint::Hint;
use crate::hull::Hull;
use crate::model::{Executor, ForceModel, OnnxModel};
use crate::policy::{ModelToml, Parameters, Resources};
use crate::record::Lock;
use crate::runtime::{Device, Runtime};
use crate::train::{FinetuneSettings, Objectives};

/// A run, ready to start.
pub struct Plan {
    /// The config as it will be recorded.
    pub config: Finetune,
    /// The same as TOML.
    pub text: String,
    /// The policy's description.
    pub model: ModelToml,
    /// Parameters to start from.
    pub start: Parameters,
    /// Parameters that KL is measured against.
    pub base: Parameters,
    /// Terms and objective.
    pub objectives: Objectives,
    /// Settings of the training.
    pub settings: FinetuneSettings,
    /// ONNX Runtime.
    pub runtime: Arc<Runtime>,
    /// Hashes of everything that the run's numbers depend on.
    pub lock: Lock,
    /// The models of its terms.
    models: Vec<Arc<OnnxModel>>,
}

/// Opens what a config names.
struct Planner<'a> {
    context: &'a Context,
    document: &'a Document,
    search: Search,
    runtime: Arc<Runtime>,
    device: Device,
    executor: Executor,
    memory: u64,
    lock: Lock,
    models: BTreeMap<ModelKey, Arc<OnnxModel>>,
    force_models: BTreeMap<ModelKey, Arc<ForceModel>>,
    hulls: BTreeMap<PathBuf, Arc<Hull>>,
}

impl Plan {
    /// Checks a config, opens and hashes what it names, and sets the run up.
    ///
    /// # Errors
    /// The first mistake, with its place in the config.
    pub(super) fn new(context: &Context, beginning: &Beginning) -> Result<Self, Failure> {
        let document = &beginning.document;
        let mut config: Finetune = document.read()?;
        let globals = &context.globals;
        config.run.seed = globals.seed.unwrap_or(config.run.seed);
        config.run.dir = with_seed(&config.run.dir, config.run.seed);
        config.run.threads = globals.threads.unwrap_or(config.run.threads);
        config.run.device = globals.device.clone().unwrap_or(config.run.device);
        let wish: Device = config.run.device.parse()?;
        let runtime = context.runtime(wish)?;
        let device = context.resolve(&runtime, wish)?;
        let (threads, memory) =
            (context.threads(config.run.threads), context.memory(&runtime, device, config.run.memory));
        let mut lock = Lock::new(env!("CARGO_PKG_VERSION"));
        lock.set_origin(&beginning.origin);
        lock_runtime(&mut lock, &runtime, device);
        lock.add("config", config.decisive().to_toml()?.as_bytes());
        let mut planner = Planner {
            context,
            document,
            search: beginning.search.clone(),
            runtime: Arc::clone(&runtime),
            device,
            executor: Executor::new(threads)?,
            memory,
            lock,
            models: BTreeMap::new(),
            force_models: BTreeMap::new(),
            hulls: BTreeMap::new(),
        };
        if !beginning.goes_on(&config.run.dir)? {
            planner.check_names(&config)?;
        }
        let (model, start, base) = planner.policies(&config)?;
        let objectives = planner.objectives(&config)?;
        let resources = Resources { device, threads, memory, ranks: context.ranks };
        let settings = planner.settings(&config, &model, resources)?;
        planner.check_elements(&config, settings.restriction.as_deref(), &model.hyper)?;
        config.record.get_or_insert_default();
        let text = config.to_toml()?;
        let models = planner.models.into_values().collect();
        Ok(Self { config, text, model, start, base, objectives, settings, runtime, lock: planner.lock, models })
    }

    /// The cheap part of `temper model check` on every model.
    ///
    /// # Errors
    /// The first model of which small crystals do not keep their numbers when they are described otherwise.
    pub fn check_models(&self) -> Result<(), Failure> {
        self.models.iter().try_for_each(|model| sensible(model))
    }
}

impl Planner<'_> {
    fn mistake(&self, key: &str, message: impl Into<String>) -> Failure {
        self.document.locate(Problem::new(key, message)).into()
    }

    /// What a key names cannot be used.
    fn refused(&self, key: &str, error: &impl Hint) -> Failure {
        error.hints().into_iter().fold(self.mistake(key, format!("`{key}`: {error}")), Failure::hint)
    }

    fn find(&self, key: &str, path: &Path) -> Result<PathBuf, Failure> {
        self.search.find(&format!("`{key}`"), path)
    }

    /// Notes what a file holds: the run's numbers depend on it.
    fn lock(&mut self, key: &str, file: &Path) -> Result<(), Failure> {
        self.lock.add_file(key, file).map_err(|e| Failure::user(format!("{}: {e}", file.display())))
    }
}
