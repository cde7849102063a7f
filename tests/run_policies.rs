//! A run where a policy is asked for, and the policy that leaves it.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use support::{accepted, density_run, json_lines, prepared, temper};

fn config() -> String {
    density_run("steps = 6\ncheckpoint_every = 100\nkeep = 1")
}

/// The step with the highest mean objective, by the metrics.
fn best(run: &Path) -> usize {
    let objectives: Vec<f64> =
        json_lines(&run.join("metrics.jsonl")).iter().map(|l| l["objective_mean"].as_f64().unwrap()).collect();
    let best = objectives.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    objectives.iter().position(|objective| *objective == best).unwrap() + 1
}

#[test]
fn the_best_step_is_kept_when_it_occurs() {
    let folder = prepared(&config());
    let at = folder.path();
    // A run of one step more for every seed, until the best step is none of those that a checkpoint was due at.
    for seed in 1..20 {
        let (seed, dir) = (format!("run.seed={seed}"), format!("run.dir=run-{seed}"));
        accepted(at, &["finetune", "run.toml", "--quiet", "--set", &seed, "--set", &dir]);
        let run = at.join(dir.trim_start_matches("run.dir="));
        let best = best(&run);
        assert!(run.join(format!("checkpoints/step-{best}")).is_dir(), "the best of six steps is {best}");
        if best < 6 {
            let (_, said) = accepted(at, &["sample", "-m", run.to_str().unwrap(), "-n", "2", "-o", "x.jsonl"]);
            let place = format!("{}/checkpoints/step-{best}/params.safetensors: the best of 6 steps", run.display());
            assert!(said.contains(&place), "{said}");
            return;
        }
    }
    panic!("the last step was the best of every run");
}

#[test]
fn a_run_its_checkpoints_and_its_export_are_policies() {
    let folder = prepared(&config());
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let best = best(&at.join("run"));
    let checkpoint = format!("run/checkpoints/step-{best}");
    accepted(at, &["export", "run", "-o", "models/mine"]);
    for (policy, out) in [("run", "a.jsonl"), (checkpoint.as_str(), "b.jsonl"), ("models/mine", "c.jsonl")] {
        accepted(at, &["sample", "-m", policy, "-n", "5", "-o", out]);
    }
    let read = |file: &str| fs::read(at.join(file)).unwrap();
    assert!(read("a.jsonl") == read("b.jsonl") && read("b.jsonl") == read("c.jsonl"));
    // Another policy draws other crystals.
    accepted(at, &["sample", "-m", "policy", "-n", "5", "-o", "base.jsonl"]);
    assert!(read("a.jsonl") != read("base.jsonl"));
    accepted(at, &["logp", "-m", "run", "-i", "a.jsonl", "-o", "logp.csv"]);

    // A run from a run: its KL is measured against the parameters that it starts from.
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "policy.model=run", "--set", "run.dir=second"]);
    let first = &json_lines(&at.join("second/metrics.jsonl"))[0];
    assert!(first["kl"].as_f64().unwrap().abs() < 1e-6);
    let lock: serde_json::Value = serde_json::from_slice(&read("second/lock.json")).unwrap();
    let hash: String =
        Sha256::digest(read(&format!("{checkpoint}/params.safetensors"))).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(lock["policy.model"], hash);

    let card = fs::read_to_string(at.join("models/mine/README.md")).unwrap();
    let objective = json_lines(&at.join("run/metrics.jsonl"))[best - 1]["objective_mean"].as_f64().unwrap();
    for part in [
        "| objective | `-log(density)` |",
        "| `policy.model` | `\"policy\"` |",
        &format!("| steps | {best}: the best of 6 steps, mean objective {objective:.4} |"),
        &format!("| mean objective at step {best} | {objective:.4} |"),
        &format!("| SHA-256 of params.safetensors | `{hash}` |"),
        "learning_rate = 0.01",
    ] {
        assert!(card.contains(part), "{part}\n{card}");
    }
    let output = temper(at, &["export", "run", "-o", "models/mine"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && said.contains("models/mine/model.toml: the file already exists"),
        "{said}"
    );
    let output = temper(at, &["export", "policy", "-o", "other"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("policy: neither the directory of a run nor a checkpoint"), "{said}");
    assert!(!at.join("other").exists());
}

/// The sharpened policy is the one that is drawn from, scored, trained, resumed and written; its base is as sharp.
#[test]
fn a_run_may_sharpen_its_policy() {
    let folder = prepared(&config());
    let at = folder.path();
    let sharp = "sampling.temperature={ xyz = 0.2, l = 0.3 }";
    let finetune = |more: &[&str]| accepted(at, &[&["finetune", "run.toml", "--quiet", "--set", sharp], more].concat());
    finetune(&["--set", "run.steps=2", "--set", "run.dir=straight"]);
    finetune(&["--set", "run.steps=1"]);
    finetune(&["--resume", "--set", "run.steps=2"]);
    let last = |run: &str| fs::read(at.join(run).join("checkpoints/step-2/params.safetensors")).unwrap();
    assert!(last("straight") == last("run"));
    assert!(json_lines(&at.join("run/metrics.jsonl"))[0]["kl"].as_f64().unwrap().abs() < 1e-6);

    // What the first step drew is scored as the policy with these temperatures scores it.
    let model = fs::read_to_string(at.join("policy/model.toml")).unwrap();
    fs::create_dir(at.join("by-hand")).unwrap();
    fs::copy(at.join("policy/params.safetensors"), at.join("by-hand/params.safetensors")).unwrap();
    let table = "\n[crystalformer.temperature]\nxyz = 0.2\nl = 0.3\n";
    fs::write(at.join("by-hand/model.toml"), format!("{model}{table}")).unwrap();
    let drawn = "straight/samples/step-1.jsonl.gz";
    accepted(at, &["logp", "-m", "by-hand", "-i", drawn, "-o", "logp.csv"]);
    let mut scored = csv::Reader::from_path(at.join("logp.csv")).unwrap();
    let noted: BTreeMap<String, f64> = json_lines(&at.join(drawn))
        .iter()
        .filter_map(|line| Some((line["id"].as_str()?.to_owned(), line["logp"].as_f64()?)))
        .collect();
    // Of crystals with overlapping atoms there is no log p.
    let scored: Vec<(f64, f64)> = scored
        .records()
        .map(Result::unwrap)
        .filter_map(|row| Some((row[5].parse().ok()?, *noted.get(&row[0])?)))
        .collect();
    assert!(scored.len() > 3 && scored.iter().all(|(a, b)| (a - b).abs() < 1e-3), "{scored:?}");

    // The temperatures are the policy's own from then on: kept, or replaced, never multiplied.
    let written = |run: &str| fs::read_to_string(at.join(run).join("checkpoints/step-2/model.toml")).unwrap();
    let set = ["--set", "policy.model=straight", "--set", "run.steps=2"];
    accepted(at, &[&["finetune", "run.toml", "--quiet", "--set", "run.dir=kept"], &set[..]].concat());
    finetune(&[&["--set", "run.dir=again"], &set[..]].concat());
    for run in ["run", "kept", "again"] {
        assert!(written(run).contains("xyz = 0.2") && written(run).contains("l = 0.3"), "{}", written(run));
    }
    let base = ["finetune", "run.toml", "--dry-run", "--set", "policy.model=straight", "--set", "policy.base=policy"];
    let said = String::from_utf8(temper(at, &base).stderr).unwrap();
    assert!(said.contains("`policy.base` has other temperatures than the policy"), "{said}");
    accepted(at, &[&base[..], &["--set", sharp, "--set", "run.dir=third"]].concat());
}

#[test]
fn a_checkpoint_of_an_earlier_version_says_what_it_lacks() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/old-runs/finetuned");
    let folder = tempfile::tempdir().unwrap();
    let output = temper(folder.path(), &["sample", "-m", old.to_str().unwrap(), "-n", "1", "-o", "x.jsonl"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no model.toml in this checkpoint, which an earlier version of the program wrote"), "{said}");
}
