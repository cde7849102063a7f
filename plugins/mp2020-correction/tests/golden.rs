//! Against pymatgen's own answers (2026.10.24), where the folder with them is at hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;
use temper_mp2020_correction::{
    Adjustment, Composition, Config, Entry, Incompatible, Known, Mp2020, Run, Structure, adjustments,
};
use temper_plugin_api::{Crystals, HullCorrection, Outcome};

/// Rows of a file of the folder `shared` beside the repository, or where `TEMPER_SHARED` says; a line and nothing without it.
fn rows(file: &str) -> Vec<Value> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared").into();
    let path = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from).join(file);
    if !path.exists() {
        println!("skipped: no shared data at {}", path.display());
        return Vec::new();
    }
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The same of textbook crystals, which are always at hand (`tests/golden/mp2020/generate.py`).
fn textbook() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/mp2020/corrections.jsonl");
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

const SYMBOLS: &str = "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr \
    Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi \
    Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf";

fn number(symbol: &str) -> u8 {
    u8::try_from(SYMBOLS.split_whitespace().position(|s| s == symbol).unwrap() + 1).unwrap()
}

fn by_element(value: &Value) -> Vec<(u8, f64)> {
    let entries = value.as_object().into_iter().flatten();
    entries.map(|(symbol, x)| (number(symbol), x.as_f64().unwrap())).collect()
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn triples(value: &Value) -> Vec<[f64; 3]> {
    let triple = |row: &Value| std::array::from_fn(|k| row[k].as_f64().unwrap());
    value.as_array().into_iter().flatten().map(triple).collect()
}

/// What a golden row says of its calculation.
struct Row {
    composition: Composition,
    species: Vec<u8>,
    frac: Vec<[f64; 3]>,
    lattice: Vec<[f64; 3]>,
    run: Run,
    known: Known,
}

impl Row {
    fn new(row: &Value) -> Self {
        let species = row["structure"]["species"].as_array().into_iter().flatten();
        let states = &row["data"]["oxidation_states"];
        Self {
            composition: by_element(&row["composition"]),
            species: species.map(|s| number(s.as_str().unwrap())).collect(),
            frac: triples(&row["structure"]["frac_coords"]),
            lattice: triples(&row["structure"]["lattice"]),
            run: Run {
                run_type: text(&row["run_type"]),
                hubbards: by_element(&row["hubbards"]).into_iter().collect(),
                potcar_symbols: None,
            },
            known: Known {
                oxide_type: text(&row["data"]["oxide_type"]),
                sulfide_type: text(&row["data"]["sulfide_type"]),
                oxidation_states: states.is_object().then(|| by_element(states).into_iter().collect()),
            },
        }
    }

    fn structure(&self) -> Option<Structure<'_>> {
        let lattice = <[[f64; 3]; 3]>::try_from(self.lattice.clone()).ok()?;
        Some(Structure { lattice, atomic_numbers: &self.species, frac_coords: &self.frac })
    }

    fn adjustments(&self) -> Result<Vec<Adjustment>, Incompatible> {
        let (run, known) = (&self.run, &self.known);
        adjustments(&Entry { composition: &self.composition, structure: self.structure(), run, known })
    }
}

#[test]
fn corrections_are_pymatgens() {
    let mut incompatible = 0;
    assert_eq!(textbook().len(), 41);
    for golden in textbook().into_iter().chain(rows("golden/mp2020_corrections.dev.jsonl")) {
        let name = format!("row {}: {}", golden["row"], golden["formula"]);
        let row = Row::new(&golden);
        if let Some(structure) = row.structure() {
            let sorted = |mut composition: Composition| {
                composition.sort_unstable_by_key(|(element, _)| *element);
                composition
            };
            assert_eq!(sorted(structure.composition()), sorted(row.composition.clone()), "{name}");
            // The relaxation set's run, as for a structure that comes without one.
            assert_eq!(Run::of_relaxation_set(&row.composition), row.run, "{name}");
        }
        let found = row.adjustments();
        if golden["status"] != "ok" {
            incompatible += 1;
            let reason = golden["status"].as_str().unwrap();
            let alike = match found.unwrap_err() {
                Incompatible::RunType { .. } => reason.contains("invalid run type"),
                Incompatible::Hubbard { .. } => reason.contains("Invalid U value"),
                _ => false,
            };
            assert!(alike, "{name}: {reason}");
            continue;
        }
        let found = found.unwrap();
        let expected = golden["adjustments"].as_array().unwrap();
        let names = |list: &[Adjustment]| list.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&found), expected.iter().map(|a| text(&a["name"]).unwrap()).collect::<Vec<_>>(), "{name}");
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.value() - expected["value"].as_f64().unwrap()).abs() < 1e-9, "{name}: {found:?}");
        }
        let total: f64 = found.iter().map(Adjustment::value).sum();
        assert!((total - golden["total_correction"].as_f64().unwrap()).abs() < 1e-9, "{name}: {total}");
        if let Some(expected) = golden["crystalformer_generate_CSE_correction"].as_f64() {
            // The reference implementation corrects GGA+U energies only.
            let reference = if row.run.run_type.as_deref() == Some("GGA+U") { total } else { 0.0 };
            assert!((reference - expected).abs() < 1e-9, "{name}: {reference}");
        }
    }
    println!("{incompatible} rows are incompatible");
}

#[test]
fn the_plugin_corrects_structures_as_pymatgen_and_as_crystalformer() {
    for (as_crystalformer, key) in [(false, "total_correction"), (true, "crystalformer_generate_CSE_correction")] {
        let (mut crystals, mut expected) = (Crystals::default(), Vec::new());
        for golden in rows("golden/mp2020_corrections.dev.jsonl") {
            let row = Row::new(&golden);
            let Some(structure) = row.structure().filter(|_| golden["status"] == "ok") else { continue };
            crystals.push(&structure.lattice, structure.atomic_numbers, structure.frac_coords);
            expected.push(golden[key].as_f64().unwrap());
        }
        let found = Mp2020::new(Config { as_crystalformer }).unwrap().correct(&crystals.batch()).unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.into_iter().zip(expected) {
            assert!(matches!(found, Outcome::Value(v) if (v - expected).abs() < 1e-9), "{found:?}, {expected}");
        }
    }
}

/// What the Materials Project itself published, with its own oxide types and oxidation states.
#[test]
fn corrections_are_the_materials_projects() {
    for golden in rows("golden/mp_official_entries.dev.jsonl") {
        let composition = by_element(&golden["composition"]);
        let hubbards: BTreeMap<u8, f64> = by_element(&golden["hubbards"]).into_iter().collect();
        let run = Run { run_type: text(&golden["run_type"]), hubbards, potcar_symbols: None };
        let states = &golden["oxidation_states"];
        let oxidation_states = states.is_object().then(|| by_element(states).into_iter().collect());
        let known = Known { oxide_type: text(&golden["oxide_type"]), oxidation_states, ..Known::default() };
        let found = adjustments(&Entry { composition: &composition, structure: None, run: &run, known: &known });
        let total: f64 = found.unwrap().iter().map(Adjustment::value).sum();
        assert!(
            (total - golden["official_correction"].as_f64().unwrap()).abs() < 1e-9,
            "{}: {total}",
            golden["entry_id"]
        );
    }
}
