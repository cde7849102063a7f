//! Comparison with values of other programs, where they are available.

use std::collections::HashMap;
use std::path::PathBuf;

use super::{Hull, HullHeader, HullSource, open_hull, query_file, read_entries};
use crate::crystal::Composition;

/// A file of the folder `shared` beside the repository, or where `TEMPER_SHARED` says; a line and `None` without it.
fn shared(file: &str) -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into();
    let path = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from).join(file);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: no shared data at {}", path.display());
    None
}

/// Rows of a CSV file by column name.
fn rows(path: PathBuf) -> Vec<HashMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
}

/// pymatgen 2026.10.24, on made-up entries: `tests/golden/hull/generate.py`.
#[test]
fn energies_above_a_made_up_hull_are_pymatgens() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/hull"));
    let hull = open_hull(&folder.join("entries.csv"), &|_, _| ()).unwrap().hull;
    let golden = rows(folder.join("above.csv"));
    assert_eq!(golden.len(), 180);
    for row in &golden {
        let composition: Composition = row["formula"].parse().unwrap();
        let above = hull.query(&composition, row["energy_per_atom"].parse().unwrap()).unwrap();
        let expected: f64 = row["e_above_hull"].parse().unwrap();
        assert!((above.e_above_hull - expected).abs() < 1e-9, "{}: {} {expected}", row["formula"], above.e_above_hull);
        assert_eq!(above.decomposition_text(), row["decomposition"], "{}", row["formula"]);
    }
}

/// Golden values by pymatgen 2026.10.24: the hull of formation energies of MP-20 and MPTS-52.
#[test]
fn energies_above_the_hull_of_mp_20_are_pymatgens() {
    let Some(golden) = shared("golden/ehull_mp20.dev.csv") else { return };
    let Some(entries) = shared("data/mp_20/hull_entries.csv.gz") else { return };
    let opened = open_hull(&entries, &|_, _| ()).unwrap();
    let HullSource::Entries { rejected, report, .. } = opened.source else { panic!("not a table") };
    assert_eq!((rejected.count, report.given, report.unreachable), (0, 41_254, 0));
    assert_eq!(report.given, report.kept + report.unstable + report.duplicates);
    let mut alike = 0;
    let golden = rows(golden);
    for row in &golden {
        let composition: Composition = row["formula"].parse().unwrap();
        let above = opened.hull.query(&composition, row["e_form"].parse().unwrap()).unwrap();
        let expected: f64 = row["e_above_hull"].parse().unwrap();
        assert!((above.e_above_hull - expected).abs() < 1e-9, "{}: {} {expected}", row["formula"], above.e_above_hull);
        alike += usize::from(above.decomposition_text() == row["decomposition"]);
    }
    // Where mixtures tie, several decompositions are right.
    assert!(alike >= golden.len() - golden.len() / 200, "{alike} of {}", golden.len());
}

/// The Materials Project's own published values, from its corrected total energies.
#[test]
fn energies_above_hull_are_the_materials_projects() {
    let Some(golden) = shared("golden/mp_official_entries.dev.jsonl") else { return };
    let mut hulls: HashMap<String, Hull> = HashMap::new();
    let mut compared = 0;
    for line in std::fs::read_to_string(golden).unwrap().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let source = row["source"].as_str().unwrap();
        if !hulls.contains_key(source) {
            let Some(file) = shared(&format!("data/mp_phase_diagrams/{source}.json.gz")) else { continue };
            hulls.insert(source.into(), open_hull(&file, &|_, _| ()).unwrap().hull);
        }
        let Some(expected) = row["e_above_hull_field"].as_f64() else { continue };
        let amounts = row["composition"].as_object().unwrap();
        let formula: String = amounts.iter().map(|(symbol, n)| format!("{symbol}{n}")).collect();
        let composition: Composition = formula.parse().unwrap();
        let number = |key: &str| row[key].as_f64().unwrap();
        let energy = (number("energy_uncorrected") + number("official_correction")) / composition.num_atoms();
        let above = hulls[source].query(&composition, energy).unwrap();
        assert!((above.e_above_hull - expected).abs() < 1e-6, "{line}: {}", above.e_above_hull);
        compared += 1;
    }
    assert!(compared > 600, "{compared} rows");
}

#[test]
fn elemental_references_are_read() {
    let Some(file) = shared("data/mp_20/mp_elemental_reference_entries_2023-02-07.json.gz") else { return };
    let read = read_entries(&file).unwrap();
    assert_eq!(read.rejected.count, 0);
    assert!(read.entries.iter().all(|entry| entry.composition().amounts().len() == 1));
    let neon = read.entries.iter().find(|entry| entry.id() == "mp-111-GGA").unwrap();
    assert_eq!(neon.energy_per_atom(), -0.02593678);
    let (hull, report) = Hull::build(read.entries, HullHeader::default(), &|_, _| ()).unwrap();
    assert_eq!(report.kept, hull.info().elements.len());
    assert!(report.kept >= 88);
}

#[test]
fn a_saved_hull_answers_as_the_one_that_was_built() {
    let Some(entries) = shared("data/mp_phase_diagrams/Na-Fe-P-O.json.gz") else { return };
    let built = open_hull(&entries, &|_, _| ()).unwrap().hull;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.hull");
    built.save(&path).unwrap();
    let loaded = open_hull(&path, &|_, _| ()).unwrap();
    assert_eq!(loaded.source, HullSource::Hull);
    assert_eq!((loaded.hull.info(), loaded.hull.entries()), (built.info(), built.entries()));
    let questions: Vec<_> = read_entries(&entries).unwrap().entries;
    let table = folder.path().join("questions.csv");
    let lines = questions.iter().map(|e| format!("{},{}\n", e.composition(), e.energy_per_atom()));
    std::fs::write(&table, format!("formula,energy_per_atom\n{}", lines.collect::<String>())).unwrap();
    let answer = |hull: &Hull| {
        let mut out = Vec::new();
        let summary = query_file(hull, &table, &mut out, &path).unwrap();
        assert_eq!((summary.rows, summary.answered), (questions.len(), questions.len()));
        String::from_utf8(out).unwrap()
    };
    assert_eq!(answer(&loaded.hull), answer(&built));
}

/// Entries as people have them, with the energies that pymatgen 2026.10.16 reads: reduced formula, eV/atom, and the number of
/// rejected rows.
#[test]
fn entry_files_from_real_use() {
    let Some(folder) = shared("cases/structures") else { return };
    const LITHIUM: [(&str, f64); 3] = [("Li", -1.9), ("O2", -4.9), ("Li2O", -4.766667)];
    let and = |last: (&'static str, f64)| [&LITHIUM[..], &[last]].concat();
    let deuterium = vec![("H2", -3.35), ("H2", -3.3), ("O2", -4.9), ("H2O", -4.833333)];
    let oxides = vec![("Li", -1.9), ("O2", -4.9), ("Li2O2", -4.925), ("Li2O", -4.85), ("LiO2", -4.933333)];
    for (name, expected, rejected) in [
        ("h_D.json", deuterium, 0),
        ("h_adj_sum_not_corr.json", and(("Li2O2", -5.5)), 0),
        ("h_bom.json", LITHIUM.to_vec(), 0),
        ("h_inf_data.json", and(("Li2O2", -4.75)), 0),
        ("h_jsonl_entries.jsonl", and(("Li2O2", -4.75)), 0),
        ("h_mixed_functionals.json", vec![("Na", -1.3), ("Na", -3.565), ("Cl2", -1.8), ("NaCl", -4.007)], 0),
        ("h_mpapi_thermo.json", LITHIUM.to_vec(), 0),
        ("h_nan_energy.json", LITHIUM.to_vec(), 1),
        ("h_nan_in_data.json", and(("Li2O2", -4.75)), 0),
        ("h_pandas_records.json", LITHIUM.to_vec(), 0),
        ("h_pd_dict.json", LITHIUM.to_vec(), 0),
        ("h_pymatgen_written.json", oxides, 0),
    ] {
        let found = read_entries(&folder.join(name)).unwrap();
        let energies = found.entries.iter().map(|e| (e.composition().reduced_formula(), e.energy_per_atom()));
        let energies: Vec<(String, f64)> = energies.collect();
        assert_eq!((energies.len(), found.rejected.count), (expected.len(), rejected), "{name}: {energies:?}");
        for ((formula, energy), (reduced, stated)) in energies.iter().zip(&expected) {
            assert!(formula == reduced && (energy - stated).abs() < 1e-6, "{name}: {formula} {energy}");
        }
        assert_eq!(found.run_types.warning().is_some(), name == "h_mixed_functionals.json", "{name}");
    }
}
