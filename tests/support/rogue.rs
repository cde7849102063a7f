//! The rogue plugin of tests/rogue-plugin, built and started.
#![allow(dead_code, reason = "no test binary needs all of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Map, Value, json};
use temper::crystal::{Element, Lattice, Structure};
use temper::plugin::{Discovery, Evaluator, OpenError, Probe, REWARD, Supervision, WorkerCommand};

/// The binary under test.
pub fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_temper").into()
}

/// The folder with the libraries of a package of the workspace.
pub fn built(package: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--locked", "-p", package, "--lib", "--examples"]);
    cargo.args(["--manifest-path", manifest, "--target-dir"]).arg(target);
    assert!(cargo.status().unwrap().success(), "{package} cannot be built");
    target.join("debug")
}

/// The folder with the rogue's libraries, built once.
fn rogues() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| built("temper-rogue-plugin"))
}

/// The plugin that misbehaves as its config says.
pub fn library() -> PathBuf {
    rogues().join("libtemper_rogue_plugin.so")
}

/// One of those that misbehave without a config.
pub fn library_of(example: &str) -> PathBuf {
    rogues().join(format!("examples/lib{example}.so"))
}

pub fn config(how: &str) -> Map<String, Value> {
    Map::from_iter([("how".to_owned(), json!(how))])
}

pub fn supervision() -> Supervision {
    Supervision {
        deadline: Duration::from_secs(60),
        start_deadline: Duration::from_secs(60),
        memory: None,
        workers: 1,
        max_batch: None,
        max_restarts: 5,
    }
}

pub fn discovery(cache: &Path) -> Discovery {
    let probe = Probe { program: program(), cache: Some(cache.to_owned()), deadline: Duration::from_secs(2) };
    Discovery { folders: Vec::new(), listed_only: Vec::new(), probe }
}

/// The plugin in workers.
pub fn started(how: &str, supervision: Supervision) -> Result<Evaluator, OpenError> {
    let probe = Probe { program: program(), cache: None, deadline: Duration::from_secs(2) };
    Evaluator::in_workers("rogue", probe.command(&library(), None), REWARD, &config(how), supervision)
}

pub fn workers(how: &str) -> Evaluator {
    started(how, supervision()).unwrap()
}

/// A program of a stranger's.
pub fn shell(script: &str) -> WorkerCommand {
    WorkerCommand::new("sh", vec!["-c".into(), script.into()])
}

/// Cubes with so many atoms of iron each.
pub fn cubes(atoms: &[usize]) -> Vec<Structure> {
    let lattice = Lattice([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]);
    let iron = Element::from_symbol("Fe").unwrap();
    let along = |n: usize| (0..n).map(|i| [0.25 * i as f64, 0.0, 0.0]).collect();
    atoms.iter().map(|&n| Structure::new(lattice, vec![iron; n], along(n)).unwrap()).collect()
}

pub fn refs(structures: &[Structure]) -> Vec<&Structure> {
    structures.iter().collect()
}
