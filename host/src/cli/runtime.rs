//! ONNX Runtime as the global options select it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Context, Failure};
use crate::config::{Memory, ModelIsolation, ModelSupervision};
use crate::model::{Executor, ForceModel, Isolation, ModelOptions, ModelProcesses, OnnxModel};
use crate::ranks::Neighbours;
use crate::record::Lock;
use crate::runtime::{Device, Locator, Runtime};

/// How long a process for a model may take to load it.
const LOADING: Duration = Duration::from_secs(300);

/// Notes in a run's lock what computes.
pub(super) fn lock_runtime(lock: &mut Lock, runtime: &Runtime, device: Device) {
    lock.set_runtime(&runtime.release(), device.kind());
    let gpu = runtime.gpu(device);
    lock.note_device(gpu.as_ref().map(|gpu| gpu.name.as_str()), device.is_deterministic());
}

impl Context {
    /// The device of `--device`, `auto` without it.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn device(&self) -> Result<Device, Failure> {
        Ok(self.globals.device.as_deref().map(str::parse).transpose()?.unwrap_or_default())
    }

    /// What a wish means here, where it can be fulfilled; of several ranks on a node, each has a CUDA device of its own if there are
    /// enough.
    ///
    /// # Errors
    /// When the device cannot be used.
    pub fn resolve(&self, runtime: &Runtime, wish: Device) -> Result<Device, Failure> {
        let device = runtime.resolve(wish, &|_| ())?;
        Ok(device.of_place(Neighbours::find(self.ranks).place))
    }

    /// Bytes that a stage may take on `device`: the `memory` of a config, or what that means where it is absent.
    pub fn memory(&self, runtime: &Runtime, device: Device, given: Option<Memory>) -> u64 {
        given.map_or_else(|| runtime.memory(device), Memory::bytes)
    }

    /// The runtime for `device`; says so when the library has to be fetched, and when `auto` cannot mean CUDA though the
    /// library has it.
    ///
    /// # Errors
    /// When no library is there and none can be fetched, or the one that is there cannot be used.
    pub fn runtime(&self, device: Device) -> Result<Arc<Runtime>, Failure> {
        let announce = |line: &str| self.say(line);
        let runtime = Runtime::open(&Locator::from_env(&announce), device)?;
        if device == Device::Auto {
            runtime.resolve(device, &announce)?;
        }
        Ok(runtime)
    }

    /// The directory for what is fetched or made once, if there is one.
    pub fn cache(&self) -> Option<PathBuf> {
        Locator::from_env(&|_| ()).cache
    }

    /// Loads a potential or property model, and says what its user should know.
    ///
    /// # Errors
    /// When it does not fit the contract or the runtime refuses it.
    pub fn open_model(&self, path: &Path) -> Result<OnnxModel, Failure> {
        let wish = self.device()?;
        let runtime = self.runtime(wish)?;
        let device = self.resolve(&runtime, wish)?;
        let executor = Executor::new(self.threads(0))?;
        let memory = runtime.memory(device);
        let options = ModelOptions { memory, ..self.model_options(device, ModelSupervision::default()) };
        let model = OnnxModel::open(&runtime, &executor, path, options)?;
        self.same_model_on_all_ranks(model.contract())?;
        model.contract().warnings.iter().for_each(|warning| self.say(&format!("warning: {warning}")));
        Ok(model)
    }

    /// How a model is run: where `isolation` or `--isolation` says.
    pub fn model_options(&self, device: Device, supervision: ModelSupervision) -> ModelOptions {
        let isolation = supervision.isolation.or(self.globals.isolation).map(|isolation| match isolation {
            ModelIsolation::Host => Isolation::Host,
            ModelIsolation::Process => Isolation::Process,
        });
        let processes = Some(self.model_processes(supervision));
        ModelOptions { device, isolation, processes, ranks: self.ranks, ..ModelOptions::default() }
    }

    /// How processes for models are started.
    pub fn model_processes(&self, supervision: ModelSupervision) -> ModelProcesses {
        ModelProcesses {
            program: std::env::current_exe().unwrap_or_else(|_| "temper".into()),
            cache: self.cache(),
            memory: supervision.memory.map(Memory::bytes),
            start_deadline: LOADING,
            max_restarts: supervision.restarts(),
        }
    }

    /// The forces and the stress of a potential that [`Context::open_model`] has loaded.
    ///
    /// # Errors
    /// When it has none and none can be derived.
    pub fn force_model(&self, model: Arc<OnnxModel>) -> Result<ForceModel, Failure> {
        let runtime = self.runtime(self.device()?)?;
        let forces = ForceModel::new(&runtime, model, self.cache().as_deref())?;
        forces.warning().iter().for_each(|warning| self.say(&format!("warning: {warning}")));
        Ok(forces)
    }
}
