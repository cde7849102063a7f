//! Energies and forces by the potential that ships, and the hull.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use temper::crystal::{Composition, Element, Lattice, Structure, Tokens, neighbours};
use temper::hull::{Entry, Hull, open_hull};
use temper::model::{Executor, ForceModel, ModelOptions, OnnxModel};
use temper::relax::{Cell, RelaxSettings, relax};
use temper::runtime::Device;

use super::crystals::{cores, device, drawn, runtime, shared, shipped};
use super::measure::{Effort, Measured};

/// eV/atom, as the parity tests have it.
pub const TOLERANCE: f64 = 1e-4;
/// Of 1 + the largest force, eV/A, likewise.
pub const FORCE_TOLERANCE: f64 = 5e-4;

/// A crystal with what PyTorch's CHGNet says of it.
#[derive(Deserialize)]
struct Golden {
    lattice: [[f64; 3]; 3],
    species: Vec<u8>,
    frac_coords: Vec<[f64; 3]>,
    chgnet: Reference,
}

/// MP-20's energies.
const ENTRIES: &str = "data/mp_20/hull_entries.csv.gz";

/// What PyTorch's CHGNet says of a crystal.
#[derive(Deserialize)]
pub struct Reference {
    /// eV.
    pub energy: f64,
    /// eV/A.
    pub forces: Vec<[f64; 3]>,
}

pub fn potential() -> OnnxModel {
    // A CUDA device is fed by all cores.
    let threads = if device() == Device::Cpu { 1 } else { cores() };
    let executor = Executor::new(threads).expect("threads");
    let options = ModelOptions { device: device(), ..ModelOptions::default() };
    OnnxModel::open(&runtime(), &executor, &shipped("chgnet-0.3.0"), options).expect("the potential that ships")
}

pub fn energy(effort: Effort) -> Measured {
    let model = potential();
    let (on, crystals) = crystals(effort);
    let structures: Vec<&Structure> = crystals.iter().map(|(structure, _)| structure).collect();
    let mut energies = Vec::new();
    let measured = Measured::of(effort, on, structures.len(), || energies = model.evaluate(&structures, &["energy"]));
    for ((structure, expected), energy) in crystals.iter().zip(energies) {
        let energy = energy.expect("an energy")[0];
        let per_atom = (energy - expected.as_ref().map_or(energy, |e| e.energy)) / structure.len() as f64;
        assert!(per_atom.abs() < TOLERANCE && energy.is_finite(), "off by {per_atom} eV/atom");
    }
    measured
}

/// Forces and stress, derived from the energy.
pub fn forces(effort: Effort) -> Measured {
    let model = ForceModel::new(&runtime(), Arc::new(potential()), None).expect("its derivatives");
    let (on, crystals) = crystals(effort);
    let structures: Vec<&Structure> = crystals.iter().map(|(structure, _)| structure).collect();
    let mut rows = Vec::new();
    let measured = Measured::of(effort, on, structures.len(), || rows = model.evaluate(&structures, &[]));
    for ((_, expected), row) in crystals.iter().zip(rows) {
        let (_, found) = row.expect("forces");
        let largest = found.largest_force();
        let expected = expected.as_ref().map_or(&found.forces, |reference| &reference.forces);
        let pairs = found.forces.as_flattened().iter().zip(expected.as_flattened());
        let off = pairs.map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max);
        assert!(off < FORCE_TOLERANCE * (1.0 + largest) && largest.is_finite(), "off by {off} eV/A");
    }
    measured
}

/// Thirty steps downhill at most, of atoms and cell, as a reward of relaxed crystals takes.
pub fn relaxations(effort: Effort) -> Measured {
    let model = ForceModel::new(&runtime(), Arc::new(potential()), None).expect("its derivatives");
    let crystals: Vec<Structure> =
        drawn(effort.items(50)).iter().map(|tokens| tokens.to_structure().expect("a structure")).collect();
    let structures: Vec<&Structure> = crystals.iter().collect();
    let settings = RelaxSettings { fmax: 0.1, steps: 30, cell: Cell::Relaxed, symmetry: None };
    let mut rows = Vec::new();
    let on = "drawn crystals, 30 steps at most";
    let measured = Measured::of(effort, on, structures.len(), || rows = relax(&model, &structures, &settings, &|_| ()));
    let relaxed: Vec<_> = rows.into_iter().flatten().collect();
    let lower = relaxed.iter().filter(|row| row.energy <= row.start_energy).count();
    assert!(2 * lower > structures.len(), "{lower} of {} came down", structures.len());
    measured
}

/// The neighbour lists that those energies need, which are part of their time.
pub fn lists(effort: Effort) -> Measured {
    let (on, crystals) = crystals(effort);
    let mut edges = 0;
    // Enough for a clock of 10 ms.
    let repeats = effort.items(20);
    let measured = Measured::of(effort, on, repeats * crystals.len(), || {
        edges = 0;
        for (structure, _) in (0..repeats).flat_map(|_| &crystals) {
            edges += neighbours(structure, 6.0, Some(3.0), 1_000_000).expect("a list").len();
        }
    });
    // Each bond is there in both directions, and nothing is alone.
    assert!(edges % 2 == 0 && edges >= repeats * crystals.len());
    measured
}

/// What energies and forces are measured on: crystals of which they are known, where such are there.
pub fn crystals(effort: Effort) -> (String, Vec<(Structure, Option<Reference>)>) {
    let (on, mut crystals) = match shared() {
        Some(folder) => ("golden set", golden(&folder.join("golden/mlip.dev.jsonl"))),
        None => {
            let structure = |tokens: &Tokens| (tokens.to_structure().expect("a structure"), None);
            ("drawn crystals", drawn(effort.items(150)).iter().map(structure).collect())
        }
    };
    crystals.truncate(effort.items(1000));
    let atoms: usize = crystals.iter().map(|(structure, _)| structure.len()).sum();
    (format!("{on}, {:.1} atoms on average", atoms as f64 / crystals.len() as f64), crystals)
}

fn golden(path: &Path) -> Vec<(Structure, Option<Reference>)> {
    let text = std::fs::read_to_string(path).expect("golden energies");
    let rows = text.lines().map(|line| serde_json::from_str::<Golden>(line).expect("a row"));
    let crystal = |row: Golden| {
        let species = row.species.into_iter().map(|z| Element::from_number(z).expect("an element")).collect();
        let structure = Structure::new(Lattice(row.lattice), species, row.frac_coords).expect("a structure");
        (structure, Some(row.chgnet))
    };
    rows.map(crystal).collect()
}

/// A compound with its energy and, where another program says so, its distance from the hull; eV/atom.
type Question = (Composition, f64, Option<f64>);

pub fn hull(effort: Effort) -> Measured {
    let large = shared().filter(|folder| folder.join(ENTRIES).is_file());
    let (hull, questions) = large.map_or_else(shipped_hull, |folder| large_hull(&folder));
    let questions = &questions[..questions.len().min(effort.items(5000))];
    let on = format!("{} entries, {} on the hull", hull.info().built_from, hull.info().phases);
    let mut answers = Vec::new();
    // Enough for a clock of 10 ms.
    let repeats = effort.items(10);
    let measured = Measured::of(effort, on, repeats * questions.len(), || {
        for _ in 0..repeats {
            answers = questions.iter().map(|(composition, energy, _)| hull.query(composition, *energy)).collect();
        }
    });
    for ((composition, _, expected), answer) in questions.iter().zip(answers) {
        let found = answer.expect("a distance").e_above_hull;
        let expected = expected.unwrap_or(found);
        assert!((found - expected).abs() < 1e-7, "{}: {found} and {expected}", composition.reduced_formula());
    }
    measured
}

/// MP-20's hull, and compounds with pymatgen's answers.
fn large_hull(folder: &Path) -> (Hull, Vec<Question>) {
    let hull = open_hull(&folder.join(ENTRIES), &|_, _| ()).expect("a hull").hull;
    let mut table = csv::Reader::from_path(folder.join("golden/ehull_mp20.dev.csv")).expect("pymatgen's answers");
    let question = |row: csv::StringRecord| {
        let number = |column: usize| row[column].parse::<f64>().expect("a number");
        (row[0].parse().expect("a formula"), number(1), Some(number(2)))
    };
    let questions = table.records().map(|row| question(row.expect("a row"))).collect();
    (hull, questions)
}

/// The hull that ships, and its own phases, which lie on it.
fn shipped_hull() -> (Hull, Vec<Question>) {
    let hull = open_hull(&shipped("hulls/mp-chgnet.hull"), &|_, _| ()).expect("a hull").hull;
    let question = |entry: &&Entry| (entry.composition().clone(), entry.energy_per_atom(), Some(0.0));
    let questions = hull.entries().iter().map(question).collect();
    (hull, questions)
}
