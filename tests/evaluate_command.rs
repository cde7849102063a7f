//! `temper evaluate` as a user meets it, and its measures against other programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{accepted, assert_refused, json_lines, shared};
use temper::crystal::{Element, Lattice, Structure};
use temper::metrics::has_sound_geometry;

const CSCL: &str = r#"{"id":"ID","lattice":[[4.12,0,0],[0,4.12,0],[0,0,4.12]],"species":["Cs","Cl"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]]}"#;

fn crystal(id: &str, change: impl Fn(String) -> String) -> String {
    change(CSCL.replace("ID", id))
}

fn rows(path: &Path) -> Vec<Vec<String>> {
    let mut table = csv::Reader::from_path(path).unwrap();
    table.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn every_sample_has_a_row_and_counts_in_every_figure() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let samples = [
        crystal("first", |c| c),
        crystal("again", |c| c.replace("4.12", "4.2")),
        crystal("new", |c| c.replace("Cl", "I")),
        crystal("touching", |c| c.replace("0.5,0.5,0.5", "0.01,0,0")),
        crystal("odd", |c| c.replace("\"Cs\"", "\"Si\"").replace("Cl", "Cu")),
        "{\"id\":\"broken\"}".into(),
    ];
    fs::write(at.join("samples.jsonl"), samples.join("\n")).unwrap();
    fs::write(at.join("known.jsonl"), crystal("known", |c| c)).unwrap();
    let (_, said) =
        accepted(at, &["evaluate", "samples.jsonl", "--reference", "known.jsonl", "--requested", "8", "-o", "out"]);
    assert!(said.contains("valid_structure     50.0 % [21.5, 78.5]  4 of 8"), "{said}");
    let table = rows(&at.join("out/structures.csv"));
    assert_eq!(table[0], ["first", "CsCl", "2", "true", "true", "", "known", "", "false", "ok"]);
    assert_eq!(table[1][5..7], ["first", "known"]);
    assert_eq!(table[2][3..7], ["true", "true", "", ""]);
    assert_eq!(table[3][3], "false");
    assert_eq!(table[4][3..5], ["true", "false"]);
    assert_eq!((table[5][0].as_str(), &table[5][3..7]), ("broken", &[const { String::new() }; 4][..]));
    assert_ne!(table[5][9], "ok");
    let metrics: Value = serde_json::from_slice(&fs::read(at.join("out/metrics.json")).unwrap()).unwrap();
    let count = |name: &str| (metrics["metrics"][name]["count"].as_u64(), metrics["metrics"][name]["of"].as_u64());
    let expected = [("valid", 3), ("valid_composition", 4), ("unique", 4), ("novel", 3), ("unique_and_novel", 3)];
    for (name, number) in expected {
        assert_eq!(count(name), (Some(number), Some(8)), "{name}");
    }
    assert!(metrics["metrics"].get("stable").is_none());
    assert_refused(
        at,
        &["evaluate", "samples.jsonl", "--requested", "3", "-o", "out"],
        2,
        "error: --requested is 3, but samples.jsonl has 6 samples",
    );
}

#[test]
fn the_protocol_changes_with_whatever_the_figures_depend_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("samples.jsonl"), crystal("first", |c| c)).unwrap();
    fs::write(at.join("known.jsonl"), crystal("known", |c| c)).unwrap();
    let id = |arguments: &[&str]| {
        accepted(at, &[&["evaluate", "samples.jsonl", "-o", "out"], arguments].concat());
        let metrics: Value = serde_json::from_slice(&fs::read(at.join("out/metrics.json")).unwrap()).unwrap();
        metrics["protocol_id"].as_str().unwrap().to_owned()
    };
    let plain = id(&[]);
    assert_eq!(plain, id(&[]));
    let with_known = id(&["--reference", "known.jsonl"]);
    fs::write(at.join("known.jsonl"), crystal("other", |c| c)).unwrap();
    let others = [id(&["--stol", "0.2"]), id(&["--smact", "3.2.0"]), with_known, id(&["--reference", "known.jsonl"])];
    for (i, one) in others.iter().enumerate() {
        assert!(*one != plain && !others[..i].contains(one), "{others:?}");
    }
}

/// pymatgen's distances and volumes by CDVAE's rule.
#[test]
fn geometry_is_sound_where_cdvae_finds_it_so() {
    let Some(shared) = shared() else { return };
    let rows = json_lines(&shared.join("golden/validity.dev.jsonl"));
    assert!(rows.len() >= 250);
    for row in &rows {
        let structure = &row["structure"];
        let species: Vec<Element> = structure["species"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| Element::from_symbol(s.as_str().unwrap()).unwrap())
            .collect();
        let lattice = Lattice(serde_json::from_value(structure["lattice"].clone()).unwrap());
        let frac = serde_json::from_value(structure["frac_coords"].clone()).unwrap();
        let structure = Structure::new(lattice, species, frac).unwrap();
        assert_eq!(has_sound_geometry(&structure), Ok(row["struct_valid"].as_bool().unwrap()), "{row}");
    }
}
