//! Runs that are killed at every point at which something has just been written, or is about to be: a resumed run ends with the
//! bytes of one that was left alone. Also disks that are full or read-only.

#![cfg(all(debug_assertions, unix))]
#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;
use support::{accepted, command, prepared};

const FINETUNE: &str = r#"
objective = "-log(density)"

[policy]
model = "policy"

[run]
dir = "run"
steps = 2
seed = 7
threads = 1
checkpoint_every = 1
keep = 1
max_failed = 1.0

[sampling]
batch = 4
spacegroups = [1, 225]

[pareto]
terms = { density = "min", sites = "max" }

[rewards.density.builtin]
term = "density"
on_failure = { value = 30.0 }

[rewards.sites.builtin]
term = "n_sites"
"#;

const PRETRAIN: &str = r#"
[data]
files = ["salts.jsonl"]
holdout = 0.4

[policy]
model = "policy"

[run]
dir = "run"
threads = 1

[train]
batch = 4
epochs = 3
schedule = "constant"
learning_rate = 0.3
warmup_steps = 0
patience = 1
out = "run/model"
"#;

/// What makes a training on preferences of [`PRETRAIN`].
const DPO: &str = "\n[dpo]\nchosen = \"rank < 5\"\npairs_per_crystal = 4\n";

fn folder() -> tempfile::TempDir {
    let folder = prepared(FINETUNE);
    let salt = |i: usize| {
        let h = 2.0 + 0.1 * i as f64;
        json!({ "id": format!("salt-{i}"), "rank": i, "lattice": [[0.0, h, h], [h, 0.0, h], [h, h, 0.0]], "species": ["Na", "Cl"],
            "frac_coords": [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]] })
    };
    let lines: Vec<String> = (0..12).map(|i| salt(i).to_string()).collect();
    fs::write(folder.path().join("salts.jsonl"), lines.join("\n")).unwrap();
    fs::write(folder.path().join("pretrain.toml"), PRETRAIN).unwrap();
    fs::write(folder.path().join("dpo.toml"), format!("{PRETRAIN}{DPO}")).unwrap();
    folder
}

/// All files of a run but the lock of its writer, event files and, of the checkpoints, those before the newest; metrics without the clock.
fn contents(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn add(folder: &Path, run: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                add(&path, run, found);
            } else {
                found.insert(path.strip_prefix(run).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    add(run, run, &mut found);
    found.remove(Path::new("writer.lock"));
    // Every start begins an event file, with the time in it.
    found.retain(|path, _| !path.to_str().unwrap().contains("tfevents"));
    let step = |path: &Path| -> Option<u64> {
        path.strip_prefix("checkpoints").ok()?.iter().next()?.to_str()?.strip_prefix("step-")?.parse().ok()
    };
    let newest = found.keys().filter_map(|path| step(path)).max();
    found.retain(|path, _| step(path).is_none() || step(path) == newest);
    let metrics = found.get_mut(Path::new("metrics.jsonl")).unwrap();
    let lines = std::str::from_utf8(metrics).unwrap().lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("time");
        line.to_string()
    });
    *metrics = lines.collect::<Vec<_>>().join("\n").into_bytes();
    // Where the run was started.
    let lock = found.get_mut(Path::new("lock.json")).unwrap();
    let mut entries: serde_json::Value = serde_json::from_slice(lock).unwrap();
    ["started_in", "config_file"].iter().for_each(|key| drop(entries.as_object_mut().unwrap().remove(*key)));
    *lock = entries.to_string().into_bytes();
    found
}

/// Kills the command at one point after the other, until there is none left, and resumes it; returns how many there were.
fn killed_everywhere(arguments: &[&str]) -> usize {
    killed_at_every(1, arguments)
}

/// The same at every so many points.
fn killed_at_every(stride: usize, arguments: &[&str]) -> usize {
    let straight = folder();
    accepted(straight.path(), arguments);
    let expected = contents(&straight.path().join("run"));
    for point in (1..).step_by(stride) {
        let folder = folder();
        let at = folder.path();
        let output = command(at, arguments).env("TEMPER_KILL_POINT", point.to_string()).output().unwrap();
        if output.status.success() {
            return point - 1;
        }
        assert_eq!(output.status.signal(), Some(9), "point {point}: {}", String::from_utf8_lossy(&output.stderr));
        accepted(at, &[arguments, &["--resume"]].concat());
        let found = contents(&at.join("run"));
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&found), names(&expected), "point {point}");
        for (name, bytes) in &expected {
            assert!(found[name] == *bytes, "point {point}: {} differs", name.display());
        }
    }
    unreachable!()
}

#[test]
fn a_fine_tuning_survives_a_kill_at_any_point() {
    let points = killed_everywhere(&["finetune", "run.toml", "--quiet"]);
    // Per step three of each file that is written aside (samples, five of a checkpoint), two of the metrics, two of the rename.
    assert!(points > 2 * (3 * 6 + 2 + 2), "{points}");
}

#[test]
fn a_pretraining_survives_a_kill_at_any_point() {
    let points = killed_everywhere(&["pretrain", "pretrain.toml", "--quiet"]);
    assert!(points > 2 * (3 * 6 + 2 + 2), "{points}");
}

#[test]
fn a_training_on_preferences_survives_a_kill() {
    // Its files are written as those of a pretraining.
    let points = killed_at_every(9, &["pretrain", "dpo.toml", "--quiet", "--set", "train.epochs=2"]);
    assert!(points > 2 * (3 * 6 + 2 + 2), "{points}");
}

/// Runs a shell script in a folder where it may mount, if this user may do that here.
fn mounted(at: &Path, script: &str) -> Option<Output> {
    let unshared = |script: &str| {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_temper")]);
        command.current_dir(at).output()
    };
    let may_mount = unshared("mkdir -p m && mount -t tmpfs none m").is_ok_and(|output| output.status.success());
    if !may_mount {
        println!("skipped: nothing can be mounted here");
        return None;
    }
    Some(unshared(script).unwrap())
}

#[test]
fn a_full_file_system_ends_a_run_with_its_own_code_and_the_run_goes_on_elsewhere() {
    let folder = folder();
    let at = folder.path();
    // Room for the first checkpoint and not for many more.
    let script = "mount -t tmpfs -o size=256k none m && \"$0\" finetune run.toml --set run.dir=m/run --set run.keep=50 \
        --set run.steps=50; code=$?; cp -r m/run left; exit $code";
    let Some(output) = mounted(at, script) else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("error: cannot write m/run/") && said.contains("No space left on device"), "{said}");
    let steps = fs::read_to_string(at.join("left/metrics.jsonl")).unwrap().lines().count();
    assert!(steps < 50, "{steps}");
    let more = format!("run.steps={}", steps + 1);
    accepted(at, &["finetune", "run.toml", "--resume", "left", "--quiet", "--set", &more, "--set", "run.keep=50"]);
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", &more, "--set", "run.keep=50"]);
    let (mut left, mut whole) = (contents(&at.join("left")), contents(&at.join("run")));
    for run in [&mut left, &mut whole] {
        // The directory is part of it.
        run.remove(Path::new("run.toml"));
    }
    assert!(left == whole);
}

#[test]
fn a_read_only_file_system_is_said_before_the_first_step() {
    let folder = folder();
    let script = "mount -t tmpfs none m && mkdir m/sub && mount -o remount,ro m && \"$0\" finetune run.toml --set run.dir=m/sub/run";
    for dry in ["", " --dry-run"] {
        let Some(output) = mounted(folder.path(), &format!("{script}{dry}")) else { return };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(74), "{said}");
        assert!(said.contains("error: cannot write m/sub/run") && said.contains("Read-only file system"), "{said}");
        assert!(!said.contains("step    1"), "{said}");
    }
}
