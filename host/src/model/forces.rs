//! Forces and stress of a potential: its own, or derived from its energy.

use std::path::Path;
use std::sync::Arc;

use super::derived::{ADDED, DerivedGraph, length_factor};
use super::engine::Engine;
use super::{EvaluationError, ModelError, ModelOutput, OnnxModel, OutputKind, verify};
use crate::crystal::{Repeats, Structure};
use crate::ranks::Ranks;
use crate::runtime::Runtime;

/// A potential with forces and stress.
#[derive(Debug)]
pub struct ForceModel {
    model: Arc<OnnxModel>,
    /// The potential with its derivatives, unless it has them itself.
    derived: Option<Engine>,
    forces: ModelOutput,
    stress: ModelOutput,
    /// The processes that share the crystals.
    ranks: Ranks,
}

/// How a crystal's energy changes as its atoms move and its cell is strained.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Force on each atom, eV/A.
    pub forces: Vec<[f64; 3]>,
    /// Derivative of the energy by strain over the volume, eV/A^3, sign as in ASE: negative where the crystal would expand.
    pub stress: [[f64; 3]; 3],
}

impl Response {
    /// Of a whole cell, from that of the smaller one that it repeats.
    pub fn of_whole(self, repeats: &Repeats) -> Self {
        Self { forces: repeats.of_all_atoms(&self.forces), stress: self.stress }
    }

    /// Length of the largest force, eV/A.
    pub fn largest_force(&self) -> f64 {
        self.force_magnitudes().fold(0.0, f64::max)
    }

    /// Magnitude of the force on each atom, eV/A.
    pub fn force_magnitudes(&self) -> impl ExactSizeIterator<Item = f64> {
        self.forces.iter().map(|force| force.iter().map(|x| x * x).sum::<f64>().sqrt())
    }

    /// Largest magnitude of a component of the stress, eV/A^3.
    pub fn largest_stress(&self) -> f64 {
        self.voigt().into_iter().fold(0.0, |largest, component| largest.max(component.abs()))
    }

    /// Hydrostatic pressure, eV/A^3: positive where the crystal would expand.
    pub fn pressure(&self) -> f64 {
        -(self.stress[0][0] + self.stress[1][1] + self.stress[2][2]) / 3.0
    }

    /// The stress as xx, yy, zz, yz, xz, xy, eV/A^3.
    pub fn voigt(&self) -> [f64; 6] {
        let [[xx, xy, xz], [_, yy, yz], [.., zz]] = self.stress;
        [xx, yy, zz, yz, xz, xy]
    }
}

impl ForceModel {
    /// Takes the potential's own forces and stress, or differentiates its energy. A derived graph is stored in the folder
    /// `cache`, if one is given, so that each file is differentiated only once.
    ///
    /// # Errors
    /// [`ModelError::NoForces`] when the model is no potential or cannot be differentiated, and what loading a model may give.
    pub fn new(runtime: &Runtime, model: Arc<OnnxModel>, cache: Option<&Path>) -> Result<Self, ModelError> {
        let contract = model.contract();
        let own = |quantity| contract.output(quantity).cloned();
        // The graph differentiates by the file's unit of length, and divides by its volume in that.
        let length = length_factor(contract);
        let added = |i: usize, quantity: &str, kind, factor| ModelOutput {
            name: ADDED[i].into(),
            quantity: quantity.into(),
            kind,
            factor,
            unit: None,
        };
        let (forces, stress) = (own("forces"), own("stress"));
        let derived = match (&forces, &stress) {
            (Some(_), Some(_)) => None,
            _ => Some(DerivedGraph::of(contract, cache)?),
        };
        let forces = forces.unwrap_or_else(|| added(0, "forces", OutputKind::Forces, length));
        let stress = stress.unwrap_or_else(|| added(1, "stress", OutputKind::Stress, length.powi(3)));
        let engine = |graph: &DerivedGraph| {
            Engine::of_derivatives(runtime, &model, graph.bytes.clone(), &graph.extra, &[&forces, &stress])
        };
        let engine = derived.as_ref().map(engine).transpose()?;
        // Another rank may find the graph in the cache and verify nothing.
        let model = Self { model, derived: engine, forces, stress, ranks: Ranks::one() };
        if let Some(fresh) = derived.filter(|graph| !graph.from_cache) {
            verify::against_differences(&model)?;
            fresh.store(cache);
        }
        Ok(Self { ranks: model.model.options.ranks, ..model })
    }

    /// What a user should know although there are forces.
    pub fn warning(&self) -> Option<String> {
        let how = self.derived.as_ref()?.dies.as_ref().filter(|_| self.model.engine.dies.is_none())?;
        let path = self.model.contract.path.display();
        Some(format!("{path}: with forces, {how}; they are computed in processes of their own"))
    }

    /// The potential.
    pub fn model(&self) -> &Arc<OnnxModel> {
        &self.model
    }

    /// Forces and stress as outputs, whether they are the file's own or derived.
    pub fn outputs(&self) -> [&ModelOutput; 2] {
        [&self.forces, &self.stress]
    }

    /// Whether the file gives forces and stress itself, so that one run gives them and its other outputs.
    pub fn has_its_own(&self) -> bool {
        self.derived.is_none()
    }

    /// As [`OnnxModel::evaluate`], with forces and stress.
    pub fn evaluate(
        &self,
        structures: &[&Structure],
        quantities: &[&str],
    ) -> Vec<Result<(Vec<f64>, Response), EvaluationError>> {
        let mut outputs = match self.model.scalar_outputs(quantities) {
            Ok(outputs) => outputs,
            Err(failure) => return vec![Err(failure); structures.len()],
        };
        outputs.extend([&self.forces, &self.stress]);
        let engine = self.derived.as_ref().unwrap_or(&self.model.engine);
        let rows = self.model.rows(engine, structures, &outputs, self.ranks);
        rows.into_iter().map(|row| row.and_then(|numbers| response(numbers, quantities.len()))).collect()
    }
}

/// Takes a row apart: `scalars` numbers, the forces, the stress.
fn response(mut numbers: Vec<Vec<f64>>, scalars: usize) -> Result<(Vec<f64>, Response), EvaluationError> {
    let vectors: Vec<f64> = numbers.drain(scalars..).flatten().collect();
    let mut forces = vectors.as_chunks::<3>().0.to_vec();
    let stress = forces.len().checked_sub(3).map(|atoms| forces.split_off(atoms));
    let stress = stress.and_then(|rows| rows.try_into().ok());
    let stress = stress.ok_or_else(|| EvaluationError::Failed("it gave no stress".into()))?;
    Ok((numbers.into_iter().flatten().collect(), Response { forces, stress }))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::crystal::{Element, Lattice};
    use crate::graph;
    use crate::model::derived::potential;
    use crate::model::testing::{json_lines, runtime, shared, structure};
    use crate::model::{Contract, Executor, ModelOptions, cache};

    /// The potential that ships.
    fn shipped() -> PathBuf {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx").into()
    }

    fn open(path: &Path, memory: u64) -> Arc<OnnxModel> {
        let options = ModelOptions { memory, ..ModelOptions::default() };
        Arc::new(OnnxModel::open(&runtime(), &Executor::new(2).unwrap(), path, options).unwrap())
    }

    fn forces_of(path: &Path, cache: Option<&Path>) -> Result<ForceModel, ModelError> {
        ForceModel::new(&runtime(), open(path, 4 << 30), cache)
    }

    /// Crystals of low symmetry, two of them with short bonds and so with triplets.
    fn crystals() -> Vec<Structure> {
        let crystal = |cell, atoms: &[(&str, [f64; 3])]| {
            let species = atoms.iter().map(|(symbol, _)| Element::from_symbol(symbol).unwrap()).collect();
            Structure::new(Lattice(cell), species, atoms.iter().map(|(_, frac)| *frac).collect()).unwrap()
        };
        vec![
            crystal(
                [[4.0, 0.1, 0.0], [0.0, 4.3, 0.2], [0.3, 0.0, 4.1]],
                &[("Cs", [0.0; 3]), ("Cl", [0.45, 0.55, 0.5])],
            ),
            crystal([[2.5, 0.0, 0.3], [1.2, 2.2, 0.0], [0.0, 0.2, 2.4]], &[("Fe", [0.3, 0.1, 0.2])]),
            crystal(
                [[3.7, 0.0, 0.0], [0.3, 3.9, 0.1], [0.0, 0.2, 4.1]],
                &[
                    ("Sr", [0.02, 0.0, 0.0]),
                    ("Ti", [0.5, 0.53, 0.49]),
                    ("O", [0.5, 0.5, 0.04]),
                    ("O", [0.49, 0.0, 0.5]),
                    ("O", [0.0, 0.5, 0.52]),
                ],
            ),
        ]
    }

    fn refs(structures: &[Structure]) -> Vec<&Structure> {
        structures.iter().collect()
    }

    fn distance(a: &[f64], b: &[f64]) -> f64 {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
    }

    /// Against PyTorch's CHGNet, crystal by crystal; also the file that has forces and stress of its own.
    #[test]
    fn forces_and_stress_equal_those_of_the_original_chgnet() {
        let Some(shared) = shared() else { return };
        let file = |name: &str| shared.join("models").join(name);
        let rows = json_lines(&shared.join("golden/mlip.dev.jsonl"));
        let files = [
            (shipped(), 1),
            (file("chgnet-0.3.0.onnx"), 5),
            (file("chgnet-0.3.0-fast.onnx"), 5),
            (file("chgnet-0.3.0-efs.onnx"), 5),
        ];
        for (path, step) in files {
            let model = forces_of(&path, None).unwrap();
            assert_eq!(model.derived.is_none(), path.ends_with("chgnet-0.3.0-efs.onnx"));
            let rows: Vec<_> = rows.iter().step_by(step).collect();
            let structures: Vec<Structure> = rows.iter().map(|row| structure(row)).collect();
            let mut worst = [0.0_f64; 2];
            for ((row, structure), found) in
                rows.iter().zip(&structures).zip(model.evaluate(&refs(&structures), &["energy"]))
            {
                let (energy, found) = found.unwrap();
                let golden = &row["chgnet"];
                let vectors = |key: &str| -> Vec<[f64; 3]> { serde_json::from_value(golden[key].clone()).unwrap() };
                let (forces, stress) = (vectors("forces"), vectors("stress"));
                let largest = forces.as_flattened().iter().fold(0.0_f64, |m, f| m.max(f.abs()));
                let off = [
                    distance(found.forces.as_flattened(), forces.as_flattened()) / (1.0 + largest),
                    distance(found.stress.as_flattened(), stress.as_flattened()),
                ];
                assert!(off.iter().all(|x| *x <= 5e-4), "{}, {}: {off:?}", path.display(), row["id"]);
                let per_atom = (energy[0] - golden["energy"].as_f64().unwrap()) / structure.len() as f64;
                assert!(per_atom.abs() < 1e-4, "{}: {per_atom} eV/atom", row["id"]);
                worst = [worst[0].max(off[0]), worst[1].max(off[1])];
            }
            println!("{}: forces/(1 + largest) and stress off by at most {worst:?}", path.display());
        }
    }

    /// Energy of one crystal, eV.
    fn energy(model: &ForceModel, structure: &Structure) -> f64 {
        model.model().evaluate(&[structure], &["energy"])[0].as_ref().unwrap()[0]
    }

    #[test]
    fn forces_and_stress_of_the_potential_that_ships_equal_differences_of_its_energy() {
        let model = forces_of(&shipped(), None).unwrap();
        let structures = crystals();
        // Wide enough for float32; the term of third order falls out (Richardson's extrapolation).
        let difference = |moved: &dyn Fn(f64) -> Structure| {
            let slope = |h: f64| (energy(&model, &moved(h)) - energy(&model, &moved(-h))) / (2.0 * h);
            (4.0 * slope(0.02) - slope(0.04)) / 3.0
        };
        for (structure, found) in structures.iter().zip(model.evaluate(&refs(&structures), &[])) {
            let found = found.unwrap().1;
            for (atom, k) in [(0, 0), (0, 1), (structure.len() - 1, 2)] {
                let along = |h| std::array::from_fn(|axis| if axis == k { h } else { 0.0 });
                let expected = -difference(&|h| structure.displaced(atom, along(h)));
                let force = found.forces[atom][k];
                assert!(
                    (force - expected).abs() < 4e-3 * (1.0 + expected.abs()),
                    "force {force}, differences {expected}"
                );
            }
            for (i, j) in [(0, 0), (1, 2), (2, 2)] {
                let strained = |h: f64| structure.strained([i, j], 0.5 * h);
                let expected = 2.0 * difference(&strained) / structure.lattice.volume();
                let stress = found.stress[i][j];
                assert!(
                    (stress - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                    "stress {stress}, differences {expected}"
                );
                assert_eq!(stress, found.stress[j][i]);
            }
        }
    }

    #[test]
    fn a_left_handed_or_shifted_description_has_the_same_forces_and_stress() {
        let model = forces_of(&shipped(), None).unwrap();
        let one = crystals().remove(2);
        let mut other = one.clone();
        other.lattice.0.swap(0, 1);
        other.frac.iter_mut().for_each(|frac| frac.swap(0, 1));
        other.frac[3][1] -= 2.0;
        assert!(other.lattice.signed_volume() < 0.0);
        let rows = model.evaluate(&[&one, &other], &[]);
        let [one, other] = [0, 1].map(|row: usize| rows[row].as_ref().unwrap().1.clone());
        assert!(distance(one.forces.as_flattened(), other.forces.as_flattened()) < 2e-4);
        assert!(distance(one.stress.as_flattened(), other.stress.as_flattened()) < 2e-5);
        assert!((one.pressure() + (one.voigt()[..3].iter().sum::<f64>()) / 3.0).abs() < 1e-12);
    }

    /// A sidecar's unit scales the energy, so forces and stress with it.
    #[test]
    fn a_declared_unit_scales_forces_and_stress() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy.onnx");
        std::fs::copy(shipped(), &copy).unwrap();
        std::fs::write(folder.path().join("copy.toml"), "unit.energy = \"Ha\"\n").unwrap();
        let structures = crystals();
        let of = |path: &Path| forces_of(path, None).unwrap().evaluate(&refs(&structures), &["energy"]);
        for (plain, scaled) in of(&shipped()).into_iter().zip(of(&copy)) {
            let ((energy, plain), (larger, scaled)) = (plain.unwrap(), scaled.unwrap());
            assert!((larger[0] / energy[0] - 27.211_386).abs() < 1e-4);
            let scale = |x: &f64| 27.211_386 * x;
            let forces: Vec<f64> = plain.forces.as_flattened().iter().map(scale).collect();
            let stress: Vec<f64> = plain.stress.as_flattened().iter().map(scale).collect();
            assert!(distance(&forces, scaled.forces.as_flattened()) < 1e-3);
            assert!(distance(&stress, scaled.stress.as_flattened()) < 1e-3);
        }
    }

    #[test]
    fn what_is_derived_is_kept_and_a_damaged_entry_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let contract = Contract::read(&shipped()).unwrap();
        let derived = |cache: &Path| {
            let graph = DerivedGraph::of(&contract, Some(cache)).unwrap();
            if !graph.from_cache {
                graph.store(Some(cache));
            }
            graph.bytes
        };
        let made = derived(folder.path());
        let entries: Vec<_> = std::fs::read_dir(folder.path().join("derived")).unwrap().flatten().collect();
        let [entry] = &entries[..] else { panic!("{entries:?}") };
        let whole = std::fs::read(entry.path()).unwrap();
        assert!(whole.ends_with(&made));
        // That the entry is read at all: one with another graph and its checksum is believed.
        let key = cache::Key::new([&std::fs::read(shipped()).unwrap()[..]], &potential(&contract).unwrap().0);
        cache::store(folder.path(), &key, b"other").unwrap();
        assert_eq!(derived(folder.path()), b"other");
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for damaged in [&whole[..whole.len() - 1], &flipped, b""] {
            std::fs::write(entry.path(), damaged).unwrap();
            assert!(derived(folder.path()) == made);
            assert!(std::fs::read(entry.path()).unwrap() == whole);
        }
        // Nor is a folder that cannot be written a reason to stop.
        assert!(derived(Path::new("/dev/null")) == made);
    }

    #[test]
    fn a_crystal_beyond_the_memory_budget_fails_alone() {
        let model = ForceModel::new(&runtime(), open(&shipped(), 5 << 20), None).unwrap();
        let structures = crystals();
        let rows = model.evaluate(&refs(&structures), &[]);
        let kinds: Vec<&str> = rows.iter().map(|row| row.as_ref().map_or_else(|e| e.kind(), |_| "ok")).collect();
        assert_eq!(kinds, ["ok", "ok", "too large"]);
    }

    /// The derived graph has operators that CUDA lacks; what stands for them gives the same forces, with triplets and without.
    #[test]
    fn forces_and_stress_are_the_same_as_they_are_made_for_cuda() {
        let mut model = forces_of(&shipped(), None).unwrap();
        let derived = DerivedGraph::of(model.model.contract(), None).unwrap();
        let prepared = graph::for_cuda(&graph::decode_own(&derived.bytes).unwrap()).unwrap();
        assert!(prepared.obstacles.is_empty(), "{:?}", prepared.obstacles);
        let structures = crystals();
        let structures = refs(&structures);
        let evaluate = |model: &ForceModel| {
            let each = structures.iter().flat_map(|one| model.evaluate(&[*one], &["energy"]));
            each.chain(model.evaluate(&structures, &["energy"])).map(Result::unwrap).collect::<Vec<_>>()
        };
        let own = evaluate(&model);
        let bytes = graph::encode(&prepared.rewritten.unwrap());
        let outputs = [&model.forces, &model.stress];
        model.derived =
            Some(Engine::of_derivatives(&runtime(), &model.model, bytes, &derived.extra, &outputs).unwrap());
        for ((energy, own), (other_energy, other)) in own.into_iter().zip(evaluate(&model)) {
            assert!((energy[0] - other_energy[0]).abs() < 1e-5 * energy[0].abs());
            assert!(
                distance(own.forces.as_flattened(), other.forces.as_flattened()) < 2e-5 * (1.0 + own.largest_force())
            );
            let stress = own.stress.as_flattened();
            let largest = stress.iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
            assert!(distance(stress, other.stress.as_flattened()) < 1e-5 * (1.0 + largest));
        }
    }

    #[test]
    fn what_is_no_potential_is_refused() {
        let Some(shared) = shared() else { return };
        let path = shared.join("models/megnet-bandgap-mfi.onnx");
        let refused = forces_of(&path, None).unwrap_err().to_string();
        assert!(
            refused.ends_with("megnet-bandgap-mfi.onnx: no forces: it gives no `energy`, so it is not a potential"),
            "{refused}"
        );
    }
}
