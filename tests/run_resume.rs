//! What a resumed run goes on from, and what it refuses: every fault is made for real.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use support::{accepted, assert_refused, density_run, json_lines, metrics, prepared, refused, temper};

const PRETRAIN: &str = r#"
[data]
files = ["salts.jsonl"]
holdout = 0.2

[policy]
model = "policy"

[run]
dir = "trained"
threads = 1
checkpoint_every = 10

[train]
batch = 8
epochs = 6
schedule = "constant"
learning_rate = 0.3
warmup_steps = 0
patience = 2
out = "out"
"#;

fn finetune() -> String {
    density_run("steps = 4\ncheckpoint_every = 2\nkeep = 3")
}

/// A small policy, both configs, and forty crystals of the rock salt type.
fn folder() -> tempfile::TempDir {
    let folder = prepared(&finetune());
    let mut lines = String::new();
    for (i, cation) in ["Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Mn"].iter().enumerate() {
        for (j, anion) in ["F", "Cl", "O", "S"].iter().enumerate() {
            let h = 2.0 + 0.1 * i as f64 + 0.15 * j as f64;
            let line = json!({ "id": format!("{cation}{anion}"), "lattice": [[0.0, h, h], [h, 0.0, h], [h, h, 0.0]],
                "species": [cation, anion], "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]] });
            lines += &format!("{line}\n");
        }
    }
    fs::write(folder.path().join("salts.jsonl"), lines).unwrap();
    fs::write(folder.path().join("pretrain.toml"), PRETRAIN).unwrap();
    folder
}

fn steps(run: &Path) -> Vec<u64> {
    let entries = fs::read_dir(run.join("checkpoints")).unwrap().flatten();
    let mut steps: Vec<u64> =
        entries.filter_map(|e| e.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// A process that is killed when the test ends.
struct Running(Child);

impl Running {
    fn start(at: &Path, arguments: &[&str]) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_temper"));
        Self(command.current_dir(at).args(arguments).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        assert!(std::process::Command::new("kill").args([name, &id]).status().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let started = Instant::now();
    while !there() {
        assert!(started.elapsed() < Duration::from_secs(120), "{what}: not after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_finished_pretraining_puts_the_best_policy_back_in_its_place() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["pretrain", "pretrain.toml", "--quiet"]);
    let lines = metrics(&at.join("trained"));
    let best = lines.iter().rposition(|line| line["best"] == true).unwrap() + 1;
    assert!(best < lines.len(), "the last epoch of this training is not its best");
    let read = |file: &str| fs::read(at.join("out").join(file)).unwrap();
    let (parameters, model) = (read("params.safetensors"), read("model.toml"));
    let newest = at.join(format!("trained/checkpoints/step-{}", lines.len()));
    assert!(parameters == fs::read(newest.join("best.safetensors")).unwrap());
    // As a kill would leave it: before the policy, between its two files, or with those of an earlier epoch.
    let out = at.join("out");
    let damages: [&dyn Fn(); 3] =
        [&|| fs::remove_dir_all(&out).unwrap(), &|| fs::remove_file(out.join("model.toml")).unwrap(), &|| {
            fs::rename(newest.join("copy"), out.join("params.safetensors")).unwrap()
        }];
    fs::copy(newest.join("params.safetensors"), newest.join("copy")).unwrap();
    for damage in damages {
        damage();
        accepted(at, &["pretrain", "pretrain.toml", "--resume"]);
        assert!(read("params.safetensors") == parameters && read("model.toml") == model);
        assert_eq!(metrics(&at.join("trained")), lines, "no epoch is added");
    }
}

#[test]
fn where_the_policy_goes_is_tried_before_the_first_epoch() {
    let folder = folder();
    let at = folder.path();
    fs::write(at.join("out"), "a file").unwrap();
    let output = temper(at, &["pretrain", "pretrain.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("error: cannot write out: ") && !said.contains("epoch"), "{said}");
    fs::remove_file(at.join("out")).unwrap();
    fs::create_dir_all(at.join("out/params.safetensors")).unwrap();
    let said = String::from_utf8(temper(at, &["pretrain", "pretrain.toml", "--resume"]).stderr).unwrap();
    assert!(said.contains("error: cannot write out/params.safetensors: is a directory"), "{said}");
}

#[test]
fn changed_data_and_sidecars_are_refused_by_name() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["pretrain", "pretrain.toml", "--quiet", "--set", "train.epochs=1"]);
    let mut salts = fs::read_to_string(at.join("salts.jsonl")).unwrap();
    salts = salts.replacen("LiF", "fluoride", 1);
    fs::write(at.join("salts.jsonl"), salts).unwrap();
    assert_refused(
        at,
        &["pretrain", "pretrain.toml", "--resume", "--quiet"],
        2,
        "error: trained: the run was started with a different data.files.0\n\
         hint: go on with what is there now, on the record, with --accept-changed data.files.0\n\
         hint: or start a new run in another directory with --set run.dir=...",
    );
    accepted(at, &["pretrain", "pretrain.toml", "--resume", "--quiet", "--accept-changed", "data.files"]);
    let changes = json_lines(&at.join("trained/changes.jsonl"));
    assert_eq!(changes, [json!({"after": 1, "key": "data.files.0", "was": null, "is": null})]);
    accepted(at, &["pretrain", "pretrain.toml", "--resume", "--quiet"]);

    let chgnet = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx");
    fs::copy(chgnet, at.join("gap.onnx")).unwrap();
    fs::write(at.join("gap.toml"), "energy_reference = \"PBE\"\n").unwrap();
    let term = "[rewards.e.onnx]\nmodel = \"gap.onnx\"\non_failure = { value = 99.0 }\n";
    fs::write(at.join("run.toml"), finetune() + term).unwrap();
    let run = ["finetune", "run.toml", "--quiet", "--resume", "--set"];
    let steps = |steps: &'static str| [&run[..], &[steps]].concat();
    accepted(at, &steps("run.steps=1"));
    accepted(at, &steps("run.steps=2"));
    fs::write(at.join("gap.toml"), "energy_reference = \"PBE\"\nversion = \"other\"\n").unwrap();
    let said = refused(at, &steps("run.steps=3"), 2);
    assert!(said.contains("run: the run was started with a different rewards.e.onnx.model.sidecar\n"), "{said}");
    fs::remove_file(at.join("gap.toml")).unwrap();
    let said = refused(at, &steps("run.steps=3"), 2);
    assert!(said.contains("a different rewards.e.onnx.model.sidecar\n"), "{said}");
}

#[test]
fn a_changed_key_is_named_with_both_values_and_may_be_accepted() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=1"]);
    let set = ["finetune", "run.toml", "--resume", "--set", "ppo.learning_rate=1e-4", "--set", "ppo.clip=0.1"];
    assert_refused(
        at,
        &[&set[..], &["--quiet"]].concat(),
        2,
        "error: run: `ppo.clip` was 0.2, is 0.1; `ppo.learning_rate` was 0.01, is 0.0001\n\
         hint: go on with what is there now, on the record, with --accept-changed ppo.clip --accept-changed ppo.learning_rate\n\
         hint: or start a new run in another directory with --set run.dir=...",
    );
    let said = refused(at, &[&set[..], &["--accept-changed", "ppo.clip"]].concat(), 2);
    assert!(said.contains("run: `ppo.learning_rate` was 0.01, is 0.0001\n"), "{said}");
    accepted(at, &[&set[..], &["--accept-changed", "ppo"]].concat());
    let changes = json_lines(&at.join("run/changes.jsonl"));
    assert_eq!(changes[0], json!({"after": 1, "key": "ppo.clip", "was": "0.2", "is": "0.1"}));
    assert_eq!(changes.len(), 2);
    // What was accepted is what the run is from then on.
    accepted(at, &[&set[..], &["--set", "run.steps=5"]].concat());
    assert_eq!(metrics(&at.join("run")).len(), 5);
}

#[test]
fn vanished_and_doubled_lines_of_metrics_are_refused() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let file = at.join("run/metrics.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let resume = ["finetune", "run.toml", "--resume", "--quiet"];
    for (kept, part) in [
        (vec![0, 1, 3], "run/metrics.jsonl: line 3: `step` is 4, where 3 is due"),
        (vec![0, 1, 1, 2, 3], "run/metrics.jsonl: line 3: `step` is 2, where 3 is due"),
        (vec![0, 1, 2], "run/metrics.jsonl: ends after step 3, but the checkpoint is of step 4"),
        (vec![], "run/metrics.jsonl: ends after step 0, but the checkpoint is of step 4"),
    ] {
        let damaged: String = kept.iter().map(|line| lines[*line]).collect();
        fs::write(&file, &damaged).unwrap();
        let said = refused(at, &resume, 2);
        assert!(said.contains(part), "{said}");
        assert_eq!(fs::read_to_string(&file).unwrap(), damaged, "it is left as it is");
    }
    fs::write(&file, [lines[0], lines[1], lines[3]].concat()).unwrap();
    accepted(at, &[&resume[..], &["--accept-changed", "metrics.jsonl", "--set", "run.steps=5"]].concat());
}

#[test]
fn a_damaged_checkpoint_is_named_with_the_newest_that_is_whole() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    fs::rename(at.join("run"), at.join("whole")).unwrap();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let file = at.join("run/checkpoints/step-4/params.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&file, bytes).unwrap();
    let resume = ["finetune", "run.toml", "--resume", "--quiet"];
    let left = steps(&at.join("run"));
    let older = left[left.len() - 2];
    assert_refused(
        at,
        &resume,
        2,
        &format!(
            "error: run/checkpoints/step-4/params.safetensors: its SHA-256 is not that in checksums.json: this checkpoint is \
             damaged, run/checkpoints/step-{older} is whole\n\
             hint: move run/checkpoints/step-4 away, and --resume goes on from run/checkpoints/step-{older}"
        ),
    );
    let said = refused(at, &["sample", "-m", "run/checkpoints/step-4", "-n", "1", "-o", "x.jsonl"], 2);
    assert!(said.contains("step-4/params.safetensors: its SHA-256 is not"), "{said}");
    fs::rename(at.join("run/checkpoints/step-4"), at.join("bad")).unwrap();
    accepted(at, &resume);
    assert_eq!(metrics(&at.join("run")), metrics(&at.join("whole")));
}

/// A kill between the checkpoint and the tables of the best crystals leaves the tables of an earlier step.
#[test]
fn the_best_crystals_are_those_of_the_checkpoint() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let candidates = |name: &str| fs::read(at.join("run").join(name)).unwrap();
    let (csv, xyz) = (candidates("candidates.csv"), candidates("candidates.extxyz"));
    fs::write(at.join("run/candidates.csv"), "id\n").unwrap();
    fs::remove_file(at.join("run/candidates.extxyz")).unwrap();
    // So do these.
    fs::write(at.join("run/.temper-abc"), "x").unwrap();
    fs::create_dir(at.join("run/checkpoints/.writing-x")).unwrap();
    accepted(at, &["finetune", "run.toml", "--resume", "--quiet"]);
    assert!(candidates("candidates.csv") == csv && candidates("candidates.extxyz") == xyz);
    assert!(!at.join("run/.temper-abc").exists() && !at.join("run/checkpoints/.writing-x").exists());
}

#[test]
fn a_run_goes_on_by_its_directory_from_anywhere_and_wherever_it_was_moved() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.dir=straight"]);
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=2"]);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::rename(at.join("run"), elsewhere.path().join("moved")).unwrap();
    let (_, said) = accepted(elsewhere.path(), &["finetune", "--resume", "moved", "--set", "run.steps=4"]);
    assert!(said.contains("resuming after step 2"), "{said}");
    assert_eq!(metrics(&elsewhere.path().join("moved")), metrics(&at.join("straight")));
    assert!(!at.join("run").exists());
    let (_, said) = accepted(elsewhere.path(), &["finetune", "--resume", "moved", "--set", "run.steps=3"]);
    assert!(said.contains("the run has 4 steps, run.steps = 3: nothing is left to do"), "{said}");
    // What a run has recorded makes the run again, from another folder.
    let record = at.join("straight/run.toml");
    let again = ["finetune", record.to_str().unwrap(), "--quiet", "--set", "run.dir=again"];
    accepted(elsewhere.path(), &again);
    assert_eq!(metrics(&elsewhere.path().join("again")), metrics(&at.join("straight")));

    let said = refused(at, &["finetune", "--resume", "runs/typo"], 2);
    assert!(said.contains("runs/typo: nothing to resume: no run.toml in it"), "{said}");
    let (_, said) = accepted(at, &["finetune", "run.toml", "--resume", "--set", "run.dir=new"]);
    assert!(said.contains("nothing to resume in new: starting from the beginning"), "{said}");

    accepted(at, &["pretrain", "pretrain.toml", "--quiet", "--set", "train.epochs=1"]);
    fs::remove_dir_all(at.join("out")).unwrap();
    let trained = at.join("trained");
    let resume = ["pretrain", "--resume", trained.to_str().unwrap(), "--set", "train.epochs=2", "--quiet"];
    accepted(elsewhere.path(), &resume);
    assert!(at.join("out/model.toml").exists() && !elsewhere.path().join("out").exists());
}

/// What has a state that is no parameter: a term that remembers batches, the weight of the KL term, crystals that are replayed, the
/// frequencies of elements, the last objectives.
#[test]
fn whatever_is_remembered_is_the_same_after_a_resumption() {
    let folder = prepared(&density_run("checkpoint_every = 1"));
    let at = folder.path();
    let text = fs::read_to_string(at.join("run.toml")).unwrap();
    let text = text.replacen("-log(density)", "(10 - log(density)) * diversity", 1);
    let text = text.replacen("batch = 12\n", "batch = 12\nelements = { only = [\"Li\", \"O\"] }\n", 1);
    let diversity =
        "\n[rewards.diversity.builtin]\nterm = \"diversity\"\nby = \"composition\"\nbucket_size = 1\nwindow = 3\n";
    let ppo = "[ppo]\nkl_target = 0.5\nadvantage_scale = \"std\"\nentropy_bonus = { a = 0.1 }\ncomposition_prior = 0.5\nreplay = { crystals = 3, size = 5, age = 2 }\n";
    let guards = "\n[guards]\nplateau_steps = 50\n";
    fs::write(at.join("run.toml"), text.replacen("[ppo]\n", ppo, 1) + diversity + guards).unwrap();
    let run = |dir: &str, steps: usize, more: &[&str]| {
        let (dir, steps) = (format!("run.dir=\"{dir}\""), format!("run.steps={steps}"));
        accepted(at, &[&["finetune", "run.toml", "--quiet", "--set", &dir, "--set", &steps], more].concat());
    };
    run("alone", 6, &[]);
    run("apart", 2, &[]);
    run("apart", 6, &["--resume"]);
    let lines = metrics(&at.join("alone"));
    assert!(
        lines.iter().any(|line| line["terms"]["diversity"]["mean"].as_f64().is_some_and(|mean| mean < 0.5)),
        "{lines:?}"
    );
    assert!(lines.iter().any(|line| line["replayed"].as_u64() == Some(3)), "{lines:?}");
    assert!(lines.iter().all(|line| line["composition_kl"].as_f64().is_some_and(|kl| kl > 0.0)), "{lines:?}");
    assert_eq!(metrics(&at.join("apart")), lines);
    for file in ["params.safetensors", "state.json"] {
        let read = |dir: &str| fs::read(at.join(dir).join("checkpoints/step-6").join(file)).unwrap();
        assert!(read("alone") == read("apart"), "{file}");
    }
}

#[test]
fn a_second_writer_is_refused() {
    let folder = folder();
    let at = folder.path();
    for (command, config, dir, endless) in [
        ("finetune", "run.toml", "run", ["run.steps=1000000", "run.checkpoint_every=1"].as_slice()),
        (
            "pretrain",
            "pretrain.toml",
            "trained",
            &["train.epochs=1000000", "train.patience=0", "run.checkpoint_every=1"],
        ),
    ] {
        let mut arguments = vec![command, config];
        endless.iter().for_each(|key| arguments.extend(["--set", key]));
        let running = Running::start(at, &arguments);
        wait_for("a checkpoint", || at.join(dir).join("checkpoints").exists() && !steps(&at.join(dir)).is_empty());
        let busy = format!("error: {dir} is being written to by process {} on ", running.0.id());
        for resumed in [&["--resume"][..], &["--resume", dir]] {
            let said = refused(at, &[&[command, config][..], resumed].concat(), 2);
            assert!(said.starts_with(&busy), "{said}");
        }
        drop(running);
        accepted(at, &[command, config, "--resume", "--quiet", "--set", "run.checkpoint_every=1"]);
    }
}

#[cfg(unix)]
#[test]
fn sigusr1_writes_a_checkpoint_and_the_run_goes_on() {
    let folder = folder();
    let at = folder.path();
    // With a reward that only gets worse, no step is the best but the first.
    let endless =
        ["--set", "run.steps=1000000", "--set", "run.checkpoint_every=1000000", "--set", "ppo.learning_rate=1e-9"];
    let mut running = Running::start(at, &[&["finetune", "run.toml"][..], &endless].concat());
    let lines = || json_lines_so_far(&at.join("run/metrics.jsonl"));
    wait_for("a step", || lines() > 3);
    let before = steps(&at.join("run"));
    running.signal("-USR1");
    let asked = lines();
    wait_for("a checkpoint", || {
        steps(&at.join("run")).iter().any(|step| *step >= asked as u64 && !before.contains(step))
    });
    let then = lines();
    wait_for("more steps", || lines() > then + 2);
    assert!(running.0.try_wait().unwrap().is_none());
    running.signal("-TERM");
    assert_eq!(running.0.wait().unwrap().code(), Some(4));
    let newest = *steps(&at.join("run")).last().unwrap();
    assert_eq!(newest, lines() as u64);
}

fn json_lines_so_far(file: &Path) -> usize {
    fs::read_to_string(file).unwrap_or_default().lines().count()
}

/// A pipe that nobody reads, as the standard error of a run.
#[cfg(unix)]
#[test]
fn standard_error_that_nobody_reads_costs_no_step() {
    let folder = folder();
    let at = folder.path();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_temper"));
    let arguments = ["finetune", "run.toml", "--set", "run.steps=1000000", "--set", "sampling.batch=4"];
    let (reader, writer) = std::io::pipe().unwrap();
    fill(&writer);
    let child = command.current_dir(at).args(arguments).stderr(writer).stdout(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    let lines = || json_lines_so_far(&at.join("run/metrics.jsonl"));
    wait_for("ten steps", || lines() > 10);
    running.signal("-TERM");
    wait_for("the end", || running.0.try_wait().unwrap().is_some());
    assert_eq!(running.0.wait().unwrap().code(), Some(4));
    assert_eq!(*steps(&at.join("run")).last().unwrap(), lines() as u64);
    drop(reader);
}

/// Writes into a pipe until no byte fits.
#[cfg(unix)]
fn fill(pipe: &std::io::PipeWriter) {
    use std::io::Write;
    let mut blocking = pipe.try_clone().unwrap();
    let done = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&done);
    std::thread::spawn(move || {
        while blocking.write_all(b"x").is_ok() {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    });
    let read = || done.load(std::sync::atomic::Ordering::SeqCst);
    let mut last = usize::MAX;
    wait_for("a full pipe", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = read();
        std::mem::replace(&mut last, now) == now
    });
}

#[test]
fn a_dry_run_looks_at_the_directory() {
    let folder = folder();
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=1"]);
    let said = refused(at, &["finetune", "run.toml", "--dry-run"], 2);
    assert!(said.contains("run already holds a run of 1 steps"), "{said}");
    let said = refused(at, &["finetune", "run.toml", "--dry-run", "--resume", "--set", "ppo.clip=0.1"], 2);
    assert!(said.contains("`ppo.clip` was 0.2, is 0.1"), "{said}");
    accepted(at, &["finetune", "run.toml", "--dry-run", "--resume"]);
    fs::write(at.join("file"), "x").unwrap();
    let said = refused(at, &["finetune", "run.toml", "--dry-run", "--set", "run.dir=file/run"], 2);
    assert!(said.contains("file/run"), "{said}");
    let untouched: PathBuf = at.join("untouched");
    accepted(at, &["finetune", "run.toml", "--dry-run", "--set", "run.dir=untouched/deep"]);
    assert!(!untouched.exists());
}
