//! A potential or property model that has been loaded.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::engine::Engine;
use super::first_look::Ports;
use super::graph_source::GraphSource;
use super::model_file::ModelFile;
use super::{Contract, ContractError, Executor, Isolation, ModelError, ModelOutput, ModelProcesses, OutputKind};
use crate::ranks::Ranks;
use crate::runtime::{Device, Runtime, SessionOptions};

/// How a model is run.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Where.
    pub device: Device,
    /// Edges and triplets that one batch on the CPU may have; a single crystal may have more.
    pub batch_cost: usize,
    /// Budget for the activations that derivatives keep, in bytes, over all threads; on a CUDA device, for every batch.
    pub memory: u64,
    /// How long the model may take for one crystal. A batch that takes longer is evaluated again one crystal at a time.
    pub deadline: Option<Duration>,
    /// Where it runs as the user wants it; `None`: in this process, unless it killed the one in which it was first looked at.
    pub isolation: Option<Isolation>,
    /// Processes for it; `None`: it runs in this one, whatever else is said, and is not looked at first.
    pub processes: Option<ModelProcesses>,
    /// The processes that share the crystals: all must ask the same of the model, in the same order.
    pub ranks: Ranks,
}

/// Memory that an edge or triplet is taken to need in a batch on a CUDA device, bytes. CHGNet's energies take an eighth of it; of
/// other potentials nothing is known.
const CUDA_BYTES_PER_COST: u64 = 16_000;

impl Default for ModelOptions {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            batch_cost: 16_384,
            memory: 4 << 30,
            deadline: None,
            isolation: None,
            processes: None,
            ranks: Ranks::one(),
        }
    }
}

impl ModelOptions {
    pub(super) fn session(&self) -> SessionOptions {
        session_options(self.device, self.deadline)
    }
}

/// Several sessions of one thread evaluate faster than one of several, and with several ONNX Runtime 1.28 loses rows
/// that ScatterND adds to one another (its issue 18048).
pub(super) fn session_options(device: Device, deadline: Option<Duration>) -> SessionOptions {
    SessionOptions { device, threads: 1, deadline, ..SessionOptions::default() }
}

/// Identity of a model that has been loaded: no two have the same in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ModelId(u64);

impl ModelId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A model that has been loaded.
#[derive(Debug)]
pub struct OnnxModel {
    id: ModelId,
    pub(super) contract: Contract,
    pub(super) engine: Engine,
    pub(super) executor: Executor,
    pub(super) options: ModelOptions,
}

impl OnnxModel {
    /// Reads the contract of a model's file or folder and loads it; it will run on the executor's threads.
    ///
    /// # Errors
    /// [`ModelError::Contract`] or [`ModelError::Runtime`].
    pub fn open(
        runtime: &Runtime,
        executor: &Executor,
        path: &Path,
        options: ModelOptions,
    ) -> Result<Self, ModelError> {
        Self::with_contract(runtime, executor, Contract::read(path)?, options)
    }

    /// As [`Self::open`], with a contract that is not that of the file as it stands.
    pub(super) fn with_contract(
        runtime: &Runtime,
        executor: &Executor,
        mut contract: Contract,
        options: ModelOptions,
    ) -> Result<Self, ModelError> {
        let device = runtime.resolve(options.device, &|line| tracing::warn!("{line}"))?;
        // A device other than the processor runs one batch after the other; the threads then only prepare them.
        let sessions = if matches!(device, Device::Cuda(_)) { 1 } else { executor.threads() };
        let batch_cost = match device {
            Device::Cuda(_) => usize::try_from(options.memory / CUDA_BYTES_PER_COST).unwrap_or(usize::MAX),
            Device::Auto | Device::Cpu => options.batch_cost,
        };
        let mut options = ModelOptions { device, batch_cost, ..options };
        let rewritten = ModelFile::read(&contract.path)?.for_runtime();
        let bytes = rewritten.map_err(|error| ContractError::of_graph(&contract.path, error))?;
        let (name, path) = (contract.path.display().to_string(), contract.path.clone());
        let outputs: Vec<&ModelOutput> = contract.outputs.iter().collect();
        let ports = Ports { contract: &contract, extra: &[], outputs: &outputs };
        let engine = Engine::open(runtime, &GraphSource { name, path, bytes }, &ports, sessions, &options)?;
        if let Some(how) = &engine.dies {
            let path = contract.path.display();
            contract.warnings.push(format!("{path}: {how}; the model runs in processes of its own"));
            // So do its derivatives.
            options.isolation = Some(Isolation::Process);
        }
        Ok(Self { id: ModelId::next(), contract, engine, executor: executor.clone(), options })
    }

    /// Tells it from every other model that this process has loaded.
    pub fn id(&self) -> ModelId {
        self.id
    }

    /// What the file says about itself.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Feeds another value as `state` than the file's default.
    pub fn set_state(&mut self, state: i64) {
        self.contract.state = state;
    }

    /// Names of the outputs that give one number per crystal.
    pub fn quantities(&self) -> Vec<&str> {
        let scalar = |o: &&ModelOutput| {
            use OutputKind::{Energy, EnergyPerAtom, MeanEigenvalue, Property};
            matches!(o.kind, Energy | EnergyPerAtom | Property | MeanEigenvalue)
        };
        self.contract.outputs.iter().filter(scalar).map(|o| o.quantity.as_str()).collect()
    }

    /// The quantity that is meant: the one named, or the only one there is.
    ///
    /// # Errors
    /// [`ModelError::NoQuantity`] or [`ModelError::Ambiguous`].
    pub fn quantity(&self, named: Option<&str>) -> Result<String, ModelError> {
        let quantities = self.quantities();
        let (model, known) = (self.contract.path.display().to_string(), quantities.join(", "));
        match (named, &quantities[..]) {
            (Some(name), _) if quantities.contains(&name) => Ok(name.into()),
            (None, [only]) => Ok((*only).into()),
            (Some(name), _) => Err(ModelError::NoQuantity { model, quantity: name.into(), known }),
            (None, []) => Err(ModelError::NoQuantity { model, quantity: "of any name".into(), known: "none".into() }),
            (None, _) => Err(ModelError::Ambiguous { model, known }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{runtime, shared};

    #[test]
    fn a_quantity_must_exist_and_be_meant() {
        let Some(shared) = shared() else { return };
        let (executor, path) = (Executor::new(1).unwrap(), shared.join("models/chgnet-0.3.0-efs.onnx"));
        let open = || OnnxModel::open(&runtime(), &executor, &path, ModelOptions::default()).unwrap();
        let model = open();
        assert_ne!(model.id(), open().id());
        assert_eq!(model.quantities(), ["energy"]);
        assert!(model.quantity(Some("forces")).unwrap_err().to_string().ends_with("it has energy"));
    }
}
