//! Finds plugins: those that are part of the program, and libraries in the folders where plugins are looked for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::probe::names_the_root;
use super::{
    Descriptor, Evaluator, LoadError, OpenError, PluginLibrary, Probe, ProbeResult, Supervision, WorkerCommand,
    builtin_plugin, builtin_plugins, probe, sha256,
};
use crate::hint::Hint;
use crate::worker::Environment;

/// Where plugins are looked for.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Folders; of two plugins with one name the first counts.
    pub folders: Vec<PathBuf>,
    /// Folders whose libraries are listed and not loaded: loading runs their code, and the user has not asked for them.
    pub listed_only: Vec<PathBuf>,
    /// Loads what is found.
    pub probe: Probe,
}

/// A plugin, or a library that is none.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// Where it is; `None`: carried by the program.
    pub path: Option<PathBuf>,
    /// SHA-256 of the file.
    pub hash: Option<String>,
    /// What became of its first load.
    pub result: ProbeResult,
    /// Another plugin before it has its name.
    pub hidden: bool,
    /// A library of something else: it does not have the name of what plugins export in it, and has not been loaded.
    pub is_foreign: bool,
}

/// A plugin that can be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Usable {
    /// Where it is; `None`: carried by the program.
    pub path: Option<PathBuf>,
    /// SHA-256 of the file.
    pub hash: Option<String>,
    /// What it says of itself.
    pub descriptor: Descriptor,
}

/// Why there is no such plugin.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// No file there.
    #[error("{}: {reason}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: std::io::Error,
    },
    /// No plugin of that name.
    #[error("there is no plugin \"{name}\"; the known ones are {}", .known.join(", "))]
    Name {
        /// As given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
        /// Libraries there that cannot be used.
        unusable: usize,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// A file that cannot be used.
    #[error("{reason}")]
    Unusable {
        /// Why.
        reason: String,
        /// What to do about it.
        advice: Option<String>,
    },
}

impl Hint for NotFound {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Name { searched, unusable, .. } => {
                let searched: Vec<String> = searched.iter().map(|folder| folder.display().to_string()).collect();
                let mut hints = vec![format!("looked in {}; --plugin-dir names another folder", searched.join(", "))];
                if *unusable > 0 {
                    hints.push(format!("`temper plugin list` says why {unusable} libraries there cannot be used"));
                }
                hints
            }
            Self::Unusable { advice, .. } => advice.iter().cloned().collect(),
            Self::File { .. } => Vec::new(),
        }
    }
}

impl Discovery {
    /// Everything that there is, the program's own first. `again`: past crashes are tried again.
    pub fn list(&self, again: bool) -> Vec<Discovered> {
        let carried = builtin_plugins().into_iter().map(|plugin| {
            let result = ProbeResult::Usable(plugin.descriptor().clone());
            Discovered { path: None, hash: None, result, hidden: false, is_foreign: false }
        });
        let mut found: Vec<Discovered> = carried.collect();
        let mut seen = BTreeSet::new();
        let (loaded, listed) = (libraries(&self.folders), libraries(&self.listed_only));
        let listed = listed.iter().filter(|library| !is_among(library, &loaded));
        let listed = listed.map(|library| foreign(library).unwrap_or_else(|| not_loaded(library)));
        let looked_at = loaded.iter().map(|library| foreign(library).unwrap_or_else(|| self.look_at(library, again)));
        let looked_at = looked_at.chain(listed);
        // `cargo build` leaves each library under two names.
        found.extend(looked_at.filter(|plugin| plugin.hash.as_ref().is_none_or(|hash| seen.insert(hash.clone()))));
        let mut names = BTreeSet::new();
        for plugin in &mut found {
            if let ProbeResult::Usable(descriptor) = &plugin.result {
                plugin.hidden = !names.insert(descriptor.name.clone());
            }
        }
        found
    }

    /// The plugin of a name, or at a path.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn find(&self, name: &str) -> Result<Usable, NotFound> {
        if is_path(name) {
            return self.open(Path::new(name));
        }
        let all = self.list(false);
        let usable = |plugin: &Discovered| match &plugin.result {
            ProbeResult::Usable(descriptor) if descriptor.name == name => {
                Some(Usable { path: plugin.path.clone(), hash: plugin.hash.clone(), descriptor: descriptor.clone() })
            }
            _ => None,
        };
        all.iter().find_map(usable).ok_or_else(|| {
            let named = |plugin: &Discovered| match &plugin.result {
                ProbeResult::Usable(descriptor) => Some(descriptor.name.clone()),
                _ => None,
            };
            let known: Vec<String> = all.iter().filter_map(named).collect();
            let others = all.iter().filter(|plugin| plugin.is_foreign).count();
            let unusable = all.len() - known.len() - others;
            NotFound::Name {
                name: name.to_owned(),
                known,
                unusable,
                searched: self.folders.iter().chain(&self.listed_only).cloned().collect(),
            }
        })
    }

    /// The plugin of a file.
    ///
    /// # Errors
    /// [`NotFound`].
    pub fn open(&self, path: &Path) -> Result<Usable, NotFound> {
        let (hash, result) =
            probe(&self.probe, path, false).map_err(|reason| NotFound::File { path: path.to_owned(), reason })?;
        match result {
            ProbeResult::Usable(descriptor) => Ok(Usable { path: Some(path.to_owned()), hash: Some(hash), descriptor }),
            ProbeResult::Refused { reason, advice } => Err(NotFound::Unusable { reason, advice }),
            ProbeResult::Crashed { reason } => Err(NotFound::Unusable {
                reason: format!("{}: set aside, because at its first load {reason}", path.display()),
                advice: Some("`temper plugin list --again` tries it once more".to_owned()),
            }),
        }
    }

    /// Starts a plugin: watched over in workers, or in this process if nobody is to watch over it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn start(
        &self,
        plugin: &Usable,
        interface: &str,
        config: &Map<String, Value>,
        workers: Option<(Supervision, Environment)>,
    ) -> Result<Evaluator, OpenError> {
        let name = &plugin.descriptor.name;
        match (workers, &plugin.path) {
            (Some((supervision, environment)), path) => {
                let named = path.as_deref().unwrap_or(Path::new(name));
                let command = self.probe.command(named, plugin.hash.as_deref());
                let command = WorkerCommand { environment, ..command }.guarded_by(&self.probe.program);
                Evaluator::in_workers(name, command, interface, config, supervision)
            }
            (None, Some(path)) => Evaluator::in_process(&PluginLibrary::open(path)?, interface, config),
            (None, None) => {
                let lost =
                    || OpenError::Start { name: name.clone(), reason: "the program does not carry it".to_owned() };
                Evaluator::in_process(&builtin_plugin(name).ok_or_else(lost)?, interface, config)
            }
        }
    }

    fn look_at(&self, path: &Path, again: bool) -> Discovered {
        let unreadable = |error: std::io::Error| {
            let reason = format!("{}: {error}", path.display());
            (None, ProbeResult::Refused { reason, advice: None })
        };
        let seen = probe(&self.probe, path, again).map(|(hash, result)| (Some(hash), result));
        let (hash, result) = seen.unwrap_or_else(unreadable);
        Discovered { path: Some(path.to_owned()), hash, result, hidden: false, is_foreign: false }
    }
}

/// Libraries in the folders, and one level below them, where `cargo build` and unpacked archives leave them.
fn libraries(folders: &[PathBuf]) -> Vec<PathBuf> {
    let mut seen = BTreeSet::new();
    let folders = folders.iter().flat_map(|folder| {
        let below = entries(folder).into_iter().filter(|entry| entry.is_dir());
        std::iter::once(folder.clone()).chain(below)
    });
    let files = folders.flat_map(|folder| entries(&folder)).filter(|file| is_library(file) && file.is_file());
    files.filter(|file| seen.insert(file.canonicalize().unwrap_or_else(|_| file.clone()))).collect()
}

fn is_among(library: &Path, others: &[PathBuf]) -> bool {
    let real = library.canonicalize();
    real.is_ok_and(|real| others.iter().any(|other| other.canonicalize().is_ok_and(|other| other == real)))
}

/// A library of something else, if it is one.
fn foreign(library: &Path) -> Option<Discovered> {
    if names_the_root(library).unwrap_or(true) {
        return None;
    }
    let error = LoadError::NoRoot { path: library.to_owned() };
    let result = ProbeResult::Refused { reason: error.to_string(), advice: error.hints().pop() };
    let (path, hash) = (Some(library.to_owned()), sha256(library).ok());
    Some(Discovered { path, hash, result, hidden: false, is_foreign: true })
}

/// A library that nobody has asked for.
fn not_loaded(library: &Path) -> Discovered {
    let (path, folder) = (library.display(), library.parent().unwrap_or(library).display());
    let result = ProbeResult::Refused {
        reason: format!("{path}: not loaded, because a library in the current folder may be anybody's"),
        advice: Some(format!("to use it, name it by its path, or give --plugin-dir {folder}")),
    };
    Discovered { path: Some(library.to_owned()), hash: sha256(library).ok(), result, hidden: false, is_foreign: false }
}

/// Whether a plugin is named by its file.
pub fn is_path(name: &str) -> bool {
    name.contains(std::path::MAIN_SEPARATOR) || is_library(Path::new(name))
}

fn is_library(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
}

/// What a folder holds, short names first; nothing where there is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).into_iter().flatten();
    let mut entries: Vec<PathBuf> = read.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort_by_key(|entry| (entry.as_os_str().len(), entry.clone()));
    entries
}
