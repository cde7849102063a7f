//! `temper relax` as a user meets it, and its results against ASE's.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot do its work has failed")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{accepted, assert_refused, json_lines, temper};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0");
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/relax/potential.jsonl");

/// The rows of a table, by the names of its columns.
fn table(path: &Path) -> Vec<HashMap<String, String>> {
    csv::Reader::from_path(path).unwrap().deserialize().map(Result::unwrap).collect()
}

fn number(row: &HashMap<String, String>, column: &str) -> f64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

fn vectors(row: &Value, key: &str) -> Vec<[f64; 3]> {
    serde_json::from_value(row[key].clone()).unwrap()
}

/// Largest difference between two lists of vectors.
fn distance(one: &[[f64; 3]], two: &[[f64; 3]]) -> f64 {
    assert_eq!(one.len(), two.len());
    one.as_flattened().iter().zip(two.as_flattened()).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max)
}

/// Energies, cells and coordinates of FIRE on a `FrechetCellFilter` with the PyTorch CHGNet, and in a fixed cell.
#[test]
fn relaxed_crystals_are_those_of_ase() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let golden = json_lines(Path::new(GOLDEN));
    for cell in ["frechet", "none"] {
        let rows: Vec<&Value> = golden.iter().filter(|row| row["cell"] == cell).collect();
        let lines: Vec<String> = rows.iter().map(|row| without_results(row).to_string()).collect();
        fs::write(at.join("start.jsonl"), lines.join("\n")).unwrap();
        let limits = ["--fmax", "0.02", "--steps", "300", "--cell", cell];
        let command = ["relax", "start.jsonl", "--model", MODEL, "-o", "end.jsonl"];
        accepted(at, &[&command[..], &limits].concat());
        let (found, status) = (json_lines(&at.join("end.jsonl")), table(&at.join("end.status.csv")));
        assert_eq!((found.len(), status.len()), (rows.len(), rows.len()));
        for ((row, found), status) in rows.iter().zip(&found).zip(&status) {
            let (id, atoms) = (&row["id"], vectors(row, "frac_coords").len() as f64);
            let energy = |value: &Value| value.as_f64().unwrap() / atoms;
            let off = [
                (energy(&found["energy"]) - energy(&row["ase_energy"])).abs(),
                distance(&vectors(found, "lattice"), &vectors(row, "ase_lattice")),
                distance(&vectors(found, "frac_coords"), &vectors(row, "ase_frac_coords")),
            ];
            println!("{id}: {off:?}, {} steps, ASE {}", status["steps"], row["ase_steps"]);
            assert!(off[0] < 1e-3 && off[1] < 2e-2 && off[2] < 3e-3, "{id}: {off:?}");
            assert_eq!(status["converged"], row["ase_converged"].to_string(), "{id}");
            let steps = number(status, "steps") - row["ase_steps"].as_f64().unwrap();
            assert!(steps.abs() <= 3.0, "{id}: {steps} steps more than ASE");
            assert!(number(status, "f_max") < 0.02 && number(status, "energy_change") < 0.0);
            assert_eq!(cell == "none", number(status, "volume_ratio") == 1.0, "{id}");
        }
    }
}

fn without_results(row: &Value) -> Value {
    let keys = ["id", "lattice", "species", "frac_coords"];
    keys.into_iter().map(|key| (key.to_owned(), row[key].clone())).collect::<serde_json::Map<_, _>>().into()
}

const SALT: &str = r#"{"id":"salt","lattice":[[5.68,0,0],[0,5.68,0],[0,0,5.68]],"species":["Na","Na","Na","Na","Cl","Cl","Cl","Cl"],"frac_coords":[[0,0,0],[0,0.5,0.5],[0.5,0,0.5],[0.5,0.5,0],[0.5,0.5,0.5],[0.5,0,0],[0,0.5,0],[0,0,0.5]]}"#;

/// Each without a relaxed structure for a reason of its own.
const HOPELESS: [&str; 4] = [
    r#"{"id":"none","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":[],"frac_coords":[]}"#,
    r#"{"id":"close","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Na","Cl"],"frac_coords":[[0,0,0],[0.1,0,0]]}"#,
    r#"{"id":"unknown","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Am"],"frac_coords":[[0,0,0]]}"#,
    r#"{"id":"lonely","lattice":[[40,0,0],[0,40,0],[0,0,40]],"species":["Na","Cl"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]]}"#,
];

#[test]
fn every_row_of_the_input_has_a_row_and_failures_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let few = SALT.replace("salt", "few").replace("5.68", "5.3");
    fs::write(at.join("some.jsonl"), [&HOPELESS[..], &[SALT, &few]].concat().join("\n")).unwrap();
    let command = ["relax", "some.jsonl", "--model", MODEL, "-o", "out.extxyz", "--steps", "12", "--fix-symmetry"];
    let (_, said) = accepted(at, &command);
    assert!(said.ends_with("2 of 6 structures relaxed, 1 converged: out.extxyz; table: out.status.csv\n"), "{said}");
    let rows = table(&at.join("out.status.csv"));
    let parts = [
        "no atoms",
        "two atoms are 0.400 A apart",
        "does not know Am",
        "has no neighbour",
        "ok",
        "not converged within",
    ];
    for (row, part) in rows.iter().zip(parts) {
        assert!(row["status"].contains(part), "{row:?}");
        assert_eq!(row["energy"].is_empty(), !["salt", "few"].contains(&row["id"].as_str()));
    }
    assert_eq!((rows[4]["spacegroup"].as_str(), rows[5]["converged"].as_str()), ("225", "false"));
    let written = fs::read_to_string(at.join("out.extxyz")).unwrap();
    assert_eq!(written.lines().filter(|line| line.starts_with("Lattice=")).count(), 2);
    assert!(written.contains("forces:R:3") && written.contains("\"converged\"=F"), "{written}");
}

#[test]
fn what_cannot_be_done_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("salt.jsonl"), SALT).unwrap();
    fs::write(at.join("hopeless.jsonl"), HOPELESS.join("\n")).unwrap();
    let command = ["relax", "salt.jsonl", "--model", MODEL];
    let hint = "\nhint: use .jsonl, .extxyz, .cif or .csv, each also with .gz";
    let sentence = format!("error: POSCAR: relaxed structures are not written in this format{hint}");
    assert_refused(at, &[&command[..], &["-o", "POSCAR"]].concat(), 2, &sentence);
    for (flag, value) in [("--fmax", "0"), ("--fmax", "nan"), ("--steps", "-1"), ("--cell", "half")] {
        let output = temper(at, &[&command[..], &["-o", "o.cif", &format!("{flag}={value}")]].concat());
        assert_eq!(output.status.code(), Some(2), "{flag} {value}");
    }
    let output = temper(at, &["relax", "hopeless.jsonl", "--model", MODEL, "-o", "o.jsonl"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("none of 4 structures could be relaxed (row 1: "),
        "{said}"
    );
    assert!(!at.join("o.jsonl").exists() && at.join("o.status.csv").exists());
}

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn fine_tuning() -> String {
    let (potential, hull) = (MODEL, format!("{ROOT}/models/hulls/mp-chgnet.hull"));
    format!(
        r#"
objective = "-relaxed - 0.01 * moved"
[policy]
model = "{ROOT}/models/crystalformer-small"
[run]
dir = "run"
steps = 3
threads = 1
max_failed = 1.0
[sampling]
batch = 6
spacegroups = [225]
[rewards.relaxed.hull]
potential = "{potential}"
reference = "{hull}"
relax = {{ steps = 4, fmax = 0.1 }}
[rewards.moved.displacement]
relax = {{ potential = "{potential}", steps = 4, fmax = 0.1 }}
"#
    )
}

/// The reward of a relaxed crystal is what `temper relax` and `temper score` give for it, and resuming changes none of it.
#[test]
fn rewards_of_relaxed_crystals_are_those_of_the_commands() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("run.toml"), fine_tuning()).unwrap();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    accepted(
        at,
        &["relax", "run/samples/step-1.jsonl.gz", "--model", MODEL, "--steps", "4", "--fmax", "0.1", "-o", "r.jsonl"],
    );
    let hull = format!("{ROOT}/models/hulls/mp-chgnet.hull");
    accepted(at, &["score", "r.jsonl", "--model", MODEL, "--hull", &hull, "-o", "scores.csv"]);
    let scores: HashMap<String, f64> =
        table(&at.join("scores.csv")).iter().map(|row| (row["id"].clone(), number(row, "e_hull"))).collect();
    let moved: HashMap<String, String> = table(&at.join("r.status.csv"))
        .into_iter()
        .map(|mut row| (row.remove("id").unwrap(), row.remove("displacement").unwrap()))
        .collect();
    let mut compared = 0;
    for row in json_lines(&at.join("run/samples/step-1.jsonl.gz")) {
        let (Some(id), Some(value)) = (row["id"].as_str(), row["relaxed"].as_f64()) else { continue };
        assert!((value - scores[id]).abs() < 1e-4, "{id}: {value} {}", scores[id]);
        let displacement: f64 = moved[id].parse().unwrap();
        assert!((row["moved"].as_f64().unwrap() - displacement).abs() < 1e-4, "{id}: {row} {displacement}");
        compared += 1;
    }
    assert!(compared >= 3, "{compared}");
    let lock: Value = serde_json::from_slice(&fs::read(at.join("run/lock.json")).unwrap()).unwrap();
    for candidate in table(&at.join("run/candidates-relaxed.csv")) {
        let by: Value = serde_json::from_str(&candidate["computed_by"]).unwrap();
        let hull = &by["terms"]["relaxed"]["hull"];
        assert!(hull["potential"].is_string() && hull["reference"].is_string() && hull["relax"]["steps"] == 4, "{by}");
        // The potential is a file of both terms, and stands with the first.
        for key in ["rewards.moved.displacement.relax.potential", "rewards.relaxed.hull.reference"] {
            assert!(by["sha256"][key].is_string() && by["sha256"][key] == lock[key], "{key}: {by}");
        }
    }

    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=2", "--set", "run.dir=resumed"]);
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.dir=resumed", "--resume"]);
    for file in ["candidates.csv", "candidates-relaxed.csv", "candidates-relaxed.extxyz", "samples/step-3.jsonl.gz"] {
        assert!(
            fs::read(at.join("run").join(file)).unwrap() == fs::read(at.join("resumed").join(file)).unwrap(),
            "{file}"
        );
    }
}
