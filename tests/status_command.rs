//! `temper status` and `temper compare`: runs, seen from another process.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{accepted, assert_refused, json_lines, prepared, temper};

const CONFIG: &str = r#"
objective = "-log(density)"

[policy]
model = "policy"

[run]
dir = "run"
steps = 3
threads = 1
max_failed = 1.0

[sampling]
batch = 8
spacegroups = [225]

[rewards.density.builtin]
term = "density"
on_failure = { value = 30.0 }
"#;

/// A run without an end, killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(at: &Path) -> Self {
        let arguments = ["finetune", "run.toml", "--quiet", "--set", "run.steps=1000000", "--set", "run.dir=endless"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
        command.args(arguments).current_dir(at).stdin(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn status(at: &Path, run: &str) -> String {
    accepted(at, &["status", run]).0
}

#[test]
fn a_run_is_complete_running_or_not() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let complete = status(at, "run");
    assert!(complete.starts_with("run: step 3 of 3, complete, "), "{complete}");
    assert!(complete.contains("objective_mean ") && complete.contains("kl "), "{complete}");

    let running = Running::start(at);
    let expected = format!("of 1000000, running (process {} on ", running.0.id());
    let begun = Instant::now();
    loop {
        let said = temper(at, &["status", "endless"]);
        let said = String::from_utf8(said.stdout).unwrap();
        if said.contains(&expected) && said.contains(" left, last step ") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "{said}");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(running);
    let dead = status(at, "endless");
    assert!(dead.contains(" of 1000000, not running, ") && !dead.contains(" left"), "{dead}");
}

#[test]
fn what_is_half_written_or_no_run_is_no_step() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let mut metrics = OpenOptions::new().append(true).open(at.join("run/metrics.jsonl")).unwrap();
    metrics.write_all(b"{\"step\":4,\"objective_mean\":0.").unwrap();
    assert!(status(at, "run").starts_with("run: step 3 of 3, complete, "));
    fs::create_dir(at.join("empty")).unwrap();
    assert_refused(
        at,
        &["status", "empty"],
        2,
        "error: cannot read empty/run.toml: No such file or directory (os error 2)",
    );
    let both = temper(at, &["status", "empty", "run"]);
    let said = String::from_utf8(both.stdout).unwrap();
    assert!(said.starts_with("empty: unreadable: ") && said.contains("\nrun: step 3 of 3"), "{said}");
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn a_pretraining_counts_epochs() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/old-runs");
    let said = status(&at, "pretrained");
    assert!(said.starts_with("pretrained: epoch 2 of ") && said.contains("valid_nll 18.0788"), "{said}");
}

/// Sums by hand of what the metrics say.
#[test]
fn seeds_are_compared_within_a_config_and_configs_with_one_another() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let run = |dir: &str, seed: &str, weight: &str| {
        let (dir, seed) = (format!("run.dir={dir}"), format!("run.seed={seed}"));
        let weight = format!("ppo.kl_weight={weight}");
        accepted(at, &["finetune", "run.toml", "--quiet", "--set", &dir, "--set", &seed, "--set", &weight]);
    };
    run("a1", "1", "0.25");
    run("a2", "2", "0.25");
    run("b1", "1", "0.5");
    let mean = |run: &str| {
        let lines = json_lines(&at.join(run).join("metrics.jsonl"));
        lines.iter().map(|line| line["objective_mean"].as_f64().unwrap()).sum::<f64>() / 3.0
    };
    let (x, y) = (mean("a1"), mean("a2"));
    let expected = format!("{:.4} +- {:.4}", (x + y) / 2.0, (x - y).abs() / 2f64.sqrt());
    let said = accepted(at, &["compare", "a1", "b1", "a2"]).0;
    let line = said.lines().find(|line| line.starts_with("objective_mean")).unwrap();
    let columns: Vec<&str> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(columns, ["objective_mean", &expected, &format!("{:.4}", mean("b1"))], "{said}");
    assert!(said.contains("\nA: a1 (3), a2 (3)\nB: b1 (3)\n"), "{said}");
    assert!(said.ends_with("\nppo.kl_weight: A 0.25, B 0.5\n"), "{said}");
}
