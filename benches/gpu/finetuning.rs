//! The program itself on the device.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use temper::policy::{Hyperparameters, ModelToml, Parameters, PolicyDirectory};

use super::crystals::{device, host, shipped};
use super::measure::Effort;

/// Crystals of a step.
const BATCH: usize = 1000;

fn temper() -> Command {
    let built = || env!("CARGO_BIN_EXE_temper").into();
    let mut command = Command::new(std::env::var_os("TEMPER_BINARY").map_or_else(built, PathBuf::from));
    command.env("TEMPER_MODELS", host().join("../models"));
    command
}

/// What the program says of the machine.
pub fn doctor(_: Effort) -> Value {
    let output = temper().args(["doctor", "--device", &device().to_string()]).output().expect("the binary");
    json!({ "ok": output.status.success(), "text": String::from_utf8_lossy(&output.stdout) })
}

/// The policy that ships, by the recipe `stability`.
pub fn shipped_policy(effort: Effort) -> Value {
    finetune(&shipped("crystalformer-small"), effort.items(10))
}

/// A policy of the paper's size, untrained: its crystals have more sites than a trained one's, and few can be evaluated.
pub fn paper(effort: Effort) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let hyper = Hyperparameters::paper();
    let parameters = Parameters::initialise(&hyper, 1);
    let policy = PolicyDirectory { model: ModelToml { hyper, spacegroups: None, provenance: None }, parameters };
    policy.save(folder.path()).expect("a policy's folder");
    finetune(folder.path(), effort.items(3))
}

/// Seconds of each stage of a step, and the last step's mean reward.
fn finetune(policy: &Path, steps: usize) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let run = folder.path().join("run");
    let mut command = temper();
    command.args(["finetune", "--quiet", "--recipe", "stability", "--device", &device().to_string()]);
    let text = |path: &Path| path.display().to_string().replace('\\', "/");
    for setting in [
        format!("run.dir=\"{}\"", text(&run)),
        format!("policy.model=\"{}\"", text(policy)),
        format!("run.steps={steps}"),
        format!("sampling.batch={BATCH}"),
        "run.memory=\"24 GiB\"".into(),
        "run.max_failed=1.0".into(),
    ] {
        command.args(["--set", &setting]);
    }
    let output = command.output().expect("the binary");
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    let lines: Vec<Value> = metrics.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    // The first step also makes the sessions.
    let later = if lines.len() > 1 { &lines[1..] } else { &lines[..] };
    let mean =
        |key: &str| later.iter().filter_map(|line| line["time"][key].as_f64()).sum::<f64>() / later.len().max(1) as f64;
    let keys = ["sample", "reward", "likelihood", "gradient", "optimiser", "step"];
    let seconds: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).into(), mean(key).into())).collect();
    let error = String::from_utf8_lossy(&output.stderr);
    let error: Vec<&str> = error.lines().rev().take(5).collect();
    json!({
        "ok": output.status.success() && lines.len() == steps, "steps": lines.len(), "batch": BATCH, "seconds": seconds,
        "first_step_seconds": lines.first().map(|line| line["time"]["step"].clone()),
        "last": lines.last().cloned(), "error": error,
    })
}
