//! Running the binary.
#![allow(clippy::unwrap_used, reason = "a test that cannot run its command has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]
#![allow(dead_code, reason = "no test binary needs all of it")]

use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use temper::graph::{Attributes, Builder, DataType, Dim, encode};
use temper::policy::{Hyperparameters, ModelToml, Parameters, PolicyDirectory};

/// `temper` in a folder.
pub fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
    command.current_dir(folder).args(arguments);
    command
}

/// Runs `temper` in a folder.
pub fn temper(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// The folder of reference material beside the repository (or TEMPER_SHARED), where it is there.
pub fn shared() -> Option<PathBuf> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared").into();
    let folder = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no shared data at {}", folder.display());
    None
}

/// The table of the policy that [`small`] describes, for a config of pretraining.
pub const SMALL_CRYSTALFORMER: &str = "[policy.crystalformer]
Nf = 2
Kx = 2
Kl = 1
n_max = 3
h0_size = 4
num_layers = 1
num_heads = 2
key_size = 4
model_size = 8
embed_size = 4
";

/// Writes a model that sums up the atomic numbers, `charge`, to `sum.onnx`; or, with the reduction `none`, one that loses them.
pub fn write_charge_model(folder: &Path, reduction: &str) {
    let mut b = Builder::new();
    let (n, m) = (b.symbol("n"), b.symbol("b"));
    let numbers = b.input("atomic_numbers", DataType::I64, &[n]);
    let batch = b.input("batch", DataType::I64, &[n]);
    let cell = b.input("cell", DataType::F32, &[m, Dim::Known(3), Dim::Known(3)]);
    let charges = b.cast(numbers, DataType::F32);
    let level = b.reduce_sum(cell, &[1, 2], false);
    let none = b.zeros_like(level);
    let how = Attributes::none().string("reduction", reduction);
    let sum = b.node("ScatterElements", &[none, batch, charges], how);
    b.output("charge", sum);
    let model = b.finish("sum", &[("temper.contract", "1"), ("temper.elements", "1-118")]).unwrap();
    std::fs::write(folder.join("sum.onnx"), encode(&model)).unwrap();
}

/// Of a small policy with three site slots.
pub fn small() -> Hyperparameters {
    Hyperparameters {
        Nf: 2,
        Kx: 2,
        Kl: 1,
        n_max: 3,
        h0_size: 4,
        num_layers: 1,
        num_heads: 2,
        key_size: 4,
        model_size: 8,
        embed_size: 4,
        ..Hyperparameters::paper()
    }
}

/// Writes a policy that was not trained.
pub fn untrained_policy(folder: &Path, hyper: Hyperparameters) -> PolicyDirectory {
    let parameters = Parameters::initialise(&hyper, 1);
    let policy = PolicyDirectory { model: ModelToml { hyper, spacegroups: None, provenance: None }, parameters };
    policy.save(folder).unwrap();
    policy
}

/// A folder with a small untrained policy, `policy`, and a config, `run.toml`.
pub fn prepared(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    untrained_policy(&folder.path().join("policy"), small());
    std::fs::write(folder.path().join("run.toml"), config).unwrap();
    folder
}

/// A config of a run towards dense crystals, which any policy can do; `run` holds further keys of `[run]`.
pub fn density_run(run: &str) -> String {
    format!(
        r#"
objective = "-log(density)"

[policy]
model = "policy"

[run]
dir = "run"
seed = 7
threads = 1
max_failed = 1.0
{run}

[sampling]
batch = 12
spacegroups = [1, 225]

[ppo]
learning_rate = 1e-2

[rewards.density.builtin]
term = "density"
on_failure = {{ value = 30.0 }}
"#
    )
}

/// The lines of a run's metrics, without the clock.
pub fn metrics(run: &Path) -> Vec<serde_json::Value> {
    let mut lines = json_lines(&run.join("metrics.jsonl"));
    lines.iter_mut().for_each(|line| drop(line.as_object_mut().unwrap().remove("time")));
    lines
}

/// The samples of a step.
pub fn samples(run: &Path, step: u64) -> Vec<serde_json::Value> {
    json_lines(&run.join(format!("samples/step-{step}.jsonl.gz")))
}

/// The rows of a file of JSON lines, compressed or not.
pub fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = match path.extension().is_some_and(|extension| extension == "gz") {
        true => std::io::read_to_string(flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())).unwrap(),
        false => std::fs::read_to_string(path).unwrap(),
    };
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs it, demands success, and returns standard output and standard error.
pub fn accepted(folder: &Path, arguments: &[&str]) -> (String, String) {
    let output = temper(folder, arguments);
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "temper {arguments:?}: {stderr}");
    (stdout, stderr)
}

/// Runs it, demands this exit code, and returns standard error.
pub fn refused(folder: &Path, arguments: &[&str], code: i32) -> String {
    let output = temper(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "temper {arguments:?}: {said}");
    said
}

/// Runs it and holds the exit code and all of standard error against what is expected.
pub fn assert_refused(folder: &Path, arguments: &[&str], code: i32, stderr: &str) {
    let output = temper(folder, arguments);
    assert_eq!(String::from_utf8_lossy(&output.stderr).trim_end(), stderr, "temper {arguments:?}");
    assert_eq!(output.status.code(), Some(code), "temper {arguments:?}");
}

/// Where crates outside of the workspace are built; their dependencies are built there once.
pub fn cargo_target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugins")
}

/// Runs cargo in the folder of a crate outside of the workspace, and demands success.
pub fn nested_cargo(folder: &Path, arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = std::process::Command::new(cargo);
    let output = command.current_dir(folder).args(arguments).env("CARGO_TARGET_DIR", cargo_target()).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
