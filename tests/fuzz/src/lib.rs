//! What is fuzzed: one function for each reader of what may come from anybody. An input that a reader refuses is fine; a panic,
//! a hang, memory without bound, or something read that breaks a promise is not.
//!
//! The programs in `fuzz_targets` run them under libFuzzer, and `tests/fuzz.rs` on every `cargo test`.
#![allow(
    clippy::unwrap_used,
    reason = "a reader that breaks a promise has failed, and so has a disk that cannot be written"
)]

mod configs;
mod crystals;
mod graphs;
mod hulls;
mod policies;
mod runs;
mod workers;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

pub use configs::{finetune_config, model_toml, objective, pretrain_config};
pub use crystals::{cif, crystal, csv, extxyz, json_lines, known, pairs, poscar, structure_index, tokens};
pub use graphs::{onnx, sidecar};
pub use hulls::{entries, hull};
pub use policies::{pickle, safetensors, smallest};
pub use runs::run_files;
pub use workers::worker_frames;

/// A name, and what is run on an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 22] = [
    ("cif", cif),
    ("crystal", crystal),
    ("csv", csv),
    ("entries", entries),
    ("extxyz", extxyz),
    ("finetune_config", finetune_config),
    ("hull", hull),
    ("json_lines", json_lines),
    ("known", known),
    ("model_toml", model_toml),
    ("objective", objective),
    ("onnx", onnx),
    ("pairs", pairs),
    ("pickle", pickle),
    ("poscar", poscar),
    ("pretrain_config", pretrain_config),
    ("run_files", run_files),
    ("safetensors", safetensors),
    ("sidecar", sidecar),
    ("structure_index", structure_index),
    ("tokens", tokens),
    ("worker_frames", worker_frames),
];

thread_local! {
    static FOLDER: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// A folder of this thread, the same one each time.
fn folder() -> PathBuf {
    FOLDER.with(|folder| folder.get_or_init(|| tempfile::tempdir().unwrap()).path().to_owned())
}

/// A file of this name with these bytes: most readers take files.
fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Whatever is refused must be said, in a sentence that is no longer than what can be read.
fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> Option<T> {
    const LONGEST: usize = 64 << 10;
    result.map_err(|error| assert!(error.to_string().len() < LONGEST, "an error of more than {LONGEST} bytes")).ok()
}

/// A file of this repository.
fn repository(path: &str) -> PathBuf {
    // Beside the workspace's member when this is compiled into its tests, and two folders up otherwise.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().find(|folder| folder.join("ARCHITECTURE.md").is_file());
    root.unwrap().join(path)
}
