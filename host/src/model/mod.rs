//! A potential or property model behind the ONNX contract, evaluated on many crystals.
//!
//! Rows go in and rows come out: whatever is wrong with a crystal is a failure of its row and of no other. A batch whose
//! result is not finite, or that the model cannot run, is evaluated again one crystal at a time.

mod cache;
mod contract;
mod engine;
mod error;
mod feed;
mod forces;
#[cfg(test)]
pub(crate) mod testing;
mod together;

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use rayon::prelude::*;

use crate::crystal::Structure;
use crate::graph::Tensor;
use crate::runtime::{Device, Input, Runtime, Session, SessionOptions};
pub use contract::{
    Contract, ContractError, InputKind, Inspection, ModelInput, ModelOutput, Operators, OutputKind, Port, SidecarLine,
    locate_model,
};
use engine::Engine;
pub use error::{EvaluationError, ModelError};
use feed::Prepared;
pub use forces::{ForceModel, Response};
pub use together::CrystalOutputs;

/// Most edges, and most triplets, of one crystal: beyond that one crystal would need gigabytes.
const LARGEST_LIST: usize = 500_000;

/// How a model is run.
#[derive(Clone, Copy, Debug)]
pub struct ModelOptions {
    /// Where.
    pub device: Device,
    /// Threads in all; 0 takes every core.
    pub threads: usize,
    /// Edges and triplets that one batch may have; a single crystal may have more.
    pub batch_cost: usize,
    /// Budget for the activations that derivatives keep, in bytes, over all threads.
    pub memory: u64,
    /// How long the model may take for one crystal. A batch that takes longer is evaluated again one crystal at a time.
    pub deadline: Option<Duration>,
}

impl Default for ModelOptions {
    fn default() -> Self {
        Self { device: Device::Cpu, threads: 0, batch_cost: 16_384, memory: 4 << 30, deadline: None }
    }
}

impl ModelOptions {
    /// Several sessions of one thread evaluate faster than one of several, and with several ONNX Runtime 1.28 loses rows
    /// that ScatterND adds to one another (its issue 18048).
    fn session(&self) -> SessionOptions {
        SessionOptions { device: self.device, threads: 1, deadline: self.deadline, ..SessionOptions::default() }
    }
}

/// A model that has been loaded.
#[derive(Debug)]
pub struct OnnxModel {
    contract: Contract,
    engine: Engine,
    pool: Arc<rayon::ThreadPool>,
    options: ModelOptions,
}

impl OnnxModel {
    /// Reads the contract of a model's file or folder and loads it.
    ///
    /// # Errors
    /// Any [`ModelError`] but `NoQuantity` and `Ambiguous`.
    pub fn open(runtime: &Runtime, path: &Path, options: ModelOptions) -> Result<Self, ModelError> {
        let contract = Contract::read(path)?;
        let device = runtime.resolve(options.device, &|line| tracing::warn!("{line}"))?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if options.threads == 0 { cores() } else { options.threads };
        // A device other than the processor runs one batch after the other; the threads then only prepare them.
        let sessions = if matches!(device, Device::Cuda(_)) { 1 } else { threads };
        let options = ModelOptions { device, threads, ..options };
        let open = || Session::from_file(runtime, &contract.path, &options.session());
        let engine = Engine::open(sessions, &options, open)?;
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|e| ModelError::Threads { threads, reason: e.to_string() })?;
        Ok(Self { contract, engine, pool: Arc::new(pool), options })
    }

    /// What the file says about itself.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Feeds another value as `state` than the file's default.
    pub fn set_state(&mut self, state: i64) {
        self.contract.state = state;
    }

    /// Runs on the threads of another model that has as many, so that both can be asked at a time and take no more than one.
    pub fn share_threads(&mut self, other: &Self) {
        if self.pool.current_num_threads() == other.pool.current_num_threads() {
            self.pool = Arc::clone(&other.pool);
        }
    }

    /// Does other work on the model's threads.
    pub fn on_its_threads<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.pool.install(work)
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

    /// The values of `quantities` for every structure, in eV, eV/A, eV/A^3 or muB where the file declares a unit, energies
    /// of the whole cell. A row's result does not depend on the other rows (beyond float32 rounding).
    pub fn evaluate(&self, structures: &[&Structure], quantities: &[&str]) -> Vec<Result<Vec<f64>, EvaluationError>> {
        let outputs = match self.scalar_outputs(quantities) {
            Ok(outputs) => outputs,
            Err(failure) => return vec![Err(failure); structures.len()],
        };
        let rows = self.rows(&self.engine, structures, &outputs);
        rows.into_iter().map(|row| row.map(|numbers| numbers.into_iter().flatten().collect())).collect()
    }

    /// The outputs of quantities that are one number per crystal.
    fn scalar_outputs(&self, quantities: &[&str]) -> Result<Vec<&ModelOutput>, EvaluationError> {
        let scalars = self.quantities();
        let output = |quantity: &&str| {
            let found = self.contract.output(quantity).filter(|_| scalars.contains(quantity));
            found.ok_or_else(|| EvaluationError::Failed(format!("it has no output `{quantity}`")))
        };
        quantities.iter().map(output).collect()
    }

    /// The numbers of every output for every structure, in our units.
    fn rows(
        &self,
        engine: &Engine,
        structures: &[&Structure],
        outputs: &[&ModelOutput],
    ) -> Vec<Result<Row, EvaluationError>> {
        let chunk = if self.contract.one_at_a_time { 1 } else { CHUNK };
        let rows = |chunk: &[&Structure]| self.evaluate_chunk(engine, chunk, outputs);
        self.pool.install(|| structures.par_chunks(chunk).with_max_len(1).flat_map_iter(rows).collect())
    }

    /// Prepares crystals, and runs them in batches within the budget.
    fn evaluate_chunk(
        &self,
        engine: &Engine,
        structures: &[&Structure],
        outputs: &[&ModelOutput],
    ) -> Vec<Result<Row, EvaluationError>> {
        let mut results = Vec::with_capacity(structures.len());
        let mut waiting: Vec<(usize, Prepared)> = Vec::new();
        for (row, structure) in structures.iter().enumerate() {
            let prepared = feed::prepare(structure, &self.contract, LARGEST_LIST);
            match prepared.and_then(|crystal| engine.has_room_for(crystal)) {
                Ok(prepared) => {
                    results.push(Ok(Vec::new()));
                    waiting.push((row, prepared));
                }
                Err(failure) => results.push(Err(failure)),
            }
        }
        while !waiting.is_empty() {
            let taken = engine.batch_length(waiting.iter().map(|(_, crystal)| crystal.cost()));
            let rest = waiting.split_off(taken);
            let (rows, batch): (Vec<usize>, Vec<Prepared>) = std::mem::replace(&mut waiting, rest).into_iter().unzip();
            for (row, result) in rows.into_iter().zip(self.evaluate_batch(engine, &batch, outputs)) {
                results[row] = result;
            }
        }
        results
    }

    /// Runs a batch, and its crystals alone if that has no finite result.
    fn evaluate_batch(
        &self,
        engine: &Engine,
        batch: &[Prepared],
        outputs: &[&ModelOutput],
    ) -> Vec<Result<Row, EvaluationError>> {
        match self.run(engine, batch, outputs) {
            Ok(rows) if rows.iter().flatten().flatten().all(|x| x.is_finite()) => rows.into_iter().map(Ok).collect(),
            Ok(rows) if batch.len() == 1 => rows.into_iter().map(|row| finite(row, outputs)).collect(),
            Err(failure) if batch.len() == 1 => vec![Err(failure)],
            _ => batch.chunks(1).flat_map(|alone| self.evaluate_batch(engine, alone, outputs)).collect(),
        }
    }

    /// One row per crystal, as the model gives them.
    fn run(&self, engine: &Engine, batch: &[Prepared], outputs: &[&ModelOutput]) -> Result<Vec<Row>, EvaluationError> {
        let tensors: Vec<(&str, Tensor)> = self
            .contract
            .inputs
            .iter()
            .map(|input| (input.name.as_str(), feed::tensor(input, batch, self.contract.state)))
            .collect();
        let inputs: Vec<(&str, Input<'_>)> = tensors.iter().map(|(name, tensor)| (*name, tensor.into())).collect();
        let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        let worker = rayon::current_thread_index().unwrap_or(0) % engine.sessions.len();
        let mut session = engine.sessions[worker].lock().unwrap_or_else(PoisonError::into_inner);
        let results = session.run(&inputs, &names)?;
        drop(session);
        let mut rows = vec![Row::with_capacity(outputs.len()); batch.len()];
        for (output, tensor) in outputs.iter().zip(&results) {
            for (row, values) in rows.iter_mut().zip(numbers(output, tensor, batch).map_err(EvaluationError::Failed)?) {
                row.push(values);
            }
        }
        Ok(rows)
    }
}

/// The numbers of each output for one crystal.
type Row = Vec<Vec<f64>>;

/// Crystals that one worker takes at a time: the same on every machine, so that batches, and with them rounding, are too.
const CHUNK: usize = 16;

/// The numbers of each crystal, in our units.
fn numbers(output: &ModelOutput, tensor: &Tensor, batch: &[Prepared]) -> Result<Vec<Vec<f64>>, String> {
    let values: Vec<f64> = match tensor {
        Tensor::F32(values) => values.iter().map(|x| f64::from(*x) * output.factor).collect(),
        Tensor::F64(values) => values.iter().map(|x| x * output.factor).collect(),
        other => return Err(format!("output `{}` has the element type {}", output.name, other.data_type())),
    };
    let width = |crystal: &Prepared| match output.kind {
        OutputKind::Energy | OutputKind::EnergyPerAtom | OutputKind::Property => 1,
        OutputKind::MeanEigenvalue => 6,
        OutputKind::Forces => 3 * crystal.atoms(),
        OutputKind::Stress => 9,
        OutputKind::Magmoms => crystal.atoms(),
    };
    if values.len() != batch.iter().map(width).sum::<usize>() {
        let (shape, crystals) = (tensor.shape(), batch.len());
        return Err(format!("output `{}` has the shape {shape:?} for {crystals} crystals", output.name));
    }
    let mut rest = &values[..];
    let mut take = |crystal: &Prepared| {
        let (own, others) = rest.split_at(width(crystal));
        rest = others;
        match (output.kind, own) {
            (OutputKind::MeanEigenvalue, [xx, yy, zz, ..]) => vec![(xx + yy + zz) / 3.0],
            (OutputKind::EnergyPerAtom, [energy]) => vec![energy * crystal.atoms() as f64],
            (_, own) => own.to_vec(),
        }
    };
    Ok(batch.iter().map(&mut take).collect())
}

fn finite(row: Row, outputs: &[&ModelOutput]) -> Result<Row, EvaluationError> {
    for (values, output) in row.iter().zip(outputs) {
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(EvaluationError::NotFinite { output: output.quantity.clone(), value: *value });
        }
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Lattice};
    use crate::model::testing::{json_lines, runtime, shared, structure};

    fn open(name: &str) -> Option<OnnxModel> {
        let path = shared()?.join("models").join(name);
        let options = ModelOptions { threads: 2, ..ModelOptions::default() };
        Some(OnnxModel::open(&runtime(), &path, options).unwrap())
    }

    fn golden() -> Vec<serde_json::Value> {
        json_lines(&shared().unwrap().join("golden/mlip.dev.jsonl"))
    }

    /// The potential that ships; a whole path, so joining it to a folder leaves it as it is.
    const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx");

    #[test]
    fn energies_equal_those_of_the_original_chgnet() {
        for name in ["chgnet-0.3.0.onnx", "chgnet-0.3.0-fast.onnx", SHIPPED] {
            let Some(model) = open(name) else { return };
            let rows = golden();
            let structures: Vec<Structure> = rows.iter().map(structure).collect();
            let energies = model.evaluate(&structures.iter().collect::<Vec<_>>(), &["energy"]);
            assert_eq!(energies.len(), rows.len());
            for ((row, structure), energy) in rows.iter().zip(&structures).zip(energies) {
                let expected = row["chgnet"]["energy"].as_f64().unwrap();
                let deviation = (energy.unwrap()[0] - expected).abs() / structure.len() as f64;
                assert!(deviation < 1e-4, "{name}, {}: off by {deviation} eV/atom", row["id"]);
            }
        }
    }

    #[test]
    fn band_gaps_equal_those_of_the_original_megnet() {
        let Some(mut model) = open("megnet-bandgap-mfi.onnx") else { return };
        let rows: Vec<_> = golden().into_iter().filter(|row| row["megnet"].is_object()).collect();
        assert!(rows.len() > 50);
        let structures: Vec<Structure> = rows.iter().map(structure).collect();
        assert_eq!(model.quantity(None).unwrap(), "band_gap");
        for state in [0, 3] {
            model.set_state(state);
            let gaps = model.evaluate(&structures.iter().collect::<Vec<_>>(), &["band_gap"]);
            for (row, gap) in rows.iter().zip(gaps) {
                let expected = row["megnet"]["band_gap_by_state"][state as usize].as_f64().unwrap();
                let gap = gap.unwrap()[0];
                assert!((gap - expected).abs() < 2e-4, "{}, state {state}: {gap} instead of {expected}", row["id"]);
            }
        }
    }

    fn with(change: impl FnOnce(&mut Structure)) -> Structure {
        let species = vec![Element::from_symbol("Cs").unwrap(), Element::from_symbol("Cl").unwrap()];
        let lattice = Lattice([[4.1, 0.0, 0.0], [0.0, 4.1, 0.0], [0.3, 0.0, 4.2]]);
        let mut structure = Structure::new(lattice, species, vec![[0.0; 3], [0.5; 3]]).unwrap();
        change(&mut structure);
        structure
    }

    #[test]
    fn bad_rows_fail_alone() {
        let Some(model) = open("chgnet-0.3.0-fast.onnx") else { return };
        let good = with(|_| ());
        let unknown = with(|s| s.species[0] = Element::from_symbol("Am").unwrap());
        let lonely = with(|s| s.lattice = Lattice(s.lattice.0.map(|v| v.map(|x| 10.0 * x))));
        let overlap = with(|s| s.frac[1] = [1.0, -1.0, 1e-4]);
        let dense = with(|s| s.lattice = Lattice(s.lattice.0.map(|v| v.map(|x| 0.02 * x))));
        let rows = model.evaluate(&[&unknown, &good, &lonely, &overlap, &good, &dense], &["energy"]);
        let message = |row: usize| rows[row].as_ref().unwrap_err().to_string();
        assert_eq!(message(0), "the model does not know Am");
        assert_eq!(message(2), "atom 1 (Cs) has no neighbour within the model's cutoff of 6 A");
        assert_eq!(message(3), "two atoms are 0.000 A apart, closer than 0.01 A");
        assert!(message(5).contains("too dense"), "{}", message(5));
        let alone = model.evaluate(&[&good], &["energy"])[0].as_ref().unwrap()[0];
        for row in [1, 4] {
            assert!((rows[row].as_ref().unwrap()[0] - alone).abs() < 1e-5);
        }
        assert!(model.evaluate(&[], &["energy"]).is_empty());
        assert!(matches!(model.evaluate(&[&good], &["gap"])[0], Err(EvaluationError::Failed(_))));
    }

    #[test]
    fn a_left_handed_cell_is_the_same_crystal() {
        let Some(model) = open("chgnet-0.3.0-fast.onnx") else { return };
        let right = with(|s| s.frac[1] = [0.4, 0.55, 0.7]);
        let left = with(|s| {
            s.frac[1] = [0.4, 0.7, 0.55];
            s.lattice.0.swap(1, 2);
        });
        assert!(left.lattice.signed_volume() < 0.0);
        let energies = model.evaluate(&[&right, &left], &["energy"]);
        let [right, left] = [0, 1].map(|row: usize| energies[row].as_ref().unwrap()[0]);
        assert!((right - left).abs() < 1e-5, "{right} {left}");
    }

    #[test]
    fn a_quantity_must_exist_and_be_meant() {
        let Some(model) = open("chgnet-0.3.0-efs.onnx") else { return };
        assert_eq!(model.quantities(), ["energy"]);
        assert!(model.quantity(Some("forces")).unwrap_err().to_string().ends_with("it has energy"));
    }
}
