//! Property models as a user meets them: the two that ship, one that gives a tensor, and the paper's own dropped in.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{accepted, json_lines, shared, small, untrained_policy};
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, encode};

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");

/// A column of `temper score`'s table, by the row's id.
fn scored(folder: &Path, structures: &str, model: &str, column: &str) -> BTreeMap<String, f64> {
    fs::write(folder.join("crystals.jsonl"), structures).unwrap();
    accepted(folder, &["score", "crystals.jsonl", "--model", model, "-o", "scores.csv", "--quiet"]);
    let mut table = csv::Reader::from_path(folder.join("scores.csv")).unwrap();
    let place = table.headers().unwrap().iter().position(|name| name == column).unwrap();
    table.records().map(|row| row.unwrap()).map(|row| (row[0].to_owned(), row[place].parse().unwrap())).collect()
}

/// PyTorch's values for made-up crystals, from `models/training/export.py`: cubic ones, single atoms, skewed and long cells.
#[test]
fn the_models_that_ship_equal_their_networks_in_pytorch() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/property_models.jsonl");
    let structures = fs::read_to_string(golden).unwrap();
    let rows: Vec<Value> = structures.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 8);
    let folder = tempfile::tempdir().unwrap();
    for (model, quantity) in [("band-gap", "band_gap"), ("eps-total", "eps_total"), ("eps-total", "refractive_index")] {
        let values = scored(folder.path(), &structures, &format!("{MODELS}/{model}"), quantity);
        for row in &rows {
            let (value, expected) = (values[row["id"].as_str().unwrap()], row[quantity].as_f64().unwrap());
            let allowed = 1e-4 * expected.abs().max(1.0);
            assert!((value - expected).abs() < allowed, "{quantity} of {}: {value}, not {expected}", row["id"]);
        }
    }
}

/// PyTorch's values for textbook crystals, as they are and displaced: `tests/golden/chgnet/generate.py`.
#[test]
fn the_potential_that_ships_equals_chgnet_in_pytorch() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/chgnet/chgnet.jsonl");
    let folder = tempfile::tempdir().unwrap();
    let model = format!("{MODELS}/chgnet-0.3.0");
    let score = ["score", golden, "--model", &model, "-o", "scores.csv", "--forces-out", "forces.jsonl", "--quiet"];
    accepted(folder.path(), &score);
    let (golden, found) = (json_lines(golden.as_ref()), json_lines(&folder.path().join("forces.jsonl")));
    assert_eq!((golden.len(), found.len()), (24, 24));
    let numbers = |value: &Value| -> Vec<f64> {
        let rows = value.as_array().unwrap().iter().flat_map(|row| row.as_array().unwrap());
        rows.map(|x| x.as_f64().unwrap()).collect()
    };
    for (golden, found) in golden.iter().zip(&found) {
        assert_eq!(golden["id"], found["id"]);
        let atoms = golden["species"].as_array().unwrap().len() as f64;
        let apart = (found["energy"].as_f64().unwrap() - golden["pytorch_energy"].as_f64().unwrap()).abs() / atoms;
        assert!(apart < 2e-5, "{}: {apart} eV/atom", golden["id"]);
        for (quantity, tolerance) in [("forces", 1e-3), ("stress", 1e-4)] {
            let (found, expected) = (numbers(&found[quantity]), numbers(&golden[&format!("pytorch_{quantity}")]));
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < tolerance, "{} {quantity}: {found} {expected}", golden["id"]);
            }
        }
    }
}

/// A model whose tensor is the cell itself, so that its eigenvalues are chosen by the test.
fn cell_as_tensor() -> Vec<u8> {
    let mut b = Builder::new();
    let crystals = b.symbol("b");
    let cell = b.input("cell", DataType::F32, &[crystals, Dim::Known(3), Dim::Known(3)]);
    let nine = b.constant(Tensor::from(ndarray::arr1(&[-1_i64, 9])));
    let flat = b.node("Reshape", &[cell, nine], Attributes::none());
    // xx, yy, zz, yz, xz, xy.
    let places = b.constant(Tensor::from(ndarray::arr1(&[0_i64, 4, 8, 5, 2, 1])));
    let tensor = b.node("Gather", &[flat, places], Attributes::none().int("axis", 1));
    b.output("eps_total", tensor);
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-94")];
    encode(&b.finish("tensor", &metadata).unwrap())
}

/// Rotation about z by t, then about x by u, of a diagonal matrix.
fn rotated(eigenvalues: [f64; 3], t: f64, u: f64) -> [[f64; 3]; 3] {
    let (s, c, sin, cos) = (t.sin(), t.cos(), u.sin(), u.cos());
    let r = [[c, -s, 0.0], [cos * s, cos * c, -sin], [sin * s, sin * c, cos]];
    [0, 1, 2].map(|i| [0, 1, 2].map(|j| (0..3).map(|k| r[i][k] * eigenvalues[k] * r[j][k]).sum()))
}

#[test]
fn a_tensor_counts_as_its_mean_eigenvalue() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("tensor.onnx"), cell_as_tensor()).unwrap();
    fs::write(folder.path().join("tensor.toml"), "reduce.eps_total = \"voigt_mean_eigenvalue\"\n").unwrap();
    let cases = [([3.0, 5.0, 10.0], 0.7, 0.4), ([4.0, 4.0, 4.0], 0.1, 0.2), ([3.0, 4.0, 9.5], -0.3, 1.1)];
    let rows = cases.map(|(eigenvalues, t, u)| {
        let id = format!("{}", eigenvalues.iter().sum::<f64>() / 3.0);
        let row =
            json!({"id": id, "lattice": rotated(eigenvalues, t, u), "species": ["Na"], "frac_coords": [[0, 0, 0]]});
        format!("{row}\n")
    });
    for (expected, value) in scored(folder.path(), &rows.concat(), "tensor.onnx", "eps_total") {
        assert!((value - expected.parse::<f64>().unwrap()).abs() < 1e-5, "{value}, not {expected}");
    }
}

/// The paper's band-gap model beside a config, with each of its fidelities pinned.
#[test]
fn the_papers_band_gap_model_drops_in() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    untrained_policy(&at.join("policy"), small());
    fs::copy(shared.join("models/megnet-bandgap-mfi.onnx"), at.join("megnet.onnx")).unwrap();
    fs::write(at.join("run.toml"), DROPPED_IN).unwrap();
    let gap = |state: &str| {
        let set = [format!("rewards.gap.onnx.state={state}"), format!("run.dir=state-{state}")];
        accepted(at, &["finetune", "run.toml", "--set", &set[0], "--set", &set[1]]);
        let metrics = fs::read_to_string(at.join(format!("state-{state}")).join("metrics.jsonl")).unwrap();
        let line: Value = serde_json::from_str(metrics.lines().next().unwrap()).unwrap();
        let gap = line["terms"]["gap"]["mean"].as_f64().unwrap();
        assert!(gap.is_finite());
        gap
    };
    let (pbe, gllb_sc) = (gap("0"), gap("1"));
    assert!((pbe - gllb_sc).abs() > 1e-3, "the state is not fed: {pbe} and {gllb_sc}");
}

#[test]
fn candidates_of_the_recipe_carry_their_figure_of_merit_and_their_stability() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut arguments = vec!["finetune", "--recipe", "dielectric"];
    ["run.steps=1", "run.threads=1", "sampling.batch=40"].iter().for_each(|set| arguments.extend(["--set", set]));
    accepted(at, &arguments);
    let mut table = csv::Reader::from_path(at.join("runs/dielectric/candidates.csv")).unwrap();
    let headers = table.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = table.records().map(|row| row.unwrap()).collect();
    assert!(!rows.is_empty());
    for row in rows {
        let cell = |name: &str| &row[headers.iter().position(|header| header == name).unwrap()];
        let number = |name: &str| cell(name).parse::<f64>().unwrap();
        let merit = number("eps_total") * number("band_gap");
        assert!((number("objective") - merit).abs() <= 1e-9 * merit.abs(), "{row:?}");
        assert!(number("e_hull").is_finite() && cell("spacegroup") == "225", "{row:?}");
    }
}

const DROPPED_IN: &str = r#"
objective = "-abs(gap - 1.4)"

[policy]
model = "policy"

[run]
dir = "run"
steps = 1
threads = 1
max_failed = 1.0

[sampling]
batch = 24
spacegroups = [225]
elements = { only = ["Li", "Na", "K", "Mg", "O", "S", "F", "Cl"] }

[rewards.gap.onnx]
model = "megnet.onnx"
state = 0
"#;
