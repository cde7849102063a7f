//! The first load of a library, which happens in a process of its own, and whose result is remembered.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use temper_plugin_api::Descriptor;
use temper_plugin_api::abi::ROOT_SYMBOL;

use super::permissions::writable_by_others;
use super::serve;
use super::start::{StartError, start};
use crate::atomic::write_atomically;
use crate::input;
use crate::worker::{self, Supervision, WorkerCommand, WorkerFailure, run};

/// What became of the first load of a library.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeResult {
    /// It can be used.
    Usable(Descriptor),
    /// It is no plugin, or none for this program.
    Refused {
        /// Why.
        reason: String,
        /// What to do about it.
        advice: Option<String>,
    },
    /// It took its process down, and is not loaded again until the file changes or somebody asks.
    Crashed {
        /// How.
        reason: String,
    },
}

/// Loads libraries in processes of their own.
#[derive(Clone, Debug)]
pub struct Probe {
    /// This program, as `temper plugin serve` will be called.
    pub program: PathBuf,
    /// Where results are kept; `None`: nowhere.
    pub cache: Option<PathBuf>,
    /// How long a library may take to say what it is.
    pub deadline: Duration,
}

/// A result as it is kept.
#[derive(Serialize, Deserialize)]
struct CacheEntry {
    /// The program that found it: another one may find otherwise.
    program: String,
    result: ProbeResult,
}

impl Probe {
    /// The command that serves the plugin at a path, if its bytes have this SHA-256 where one is given, or the one that the program
    /// carries under a name.
    pub fn command(&self, plugin: &Path, hash: Option<&str>) -> WorkerCommand {
        let mut arguments = vec!["plugin".into(), "serve".into(), plugin.into()];
        arguments.extend(hash.iter().flat_map(|hash| ["--sha256".into(), hash.into()]));
        WorkerCommand::new(self.program.clone(), arguments)
    }

    /// The same command, where several threads ask the plugin about each batch at once, which must agree.
    pub fn command_in_threads(&self, plugin: &Path, threads: u8) -> WorkerCommand {
        let mut command = self.command(plugin, None);
        command.arguments.extend(["--at-once".into(), threads.to_string().into()]);
        command
    }

    fn kept_at(&self, hash: &str) -> Option<PathBuf> {
        Some(self.cache.as_ref()?.join("plugins").join(format!("{hash}.json")))
    }
}

/// The SHA-256 of a library and what became of its first load: the result that is kept for these bytes, unless a new one is asked for
/// by `again`. What was refused is tried each time, and what anyone may write is never loaded.
///
/// # Errors
/// When the file cannot be read.
pub fn probe(probe: &Probe, library: &Path, again: bool) -> std::io::Result<(String, ProbeResult)> {
    let hash = sha256(library)?;
    if let Some(reason) = writable_by_others(library) {
        let advice = Some("allow only its owner to write the library and its folder: chmod o-w".to_owned());
        return Ok((hash, ProbeResult::Refused { reason, advice }));
    }
    let program = format!("{} {}", env!("CARGO_PKG_VERSION"), super::API_VERSION);
    let kept_at = probe.kept_at(&hash);
    let read = |path: &PathBuf| serde_json::from_slice::<CacheEntry>(&std::fs::read(path).ok()?).ok();
    let kept = kept_at.as_ref().filter(|_| !again).and_then(read).filter(|kept| kept.program == program);
    if let Some(kept) = kept {
        return Ok((hash, kept.result));
    }
    let result = load(probe.command(library, None).guarded_by(&probe.program), probe.deadline);
    // Why a library is refused may lie in the machine, which changes without it.
    if let Some(path) = kept_at.filter(|_| !matches!(result, ProbeResult::Refused { .. })) {
        let kept = serde_json::to_vec(&CacheEntry { program, result: result.clone() });
        // A result that is not kept is found again.
        let _ = path.parent().map(std::fs::create_dir_all);
        let _ = kept.map(|bytes| write_atomically(&path, &bytes));
    }
    Ok((hash, result))
}

/// Whether a library has the name of what a plugin exports in it. Those that do not need not be loaded, which runs their code.
///
/// # Errors
/// When it cannot be read.
pub(super) fn names_the_root(library: &Path) -> std::io::Result<bool> {
    let bytes = input::read(library, input::MOST_DATA)?;
    Ok(memchr::memmem::find(&bytes, ROOT_SYMBOL.as_bytes()).is_some())
}

/// The SHA-256 of a file.
///
/// # Errors
/// When it cannot be read.
pub fn sha256(file: &Path) -> std::io::Result<String> {
    Ok(Sha256::digest(input::read(file, input::MOST_DATA)?).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn load(command: WorkerCommand, deadline: Duration) -> ProbeResult {
    let supervision = Supervision::of_one(deadline, deadline, None);
    let started = run(async move {
        let (worker, descriptor) = start(&command, &serve::describe(), supervision).await?;
        worker.end().await;
        Ok(descriptor)
    });
    match started.map_err(StartError::from).and_then(|started| started) {
        Ok(descriptor) => ProbeResult::Usable(descriptor),
        Err(StartError::Refused(reason, advice)) => ProbeResult::Refused { reason, advice },
        Err(StartError::Worker(worker::StartError::Failed(
            failure @ (WorkerFailure::Exited { .. } | WorkerFailure::Deadline(_)),
        ))) => ProbeResult::Crashed { reason: failure.to_string() },
        Err(error) => ProbeResult::Refused { reason: error.to_string(), advice: None },
    }
}
