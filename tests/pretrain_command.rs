//! `temper pretrain` as a user meets it. Policies are tiny and crystals come from the textbook: what is tested is the run.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::{SMALL_CRYSTALFORMER, accepted, assert_refused, temper};

const CONFIG: &str = r#"
[data]
files = ["salts.jsonl"]
holdout = 0.2

[run]
dir = "run"
threads = 1
checkpoint_every = 2

[train]
batch = 8
epochs = 4
schedule = "constant"
learning_rate = 1e-2
warmup_steps = 2
patience = 0
out = "policy"
"#;

/// Forty crystals of the rock salt type, one that is there twice, and one with nothing but overlapping atoms.
fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut lines = String::new();
    for (i, cation) in ["Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Mn"].iter().enumerate() {
        for (j, anion) in ["F", "Cl", "O", "S"].iter().enumerate() {
            let a = 4.0 + 0.2 * i as f64 + 0.3 * j as f64;
            let h = a / 2.0;
            let lattice = json!([[0.0, h, h], [h, 0.0, h], [h, h, 0.0]]);
            let line = json!({ "id": format!("{cation}{anion}"), "lattice": lattice, "species": [cation, anion],
                "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]] });
            lines += &format!("{line}\n");
        }
    }
    lines += lines.lines().next().unwrap().to_owned().as_str();
    lines +=
        "\n{\"id\":\"flat\",\"lattice\":[[1,0,0],[1,0,0],[0,0,1]],\"species\":[\"H\"],\"frac_coords\":[[0,0,0]]}\n";
    fs::write(folder.path().join("salts.jsonl"), lines).unwrap();
    fs::write(folder.path().join("pretrain.toml"), format!("{CONFIG}{SMALL_CRYSTALFORMER}")).unwrap();
    folder
}

/// Lines of the metrics, without what depends on the clock.
fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut value: Value = serde_json::from_str(line).unwrap();
        assert!(value.as_object_mut().unwrap().remove("time").is_some());
        value
    };
    text.lines().map(line).collect()
}

#[test]
fn it_learns_and_says_what_it_left_out() {
    let folder = prepared();
    let at = folder.path();
    let (_, said) = accepted(at, &["pretrain", "pretrain.toml", "--set", "train.epochs=30"]);
    assert!(said.starts_with("42 rows: "), "{said}");
    let status = fs::read_to_string(at.join("run/data.status.csv")).unwrap();
    let left_out: Vec<&str> = status.lines().skip(1).filter(|line| !line.ends_with(",ok")).collect();
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert_eq!(left_out[0], "salts.jsonl,41,LiF,the id was there before");
    assert!(left_out[1].starts_with("salts.jsonl,42,flat,"), "{}", left_out[1]);
    let metrics = metrics(&at.join("run"));
    let nll = |i: usize| metrics[i]["valid_nll"].as_f64().unwrap();
    // Forty crystals of one kind: group, letters and coordinates can be learnt by heart, only the elements differ.
    assert!(nll(29) < nll(0) - 5.0, "{} {}", nll(0), nll(29));
    let policy = fs::read_to_string(at.join("policy/model.toml")).unwrap();
    assert!(policy.contains("225 = 40"), "{policy}");
    accepted(at, &["logp", "-m", "policy", "-i", "salts.jsonl", "-o", "logp.csv"]);
}

/// Training that destroys what the policy knew still writes its best epoch: whoever reads the last line must learn that it is worse.
#[test]
fn a_training_that_only_makes_things_worse_says_so() {
    let folder = prepared();
    let at = folder.path();
    accepted(at, &["pretrain", "pretrain.toml", "--set", "train.epochs=30"]);
    let from_there = |dir: &str, rate: &str| {
        let config = CONFIG.replace("\"run\"", &format!("{dir:?}")).replace("\"policy\"", "\"further\"");
        fs::write(at.join("further.toml"), config + "[policy]\nmodel = \"policy\"\n").unwrap();
        let (_, said) = accepted(at, &["pretrain", "further.toml", "--set", rate]);
        let (_, after) = said.split_once("epoch    0  valid ").unwrap();
        let start: f64 = after.trim_start().split(',').next().unwrap().parse().unwrap();
        let warning = "warning: no epoch was better than the policy that the training started from, which has";
        (said.contains(&format!("{warning} {start:.3}\n")), said)
    };
    let (warned, said) = from_there("broken", "train.learning_rate=1");
    assert!(warned, "{said}");
    let (warned, said) = from_there("better", "train.learning_rate=1e-3");
    assert!(!warned, "{said}");
}

#[test]
fn space_groups_are_drawn_as_often_as_the_data_have_them_or_the_policy_before() {
    let folder = prepared();
    let at = folder.path();
    accepted(at, &["pretrain", "pretrain.toml", "--set", "train.epochs=1"]);
    let model = at.join("policy/model.toml");
    let learnt = fs::read_to_string(&model).unwrap();
    assert!(learnt.contains("[spacegroups]\n225 = 40.0\n"), "{learnt}");
    fs::write(&model, learnt.replace("225 = 40.0\n", "2 = 3.0\n225 = 7.0\n")).unwrap();
    let config = CONFIG.replace("\"policy\"", "\"further\"") + "[policy]\nmodel = \"policy\"\n";
    fs::write(at.join("further.toml"), config).unwrap();
    for (spacegroups, expected) in [("data", "225 = 40.0\n"), ("policy", "2 = 3.0\n225 = 7.0\n")] {
        let set =
            [format!("train.spacegroups={spacegroups}"), format!("run.dir={spacegroups}"), "train.epochs=1".into()];
        let set: Vec<&str> = set.iter().flat_map(|key| ["--set", key]).collect();
        accepted(at, &[&["pretrain", "further.toml"][..], &set].concat());
        let model = fs::read_to_string(at.join("further/model.toml")).unwrap();
        assert!(model.contains(&format!("[spacegroups]\n{expected}")), "{spacegroups}: {model}");
    }
}

#[test]
fn a_resumed_training_ends_with_the_same_bytes() {
    let folder = prepared();
    let at = folder.path();
    let train = |more: &[&str]| {
        let all = [&["pretrain", "pretrain.toml", "--set", "policy.crystalformer.description=standard"], more].concat();
        accepted(at, &all);
    };
    train(&["--set", "run.dir=straight", "--set", "train.out=whole"]);
    train(&["--set", "train.epochs=2"]);
    train(&["--resume", "--threads", "2"]);
    assert_eq!(metrics(&at.join("straight")), metrics(&at.join("run")));
    for file in ["params.safetensors", "optimizer.safetensors", "best.safetensors", "state.json"] {
        let read = |run: &str| fs::read(at.join(run).join("checkpoints/step-4").join(file)).unwrap();
        assert!(read("straight") == read("run"), "{file} differs");
    }
    for file in ["params.safetensors", "model.toml"] {
        assert!(fs::read(at.join("whole").join(file)).unwrap() == fs::read(at.join("policy").join(file)).unwrap());
    }
}

/// The same salts with the origin on the anion are another description of the same crystals: as good to a policy that learns standard
/// descriptions, and less probable to one that has never seen them.
#[test]
fn the_standard_description_does_not_depend_on_the_file() {
    let folder = prepared();
    let at = folder.path();
    let salts = fs::read_to_string(at.join("salts.jsonl")).unwrap();
    let moved = salts.replace("[[0.0,0.0,0.0],[0.5,0.5,0.5]]", "[[0.5,0.5,0.5],[0.0,0.0,0.0]]");
    assert_ne!(moved, salts);
    fs::write(at.join("moved.jsonl"), moved).unwrap();
    let logp = |policy: &str, file: &str| -> Vec<f64> {
        accepted(at, &["logp", "-m", policy, "-i", file, "-o", "logp.csv"]);
        let mut table = csv::Reader::from_path(at.join("logp.csv")).unwrap();
        let column = table.headers().unwrap().iter().position(|name| name == "logp").unwrap();
        table.records().filter_map(|row| row.unwrap()[column].parse().ok()).collect()
    };
    for (description, same) in [("standard", true), ("found", false)] {
        let set = format!("policy.crystalformer.description={description}");
        let dirs = [format!("run.dir={description}-run"), format!("train.out={description}")];
        let pretrain = ["pretrain", "pretrain.toml", "--set", "train.epochs=20", "--set", &set];
        accepted(at, &[&pretrain[..], &["--set", &dirs[0], "--set", &dirs[1]]].concat());
        let [one, other] = ["salts.jsonl", "moved.jsonl"].map(|file| logp(description, file));
        assert_eq!((one.len(), other.len()), (41, 41));
        let apart = one.iter().zip(&other).map(|(a, b)| (a - b).abs()).sum::<f64>() / 41.0;
        assert!(if same { apart < 1e-4 } else { apart > 1.0 }, "{description}: {apart}");
    }
    // Nor does what is learnt depend on which of the two files is learnt from.
    let learn =
        ["pretrain", "pretrain.toml", "--set", "train.epochs=20", "--set", "policy.crystalformer.description=standard"];
    let from_moved = ["--set", "data.files=moved.jsonl", "--set", "run.dir=moved-run", "--set", "train.out=moved"];
    accepted(at, &[&learn[..], &from_moved].concat());
    let [one, other] = ["standard", "moved"].map(|policy| logp(policy, "salts.jsonl"));
    assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 0.1), "{one:?} {other:?}");
    let kept = fs::read_to_string(at.join("standard/model.toml")).unwrap();
    assert!(kept.contains("description = \"standard\""), "{kept}");
    // What is trained further learns them as well, without being told.
    let set = ["--set", "policy={model=\"standard\"}", "--set", "train.epochs=1"];
    accepted(at, &[&["pretrain", "pretrain.toml"][..], &set].concat());
    let [one, other] = ["salts.jsonl", "moved.jsonl"].map(|file| logp("policy", file));
    assert!(one.iter().zip(&other).all(|(a, b)| (a - b).abs() < 1e-4), "{one:?} {other:?}");
}

#[test]
fn another_training_is_not_gone_on_with() {
    let folder = prepared();
    let at = folder.path();
    accepted(at, &["pretrain", "pretrain.toml", "--set", "train.epochs=2"]);
    let occupied = "error: run already holds a run of 2 epochs\n\
        hint: continue it with --resume, or choose another directory with --set run.dir=...";
    assert_refused(at, &["pretrain", "pretrain.toml"], 2, occupied);
    let other = "error: run: `train.batch` was 8, is 4\n\
        hint: go on with what is there now, on the record, with --accept-changed train.batch\n\
        hint: or start a new run in another directory with --set run.dir=...";
    assert_refused(at, &["pretrain", "pretrain.toml", "--resume", "--set", "train.batch=4"], 2, other);
}

/// The validation is at its best before the training ends: the end is kept all the same, and a resumed training adds nothing to it.
#[test]
fn the_last_epoch_of_an_early_stop_is_kept() {
    let folder = prepared();
    let at = folder.path();
    let mut arguments = vec!["pretrain", "pretrain.toml"];
    let set = ["train.epochs=50", "train.patience=1", "train.learning_rate=1.0", "run.checkpoint_every=50"];
    set.iter().for_each(|s| arguments.extend(["--set", s]));
    accepted(at, &arguments);
    let lines = metrics(&at.join("run"));
    let (last, best) = (lines.len(), lines.iter().rposition(|line| line["best"] == true).unwrap() + 1);
    assert!(last < 50 && last == best + 1, "best {best}, last {last}");
    let state = fs::read_to_string(at.join(format!("run/checkpoints/step-{last}/state.json"))).unwrap();
    assert!(state.contains(&format!("\"best_epoch\":{best}")), "{state}");
    let policy = fs::read_to_string(at.join("policy/model.toml")).unwrap();
    assert!(policy.contains(&format!("epochs = {best}\n")), "{policy}");
    arguments.push("--resume");
    accepted(at, &arguments);
    assert_eq!(metrics(&at.join("run")), lines);
}

#[test]
fn a_batch_of_more_than_there_is_names_the_largest() {
    let folder = prepared();
    let at = folder.path();
    let output = temper(at, &["pretrain", "pretrain.toml", "--set", "train.batch=100"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    let error = said.lines().find(|line| line.starts_with("error: ")).unwrap();
    let train: usize = error["error: ".len()..].split(' ').next().unwrap().parse().unwrap();
    assert!(error.ends_with("training needs at least one batch, `train.batch` = 100, and one held out"), "{said}");
    assert!(said.contains(&format!("hint: train.batch can be at most {train} here")), "{said}");
    let fits = format!("train.batch={train}");
    let arguments = ["pretrain", "pretrain.toml", "--set", &fits, "--set", "train.epochs=1", "--set", "run.dir=other"];
    accepted(at, &arguments);
}
