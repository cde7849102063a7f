//! From a file of structures to tokens.

use std::path::{Path, PathBuf};

use temper::crystal::{
    Record, Structure, Tokens, read_pairs, read_structures, tokenise as tokens_of, write_structures,
};
use temper::matching::StructureMatcher;

use super::crystals::{drawn, shared};
use super::measure::{Effort, Measured};

/// Of the symmetry search, angstrom: the reference's.
const SYMPREC: f64 = 0.01;

pub fn tokenise(effort: Effort) -> Measured {
    let folder = tempfile::tempdir().expect("a folder");
    let (on, path) = match shared() {
        Some(shared) => ("MP-20, CSV of CIFs", shared.join("data/mp_20/train_part.csv.gz")),
        None => ("drawn crystals", cif_of_drawn_crystals(effort, folder.path())),
    };
    let count = effort.items(3420).min(structures(&path).count());
    let mut tokens = Vec::new();
    let measured = Measured::of(effort, on, count, || {
        tokens = structures(&path).take(count).map(|s| tokens_of(&s, SYMPREC).expect("tokens")).collect();
    });
    // The same atoms in the same volume.
    for (structure, tokens) in structures(&path).zip(tokens) {
        let density = |s: &Structure| s.len() as f64 / s.lattice.volume();
        let ratio = density(&tokens.to_structure().expect("a structure")) / density(&structure);
        assert!((ratio - 1.0).abs() < 1e-2, "{tokens:?} has {ratio} of the density");
    }
    measured
}

/// Expanding what a policy drew to all atoms.
pub fn decode(effort: Effort) -> Measured {
    let tokens = drawn(effort.items(200));
    let mut atoms = 0;
    // Enough for a clock of 10 ms.
    let repeats = effort.items(100);
    let measured = Measured::of(effort, "drawn crystals", repeats * tokens.len(), || {
        let crystals = (0..repeats).flat_map(|_| &tokens).map(|t| t.to_structure().expect("a structure"));
        atoms = crystals.map(|structure| structure.len()).sum();
    });
    let expected: usize = tokens.iter().map(|t| t.num_atoms().expect("atoms")).sum();
    assert_eq!(atoms, repeats * expected);
    measured
}

/// Pairs of structures, reduced and compared: both the verdict and the distances, as `temper match` gives them.
pub fn matched(effort: Effort) -> Measured {
    let (on, mut pairs) = match shared() {
        Some(shared) => ("pairs of the golden set", golden_pairs(&shared.join("golden/structure_matcher.dev.jsonl"))),
        None => ("drawn crystals, each beside itself", drawn(effort.items(300)).iter().map(twins).collect()),
    };
    pairs.truncate(effort.items(300));
    let matcher = StructureMatcher::default();
    let mut verdicts = Vec::new();
    let measured = Measured::of(effort, on, pairs.len(), || {
        let reduce = |structure: &Structure| matcher.reduce(structure).expect("a reduced structure");
        let compare = |([first, second], _): &([Structure; 2], bool)| {
            let (first, second) = (reduce(first), reduce(second));
            (matcher.fit(&first, &second), matcher.displacement(&first, &second))
        };
        verdicts = pairs.iter().map(compare).collect();
    });
    for ((_, expected), (fit, displacement)) in pairs.iter().zip(verdicts) {
        assert!(fit == *expected && (displacement.is_some() || !fit), "{expected} expected");
    }
    measured
}

/// Pairs, and pymatgen's verdicts.
fn golden_pairs(path: &Path) -> Vec<([Structure; 2], bool)> {
    let text = std::fs::read_to_string(path).expect("pairs");
    let verdicts =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line")["fit"] == true);
    let records = read_pairs(path).expect("pairs").map(|record| record.expect("a row").pair);
    records.zip(verdicts).filter_map(|(pair, fit)| Some((pair.ok()?, fit))).collect()
}

fn twins(tokens: &Tokens) -> ([Structure; 2], bool) {
    let structure = tokens.to_structure().expect("a structure");
    ([structure.clone(), structure], true)
}

fn structures(path: &Path) -> impl Iterator<Item = Structure> {
    let records = read_structures(path).expect("structures");
    records.map(|record| record.expect("a row").structure.expect("a structure"))
}

fn cif_of_drawn_crystals(effort: Effort, folder: &Path) -> PathBuf {
    let path = folder.join("drawn.cif");
    let record = |tokens: &Tokens| Record {
        id: "drawn".into(),
        line: 1,
        structure: Ok(tokens.to_structure().expect("a structure")),
        orbits: None,
        extra: serde_json::Map::new(),
        warnings: Vec::new(),
    };
    let records: Vec<Record> = drawn(effort.items(500)).iter().map(record).collect();
    write_structures(&path, &records).expect("a file");
    path
}
