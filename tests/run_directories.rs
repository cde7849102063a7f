//! The directories of runs: old ones resume, damaged ones are refused by file and key, and a full disk has an exit code of its own.
//!
//! `tests/old-runs` holds a pretraining of two epochs and a fine-tuning of two steps as Temper 0.1.0 left them before checkpoints had
//! typed state, with their configs; samples, candidates and the Pareto front's files were removed, and are made anew.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{accepted, json_lines, temper};

/// A copy of the old runs.
fn old_runs() -> tempfile::TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if from.is_dir() {
                copy(&from, &to);
            } else {
                fs::copy(&from, &to).unwrap();
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    copy(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/old-runs").as_ref(), folder.path());
    // Another version is another program, and refused; what is tested is that the files are understood.
    edit(&folder.path().join("finetuned/lock.json"), |lock| lock["program"] = json!(env!("CARGO_PKG_VERSION")));
    folder
}

fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    change(&mut value);
    fs::write(file, value.to_string()).unwrap();
}

#[test]
fn an_old_fine_tuning_is_gone_on_with() {
    let folder = old_runs();
    let (at, run) = (folder.path(), folder.path().join("finetuned"));
    let before = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let state: Value = serde_json::from_slice(&fs::read(run.join("checkpoints/step-2/state.json")).unwrap()).unwrap();
    let (table, said) = accepted(at, &["finetune", "finetune.toml", "--resume", "--set", "run.steps=3"]);
    assert!(said.contains("resuming after step 2"), "{said}");
    let after = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(after.starts_with(&before), "the lines before the checkpoint stay as they are");
    let lines = json_lines(&run.join("metrics.jsonl"));
    assert_eq!(lines.len(), 3);
    // With a KL weight of 0: the old baseline was read, and 0.95 is its default weight in the new one.
    let number = |line: &Value, key: &str| line[key].as_f64().unwrap();
    let expected = 0.95 * state["state"]["baseline"].as_f64().unwrap() + 0.05 * number(&lines[2], "objective_mean");
    assert!((number(&lines[2], "baseline") - expected).abs() < 1e-12, "{}", lines[2]);
    let first = format!("{:>12.4}", number(&lines[0], "objective_mean"));
    assert!(table.contains(&first), "the table compares with the old run's first step: {table}");
    let candidates = fs::read_to_string(run.join("candidates.csv")).unwrap();
    for old in state["state"]["candidates"].as_array().unwrap() {
        assert!(candidates.contains(&format!("{},", old["id"].as_str().unwrap())), "{candidates}");
    }
    assert!(run.join("pareto.csv").exists());
}

#[test]
fn an_old_pretraining_is_gone_on_with() {
    let folder = old_runs();
    let (at, run) = (folder.path(), folder.path().join("pretrained"));
    let before = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let (_, said) = accepted(at, &["pretrain", "pretrain.toml", "--resume", "--set", "train.epochs=4"]);
    assert!(said.contains("resuming after epoch 2"), "{said}");
    let after = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(after.starts_with(&before), "the lines before the checkpoint stay as they are");
    let lines = json_lines(&run.join("metrics.jsonl"));
    assert_eq!(lines.len(), 4);
    // An epoch that forgot the old parameters would begin where the first one did.
    let nll = |i: usize| lines[i]["train_nll"].as_f64().unwrap();
    assert!(nll(2) < nll(1) && nll(1) < nll(0), "{} {} {}", nll(0), nll(1), nll(2));
}

/// What a damaged file of an old run makes of a resumed one.
fn refusal(command: &str, damage: impl FnOnce(&Path)) -> String {
    let folder = old_runs();
    damage(folder.path());
    let config = format!("{command}.toml");
    let output = temper(folder.path(), &[command, &config, "--resume", "--set", "run.dir=run"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

/// A part of `state` in the checkpoint is replaced, or removed.
fn damaged_state(command: &str, key: &str, value: Option<Value>) -> String {
    refusal(command, |at| {
        let run = if command == "finetune" { "finetuned" } else { "pretrained" };
        fs::rename(at.join(run), at.join("run")).unwrap();
        edit(&at.join("run/checkpoints/step-2/state.json"), |file| {
            let state = file["state"].as_object_mut().unwrap();
            assert!(state.contains_key(key), "{key}");
            match value {
                Some(value) => drop(state.insert(key.to_owned(), value)),
                None => drop(state.remove(key)),
            }
        });
    })
}

#[test]
fn damaged_state_is_refused_by_file_and_key() {
    let file = "run/checkpoints/step-2/state.json: ";
    for (command, key) in [
        ("finetune", "baseline"),
        ("finetune", "best"),
        ("finetune", "candidates"),
        ("finetune", "pareto"),
        ("pretrain", "best_nll"),
        ("pretrain", "best_epoch"),
    ] {
        let said = damaged_state(command, key, None);
        assert!(said.contains(&format!("{file}`state`: missing field `{key}`")), "{said}");
        let said = damaged_state(command, key, Some(json!("x")));
        assert!(said.contains(&format!("{file}`state.{key}`: invalid type: string \"x\"")), "{said}");
    }
    for (key, value, part) in [
        ("baseline", json!(null), "`state.baseline` is null"),
        ("best", json!({"step": 1}), "`state.best`: missing field `objective`"),
        ("candidates", json!([{"id": "step-1-0"}]), "`state.candidates[0]`: missing field `lattice`"),
        ("pareto", json!(null), "`state.pareto` is null, but the config has a front"),
    ] {
        let said = damaged_state("finetune", key, Some(value));
        assert!(said.contains(&format!("{file}{part}")), "{said}");
    }
}

#[test]
fn other_damaged_files_are_refused_by_name() {
    let run = |at: &Path, name: &str| {
        let folder = at.join("run");
        fs::rename(at.join(name), &folder).unwrap();
        folder
    };
    let said =
        refusal("finetune", |at| edit(&run(at, "finetuned").join("lock.json"), |lock| lock["config"] = json!(1)));
    assert!(said.contains("run/lock.json: `config`: invalid type: integer `1`"), "{said}");
    let said = refusal("finetune", |at| fs::remove_file(run(at, "finetuned").join("lock.json")).unwrap());
    assert!(said.contains("cannot read run/lock.json: "), "{said}");
    let said = refusal("finetune", |at| {
        let file = run(at, "finetuned").join("metrics.jsonl");
        fs::write(&file, fs::read_to_string(&file).unwrap().replacen("\"kl\":", "\"lk\":", 1)).unwrap();
    });
    assert!(said.contains("run/metrics.jsonl: line 1: missing field `kl`"), "{said}");
    let best = "checkpoints/step-2/best.safetensors";
    let said = refusal("pretrain", |at| fs::remove_file(run(at, "pretrained").join(best)).unwrap());
    assert!(said.contains("run/checkpoints/step-2/best.safetensors: is missing"), "{said}");
}

/// A limit on the size of files stands for the disk's end: it lets the metrics be written and no checkpoint.
#[cfg(target_os = "linux")]
#[test]
fn a_run_that_cannot_be_written_has_an_exit_code_of_its_own() {
    let folder = old_runs();
    let limited = "ulimit -f 8; trap '' XFSZ; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("sh")
        .current_dir(folder.path())
        .args(["-c", limited, env!("CARGO_BIN_EXE_temper"), "pretrain", "pretrain.toml", "--set", "run.dir=full"])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("error: cannot write full/checkpoints/step-2: File too large"), "{said}");
    assert!(said.contains("hint: once it can be written, go on from the last checkpoint with --resume"), "{said}");
    let left = fs::read_dir(folder.path().join("full/checkpoints")).unwrap().count();
    assert_eq!(left, 0, "nothing half written is left behind");
}

/// `/dev/full` takes no byte, as a full disk does.
#[cfg(target_os = "linux")]
#[test]
fn output_to_a_full_disk_has_the_same_exit_code() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_temper"))
        .args(["completions", "bash"])
        .stdout(full())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(74), "{}", String::from_utf8_lossy(&output.stderr));
}
