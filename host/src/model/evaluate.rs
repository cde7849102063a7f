//! Evaluation of many crystals.
//!
//! Rows go in and rows come out: whatever is wrong with a crystal is an error of its row and of no other. A batch whose
//! result is not finite, or that the model cannot run, is evaluated again one crystal at a time.

use rayon::prelude::*;

use super::engine::Engine;
use super::graph_inputs::AtomGraph;
use super::{EvaluationError, LARGEST_LIST, ModelOutput, OnnxModel, OutputKind};
use crate::crystal::{Structure, map_ok};
use crate::graph::Tensor;
use crate::ranks::Ranks;
use crate::runtime::Device;

impl OnnxModel {
    /// The values of `quantities` for every structure, in eV, eV/A, eV/A^3 or muB where the file declares a unit, energies
    /// of the whole cell. A row's result does not depend on the other rows (beyond float32 rounding).
    pub fn evaluate(&self, structures: &[&Structure], quantities: &[&str]) -> Vec<Result<Vec<f64>, EvaluationError>> {
        self.evaluate_among(self.options.ranks, structures, quantities)
    }

    /// The same by some ranks.
    pub(super) fn evaluate_among(
        &self,
        ranks: Ranks,
        structures: &[&Structure],
        quantities: &[&str],
    ) -> Vec<Result<Vec<f64>, EvaluationError>> {
        let outputs = match self.scalar_outputs(quantities) {
            Ok(outputs) => outputs,
            Err(failure) => return vec![Err(failure); structures.len()],
        };
        let rows = self.rows(&self.engine, structures, &outputs, ranks);
        rows.into_iter().map(|row| row.map(|numbers| numbers.into_iter().flatten().collect())).collect()
    }

    /// The outputs of quantities that are one number per crystal.
    pub(super) fn scalar_outputs(&self, quantities: &[&str]) -> Result<Vec<&ModelOutput>, EvaluationError> {
        let scalars = self.quantities();
        let output = |quantity: &&str| {
            let found = self.contract.output(quantity).filter(|_| scalars.contains(quantity));
            found.ok_or_else(|| EvaluationError::Failed(format!("it has no output `{quantity}`")))
        };
        quantities.iter().map(output).collect()
    }

    /// The numbers of every output for every structure, in our units, each computed by one of `ranks`.
    pub(super) fn rows(
        &self,
        engine: &Engine,
        structures: &[&Structure],
        outputs: &[&ModelOutput],
        ranks: Ranks,
    ) -> Vec<Result<OutputRow, EvaluationError>> {
        let chunk = match self.options.device {
            _ if self.contract.one_at_a_time => 1,
            Device::Cuda(_) => CUDA_CHUNK,
            Device::Auto | Device::Cpu => CHUNK,
        };
        let rows = |chunk: &[&Structure]| self.evaluate_chunk(engine, chunk, outputs);
        ranks.share(structures, chunk, |own| {
            self.executor.run(|| own.par_chunks(chunk).with_max_len(1).flat_map_iter(rows).collect())
        })
    }

    /// Prepares crystals, and runs them in batches within the budget.
    fn evaluate_chunk(
        &self,
        engine: &Engine,
        structures: &[&Structure],
        outputs: &[&ModelOutput],
    ) -> Vec<Result<OutputRow, EvaluationError>> {
        let graph = |structure: &&Structure| {
            AtomGraph::new(structure, &self.contract, LARGEST_LIST).and_then(|graph| engine.has_room_for(graph))
        };
        map_ok(structures.iter().map(graph).collect(), |graphs| {
            let (mut results, mut waiting) = (Vec::with_capacity(graphs.len()), &graphs[..]);
            while !waiting.is_empty() {
                let length = engine.batch_length(waiting.iter().map(AtomGraph::cost));
                let (batch, rest) = waiting.split_at(length);
                results.extend(self.evaluate_batch(engine, batch, outputs));
                waiting = rest;
            }
            results
        })
    }

    /// Runs a batch, and its crystals alone if that has no finite result.
    fn evaluate_batch(
        &self,
        engine: &Engine,
        batch: &[AtomGraph],
        outputs: &[&ModelOutput],
    ) -> Vec<Result<OutputRow, EvaluationError>> {
        match self.run(engine, batch, outputs) {
            Ok(rows) if rows.iter().flatten().flatten().all(|x| x.is_finite()) => rows.into_iter().map(Ok).collect(),
            Ok(rows) if batch.len() == 1 => rows.into_iter().map(|row| finite(row, outputs)).collect(),
            Err(failure) if batch.len() == 1 => vec![Err(failure)],
            _ => batch.chunks(1).flat_map(|alone| self.evaluate_batch(engine, alone, outputs)).collect(),
        }
    }

    /// One row per crystal, as the model gives them.
    pub(super) fn run(
        &self,
        engine: &Engine,
        batch: &[AtomGraph],
        outputs: &[&ModelOutput],
    ) -> Result<Vec<OutputRow>, EvaluationError> {
        engine.run(&self.contract, batch, outputs)
    }
}

/// The numbers of each output for one crystal.
pub(super) type OutputRow = Vec<Vec<f64>>;

/// Crystals that one worker takes at a time: the same on every machine, so that batches, and with them rounding, are too.
const CHUNK: usize = 16;
/// On a CUDA device, which runs one batch at a time and takes about as long for a small one as for a larger one.
const CUDA_CHUNK: usize = 256;

/// The numbers of each crystal, in our units.
pub(super) fn numbers(output: &ModelOutput, tensor: &Tensor, batch: &[AtomGraph]) -> Result<Vec<Vec<f64>>, String> {
    let values: Vec<f64> = match tensor {
        Tensor::F32(values) => values.iter().map(|x| f64::from(*x) * output.factor).collect(),
        Tensor::F64(values) => values.iter().map(|x| x * output.factor).collect(),
        other => return Err(format!("output `{}` has the element type {}", output.name, other.data_type())),
    };
    let width = |crystal: &AtomGraph| match output.kind {
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
    let mut take = |crystal: &AtomGraph| {
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

fn finite(row: OutputRow, outputs: &[&ModelOutput]) -> Result<OutputRow, EvaluationError> {
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
    use crate::model::{Executor, ModelOptions};

    fn open(name: &str) -> Option<OnnxModel> {
        let path = shared()?.join("models").join(name);
        let executor = Executor::new(2).unwrap();
        Some(OnnxModel::open(&runtime(), &executor, &path, ModelOptions::default()).unwrap())
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
}
