//! `temper logp` as a user meets it.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use support::{accepted, assert_refused, json_lines, prepared, shared, small, temper, untrained_policy};
use temper::policy::{Hyperparameters, Parameters};

const SALT: &str = r#"{"id":"salt","lattice":[[5.64,0,0],[0,5.64,0],[0,0,5.64]],"species":["Na","Na","Na","Na","Cl","Cl","Cl","Cl"],"frac_coords":[[0,0,0],[0,0.5,0.5],[0.5,0,0.5],[0.5,0.5,0],[0.5,0.5,0.5],[0.5,0,0],[0,0.5,0],[0,0,0.5]]}"#;
const OVERLAP: &str =
    r#"{"id":"overlap","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Na","Cl"],"frac_coords":[[0,0,0],[0.001,0,0]]}"#;
/// Four atoms in general positions: more sites than the policy has slots.
const LARGE: &str = r#"{"id":"large","lattice":[[4,0,0],[0.3,5,0],[0.7,0.2,6]],"species":["Na","Cl","O","H"],"frac_coords":[[0,0,0],[0.41,0.52,0.13],[0.7,0.2,0.6],[0.15,0.8,0.35]]}"#;

/// Identifiers and numbers of a table; no numbers where the cells are empty.
fn table(path: &Path) -> Vec<(String, Option<[f64; 5]>)> {
    let mut table = csv::Reader::from_path(path).unwrap();
    assert_eq!(table.headers().unwrap(), vec!["id", "logp_w", "logp_xyz", "logp_a", "logp_l", "logp"]);
    let numbers = |row: &csv::StringRecord| {
        if row.iter().skip(1).all(str::is_empty) {
            None
        } else {
            Some([1, 2, 3, 4, 5].map(|i| row[i].parse().unwrap()))
        }
    };
    table.records().map(Result::unwrap).map(|row| (row[0].to_owned(), numbers(&row))).collect()
}

#[test]
fn a_bad_row_stays_empty_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let parameters = untrained_policy(&at.join("policy"), small()).parameters;
    fs::write(at.join("some.jsonl"), [OVERLAP, SALT, LARGE].join("\n")).unwrap();
    let command = ["logp", "-m", "policy", "-i", "some.jsonl", "-o", "out.csv", "--grad", "grad.safetensors"];
    let (_, said) = accepted(at, &command);
    assert_eq!(said, "1 of 3 crystals: out.csv; out.status.csv says why the others are left out\n");
    let rows = table(&at.join("out.csv"));
    assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["overlap", "salt", "large"]);
    assert_eq!((rows[0].1, rows[2].1), (None, None));
    let [w, xyz, a, l, total] = rows[1].1.unwrap();
    assert_eq!(w + xyz + a + l, total, "numbers are printed whole");
    // Nearly uniform parameters: each of two elements has one chance in 118.
    assert!((a + 2.0 * 118_f64.ln()).abs() < 0.1, "{a}");
    let mut statuses = csv::Reader::from_path(at.join("out.status.csv")).unwrap();
    let statuses: Vec<String> = statuses.records().map(|row| row.unwrap()[3].to_owned()).collect();
    assert!(statuses[0].contains("overlap"), "{}", statuses[0]);
    assert_eq!(statuses[1..], ["ok", "the crystal has 4 sites; the policy allows at most 3"]);
    // The same crystal as tokens, with the same numbers.
    accepted(at, &["tokenize", "some.jsonl", "-o", "tokens.safetensors", "-q", "--slots", "3"]);
    accepted(at, &["logp", "-m", "policy", "-i", "tokens.safetensors", "-o", "tokens.csv"]);
    assert_eq!(table(&at.join("tokens.csv")), rows[1..2]);
    // One entry per parameter. The bias of bismuth's logit pushes its chance away from two sites that hold something else.
    let gradient = Parameters::load(&at.join("grad.safetensors"), &small()).unwrap();
    assert_eq!(gradient.count(), parameters.count());
    let bismuth = gradient.get("linear_9/b").unwrap()[83];
    assert!((bismuth - 2.0 / 118.0).abs() < 1e-3, "{bismuth}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    untrained_policy(&at.join("policy"), small());
    fs::write(at.join("bad.jsonl"), OVERLAP).unwrap();
    let output = temper(at, &["logp", "-m", "policy", "-i", "bad.jsonl", "-o", "out.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: bad.jsonl: none of 1 crystals is usable (row 1: "), "{said}");
    assert!(said.ends_with("hint: the column `status` of out.status.csv says why\n"), "{said}");
    assert!(!at.join("out.csv").exists());
    fs::remove_file(at.join("policy/params.safetensors")).unwrap();
    assert_refused(
        at,
        &["logp", "-m", "policy", "-i", "bad.jsonl", "-o", "out.csv"],
        2,
        "error: policy: no params.safetensors in this folder\n\
         hint: a policy is a folder with model.toml and params.safetensors",
    );
}

/// The whole way, from the reference's batch as a file to the reference's numbers in files.
#[test]
fn the_reference_s_batch_gets_the_reference_s_numbers() {
    let Some(shared) = shared() else { return };
    let golden = shared.join("golden/crystalformer/tiny");
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let meta: serde_json::Value = serde_json::from_slice(&fs::read(golden.join("meta.json")).unwrap()).unwrap();
    let hyper: Hyperparameters = serde_json::from_value(meta["config"].clone()).unwrap();
    untrained_policy(&at.join("policy"), hyper.clone());
    fs::write(at.join("policy/params.safetensors"), fs::read(golden.join("params.safetensors")).unwrap()).unwrap();
    let batch = golden.join("batch.safetensors");
    let command =
        ["logp", "-m", "policy", "-i", batch.to_str().unwrap(), "-o", "out.csv", "--grad", "grad.safetensors"];
    accepted(at, &command);
    let nll = table(&at.join("out.csv")).iter().map(|row| -row.1.unwrap()[4]).sum::<f64>() / 32.0;
    assert!((nll - meta["nll"].as_f64().unwrap()).abs() < 2e-5, "{nll}");
    let gradient = Parameters::load(&at.join("grad.safetensors"), &hyper).unwrap();
    let expected = Parameters::load(&golden.join("grad_nll.safetensors"), &hyper).unwrap();
    for ((name, found), (_, expected)) in gradient.iter().zip(expected.iter()) {
        let square = |tensor: &ndarray::ArrayD<f32>| tensor.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
        let apart = (square(&(found - expected)) / square(expected)).sqrt();
        assert!(apart < 1e-4, "{name}: relative distance {apart:e}");
    }
}

/// A run records log p of what it drew. Found again in another space group, or with its sites in another order, a crystal has
/// another one; and tokens that are not those of the structure beside them are none.
#[test]
fn drawn_crystals_are_scored_as_they_were_drawn() {
    let config = "objective = \"-density\"\n[policy]\nmodel = \"policy\"\n[run]\ndir = \"run\"\nsteps = 1\n\
        max_failed = 1.0\n[sampling]\nbatch = 120\nspacegroups = [1, 2, 225]\n[rewards.density.builtin]\nterm = \"density\"\n";
    let folder = prepared(config);
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let mut samples = json_lines(&at.join("run/samples/step-1.jsonl.gz"));
    let scored = |samples: &[serde_json::Value]| {
        let lines: Vec<String> = samples.iter().map(ToString::to_string).collect();
        fs::write(at.join("samples.jsonl"), lines.join("\n")).unwrap();
        accepted(at, &["logp", "-m", "policy", "-i", "samples.jsonl", "-o", "logp.csv"]);
        table(&at.join("logp.csv")).into_iter().map(|(_, numbers)| numbers.map(|n| n[4])).collect::<Vec<_>>()
    };
    let recorded: Vec<Option<f64>> = samples.iter().map(|line| line["logp"].as_f64()).collect();
    let found = scored(&samples);
    let both = recorded.iter().zip(&found).filter_map(|(recorded, found)| recorded.zip(*found));
    let apart: Vec<f64> = both.map(|(recorded, found)| (recorded - found).abs()).collect();
    assert!(apart.len() > 10, "{}", apart.len());
    assert!(apart.iter().all(|apart| *apart < 1e-3), "{apart:?}");
    // The structures without their tokens, and the same beside tokens that are another crystal's.
    let rotated = samples.clone();
    samples.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("tokens")));
    let alone = scored(&samples);
    for (line, other) in samples.iter_mut().zip(rotated.iter().cycle().skip(1)) {
        line["tokens"] = other["tokens"].clone();
    }
    assert_eq!(scored(&samples), alone);
    assert!(alone != found);
}
