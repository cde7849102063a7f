//! Objectives over several terms as a user meets them: filters and their funnel, novelty, the Pareto front, and what is refused
//! before a run starts. The policy is tiny and untrained.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{accepted, json_lines, temper};

const CONFIG: &str = r#"
objective = "-log(density) + 0.1 * unique"

[policy]
model = "policy"

[run]
dir = "run"
steps = 4
seed = 7
threads = 1
checkpoint_every = 2
max_failed = 1.0

[sampling]
batch = 64
spacegroups = [1, 225]

[pareto]
terms = { density = "min", atoms = "max" }

[rewards.density.builtin]
term = "density"

[rewards.atoms.builtin]
term = "n_atoms"

[rewards.far.builtin]
term = "min_distance"

[rewards.unique.builtin]
term = "uniqueness"

[rewards.new.builtin]
term = "novelty"
reference = "known.txt"

[rewards.kinds.builtin]
term = "n_elements"
role = "filter"
bound = { min = 1, max = 2 }
"#;

/// What the run needs, and one known composition.
fn prepared() -> tempfile::TempDir {
    let folder = support::prepared(CONFIG);
    fs::write(folder.path().join("known.txt"), "NaCl\n").unwrap();
    folder
}

/// The samples of all steps for which every term has a value and the filter passes.
fn scored(run: &Path, step: usize) -> Vec<Value> {
    let number = |row: &Value, term: &str| row[term].as_f64();
    let good = |row: &Value| {
        ["density", "atoms", "far", "unique", "new"].iter().all(|term| number(row, term).is_some())
            && number(row, "kinds").is_some_and(|kinds| kinds <= 2.0)
    };
    json_lines(&run.join(format!("samples/step-{step}.jsonl.gz"))).into_iter().filter(good).collect()
}

#[test]
fn the_front_and_the_funnel_are_what_the_samples_say() {
    let folder = prepared();
    let at = folder.path();
    let (table, said) = accepted(at, &["finetune", "run.toml"]);
    let run = at.join("run");
    let (mut points, mut rejected) = (Vec::new(), 0);
    for (step, line) in (1..).zip(json_lines(&run.join("metrics.jsonl"))) {
        let samples = json_lines(&run.join(format!("samples/step-{step}.jsonl.gz")));
        let scored = scored(&run, step);
        let stages: Vec<(&str, u64)> = line["funnel"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| (s["stage"].as_str().unwrap(), s["rows"].as_u64().unwrap()))
            .collect();
        let decoded = samples.iter().filter(|row| row.get("species").is_some()).count() as u64;
        let passed = samples.iter().filter(|row| row["kinds"].as_f64().is_some_and(|x| x <= 2.0)).count() as u64;
        let scored_rows = scored.len() as u64;
        rejected += decoded - passed;
        assert_eq!(stages, [("sampled", 64), ("decoded", decoded), ("kinds", passed), ("scored", scored_rows)]);
        points.extend(scored.iter().map(|row| (row["density"].as_f64().unwrap(), row["atoms"].as_f64().unwrap())));
    }
    assert!(rejected > 0);
    for stage in ["sampled", "decoded", "kinds", "scored"] {
        assert!(table.lines().any(|line| line.starts_with(stage)), "{table}");
    }
    let beaten = |p: &(f64, f64)| points.iter().any(|q| q != p && q.0 <= p.0 && q.1 >= p.1);
    let mut expected: Vec<(f64, f64)> = points.iter().copied().filter(|p| !beaten(p)).collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut table = csv::Reader::from_path(run.join("pareto.csv")).unwrap();
    let columns = table.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|c| c == name).unwrap();
    let (density, atoms) = (column("density"), column("atoms"));
    let number = |text: &str| text.parse::<f64>().unwrap();
    let found: Vec<(f64, f64)> =
        table.records().map(|row| row.unwrap()).map(|row| (number(&row[density]), number(&row[atoms]))).collect();
    assert!(found.len() > 1);
    assert_eq!(found, expected, "best in the first term first");
    assert!(said.contains(&format!("Pareto front: {} crystals", found.len())), "{said}");
    assert!(run.join("pareto.extxyz").exists());
}

#[test]
fn a_resumed_run_keeps_its_front_to_the_byte() {
    let folder = prepared();
    let at = folder.path();
    let set = ["--set", "pareto={ terms = { density = \"max\", far = \"max\" }, size = 5 }"];
    let run = |arguments: &[&str]| accepted(at, &[&["finetune", "run.toml"], arguments, &set[..]].concat());
    run(&["--set", "run.steps=8", "--set", "run.dir=straight"]);
    run(&["--set", "run.steps=2"]);
    let half = fs::read(at.join("run/pareto.csv")).unwrap();
    run(&["--set", "run.steps=8", "--resume"]);
    assert!(half != fs::read(at.join("run/pareto.csv")).unwrap(), "the front moved after the resume");
    for file in ["pareto.csv", "pareto.extxyz", "candidates.csv", "checkpoints/step-8/state.json"] {
        assert!(
            fs::read(at.join("straight").join(file)).unwrap() == fs::read(at.join("run").join(file)).unwrap(),
            "{file}"
        );
    }
}

#[test]
fn mistakes_are_found_before_the_run() {
    let folder = prepared();
    let at = folder.path();
    for (set, said) in [
        ("objective=log(-density)", "objective, column 1: log of what is never positive"),
        ("objective=step(unique, 2)", "is 0 for every crystal"),
        ("objective=3", "objective"),
        ("objective=clamp(density, 1)", "clamp(x, low, high) was given 2 argument(s)"),
        ("pareto.terms={ densty = \"max\", atoms = \"max\" }", "no reward term is called `densty`"),
        ("pareto.terms={ density = \"max\" }", "a front needs at least 2"),
        ("pareto.terms.density=up", "pareto.terms.density"),
        ("pareto.size=3", "`pareto.size` = 3: must be at least 2 for each of the terms"),
        (
            "rewards.kinds.builtin.term=charge_neutral(4.0)",
            "takes a version of SMACT's tables, 3.2.0 (the default) or 2.2.1",
        ),
        (
            "rewards.kinds.builtin={ term = \"charge_neutral\", role = \"filter\", bound = 2 }",
            "no crystal passes the bound 2: the term is 0 to 1",
        ),
        (
            "rewards.kinds.builtin.bound={ min = 3, max = 1 }",
            "{ min = 3, max = 1 }: must have a finite end, and min at most max",
        ),
        (
            "rewards.kinds.builtin.bound={ max = 0.5 }",
            "no crystal passes the bound { max = 0.5 }: the term is 1 to 118",
        ),
        ("rewards.kinds.builtin.bound=three", "rewards.kinds.builtin.bound"),
        ("rewards.new.builtin.reference=nowhere.txt", "nowhere.txt"),
        ("rewards.new.builtin.term=density", "`rewards.new.builtin.reference`: only `novelty` has a reference"),
        ("rewards.new.builtin={ term = \"novelty\" }", "`rewards.new.builtin.reference` is missing"),
        ("rewards.new.builtin.reference=run.toml", "run.toml"),
    ] {
        let output = temper(at, &["finetune", "run.toml", "--dry-run", "--set", set]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{set}: {stderr}");
        assert!(stderr.starts_with("error: ") && stderr.contains(said), "{set}: {stderr}");
    }
    accepted(at, &["finetune", "run.toml", "--dry-run"]);
}

#[test]
fn a_batch_of_which_nothing_is_left_says_where_it_went() {
    let folder = prepared();
    let set = "rewards.kinds.builtin.bound={ min = 4 }";
    let guards = "guards.max_idle_steps=2";
    let output = temper(folder.path(), &["finetune", "run.toml", "--set", set, "--set", guards]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("warning: step 1: no crystal of the batch has an objective: 64 sampled, "));
    assert!(said.contains("\nerror: step 2: no crystal of the batch has an objective: 64 sampled, "), "{said}");
    assert!(said.contains(" decoded, 0 kinds, 0 scored"), "{said}");
    assert!(said.contains("; nothing was learned in 2 steps in a row"), "{said}");
    // The steps are on record, with the reasons of each row.
    let metrics = json_lines(&folder.path().join("run/metrics.jsonl"));
    assert_eq!(metrics.iter().map(|line| line["idle_steps"].as_u64()).collect::<Vec<_>>(), [Some(1), Some(2)]);
    assert!(metrics[0]["objective_mean"].is_null() && metrics[0]["baseline"].is_null());
    assert_eq!(json_lines(&folder.path().join("run/samples/step-2.jsonl.gz")).len(), 64);
    // A run that has not learned yet goes on, and learns.
    accepted(
        folder.path(),
        &[
            "finetune",
            "run.toml",
            "--resume",
            "--set",
            "run.steps=3",
            "--accept-changed",
            "rewards.kinds.builtin.bound",
        ],
    );
    let metrics = json_lines(&folder.path().join("run/metrics.jsonl"));
    assert!(metrics.len() == 3 && metrics[2]["objective_mean"].is_f64() && metrics[2]["idle_steps"] == 0);
}

#[test]
fn a_row_on_which_the_expression_has_no_value_says_so() {
    let folder = prepared();
    let at = folder.path();
    accepted(
        at,
        &[
            "finetune",
            "run.toml",
            "--set",
            "run.steps=1",
            "--set",
            "rewards.kinds.builtin.bound=1",
            "--set",
            "objective=1 / (2 - kinds) + 0 * density",
        ],
    );
    let mut failed = 0;
    for row in json_lines(&at.join("run/samples/step-1.jsonl.gz")) {
        let reason = row.get("objective_failed");
        let zero = row["kinds"].as_f64() == Some(2.0) && row["density"].as_f64().is_some();
        assert_eq!(reason.map(|r| r.as_str().unwrap()), zero.then_some("the objective is inf at column 3"), "{row}");
        failed += usize::from(zero);
    }
    assert!(failed > 0);
}
