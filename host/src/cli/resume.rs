//! How a run begins or goes on: its config, where its relative paths are looked for, and what may have changed meanwhile.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure, Recipe, Search};
use crate::config::{Config, Document, Override, changed_keys};
use crate::input::{MOST_TEXT, read_text};
use crate::record::{Change, Lock, Origin, RunDirectory, RunError};

/// The options of `finetune` and `pretrain` by which a run goes on.
#[derive(Debug, Args)]
pub(super) struct Resumption {
    /// Continue from the newest checkpoint in DIR, by default `run.dir`, or start if there is none; with DIR, CONFIG may be left out
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    resume: Option<Option<PathBuf>>,
    /// Continue although this key of the config (or of lock.json) has changed, and note it in changes.jsonl; may be repeated
    #[arg(long = "accept-changed", value_name = "KEY", requires = "resume")]
    pub(super) accepted: Vec<String>,
}

/// A run's config, found.
pub(super) struct Beginning {
    pub document: Document,
    pub search: Search,
    pub origin: Origin,
    /// Whether to go on with what is there.
    pub resume: bool,
    /// The directory that `--resume` names.
    pub directory: Option<PathBuf>,
}

impl Resumption {
    /// `--resume` by itself.
    pub(super) fn from_the_newest() -> Self {
        Self { resume: Some(None), accepted: Vec::new() }
    }

    /// Opens the config that the arguments name: a file, a recipe, or that of the run to resume.
    pub(super) fn begin(
        &self,
        config: Option<&Path>,
        recipe: Option<&Recipe>,
        set: &[String],
    ) -> Result<Beginning, Failure> {
        let mut overrides = set.iter().map(|s| s.parse()).collect::<Result<Vec<Override>, _>>()?;
        let named = self.resume.as_ref().and_then(Option::as_deref);
        // `--resume CONFIG`, the words in another order.
        let (config, directory) = match (config, named) {
            (None, Some(file)) if recipe.is_none() && file.is_file() => (Some(file), None),
            (config, directory) => (config, directory),
        };
        if let Some(directory) = directory {
            overrides.push(run_dir(directory)?);
        }
        let (document, search, origin) = match (recipe, config, directory) {
            (Some(recipe), _, _) => {
                let document = Document::new(format!("recipe {}", recipe.name), recipe.text, overrides);
                (document, Search::new(None), origin(None)?)
            }
            (None, Some(file), _) => (Document::open(file, overrides)?, Search::of_config(file), origin(Some(file))?),
            (None, None, Some(directory)) => {
                let file = directory.join("run.toml");
                if !file.is_file() {
                    return Err(Failure::user(format!(
                        "{}: nothing to resume: no run.toml in it",
                        directory.display()
                    ))
                    .hint("--resume takes the directory of a run, `run.dir` of its config"));
                }
                let first = Lock::origin(directory).map_or_else(|| origin(Some(&file)), Ok)?;
                (Document::open(&file, overrides)?, Search::of_config(&file), first)
            }
            (None, None, None) => {
                return Err(Failure::user("no config: name a file, or the directory of a run with --resume"));
            }
        };
        let directory = directory.map(Path::to_owned);
        Ok(Beginning { document, search, origin, resume: self.resume.is_some(), directory })
    }
}

impl Beginning {
    /// Whether there is a run in this directory that is resumed.
    pub fn goes_on(&self, directory: &Path) -> Result<bool, RunError> {
        Ok(self.resume && RunDirectory::look(directory, true, "steps")?.resumes_after().is_some())
    }

    /// Where the run writes what its config names with a relative path: a run that is resumed by its directory may be resumed from
    /// any folder, and may have been moved since `old_dir`.
    pub fn output(&self, path: &Path, old_dir: Option<&Path>) -> PathBuf {
        let Some(directory) = self.directory.as_ref().filter(|_| path.is_relative()) else { return path.to_owned() };
        match old_dir.and_then(|old| path.strip_prefix(old).ok()) {
            Some(inside) => directory.join(inside),
            None => self.origin.folder.join(path),
        }
    }

    /// `run.dir` as the run recorded it, which is resumed by its directory.
    pub fn recorded_dir(&self) -> Option<PathBuf> {
        let text = read_text(&self.directory.as_ref()?.join("run.toml"), MOST_TEXT).ok()?;
        let table: toml::Table = text.parse().ok()?;
        Some(table.get("run")?.get("dir")?.as_str()?.into())
    }

    /// The keys that shape the numbers and are not what the run to resume was started with.
    pub fn changes<C: Config>(
        &self,
        directory: &RunDirectory,
        new: &C,
        decisive: impl Fn(&C) -> C,
    ) -> Result<Vec<Change>, Failure> {
        if directory.resumes_after().is_none() {
            return Ok(Vec::new());
        }
        let name = directory.config_file().display().to_string();
        let old: C = Document::new(name, directory.recorded_config()?, Vec::new()).read()?;
        let changed = changed_keys(&decisive(&old), &decisive(new))?;
        Ok(changed.into_iter().map(|(key, was, is)| Change { key, was, is }).collect())
    }
}

impl Context {
    /// Opens the directory of a run. The sentence is to be said once nothing is wrong with it: after which `unit` (step or epoch) the
    /// run goes on, or that there is none to resume.
    pub(super) fn run_directory(
        &self,
        path: &Path,
        resume: bool,
        units: &'static str,
    ) -> Result<(RunDirectory, Option<String>), RunError> {
        let directory = RunDirectory::open(path, resume, units)?;
        if let Some(warning) = directory.warning() {
            self.say(&format!("warning: {warning}"));
        }
        let sentence = match directory.resumes_after() {
            Some(done) => Some(format!("resuming after {} {done}", units.trim_end_matches('s'))),
            None => resume.then(|| format!("nothing to resume in {}: starting from the beginning", path.display())),
        };
        Ok((directory, sentence))
    }
}

fn run_dir(directory: &Path) -> Result<Override, Failure> {
    let text = directory.to_str().ok_or_else(|| {
        Failure::user(format!("{}: the name of a run's directory must be UTF-8", directory.display()))
    })?;
    Ok(Override::text(&["run", "dir"], text))
}

/// What is left to say when a run was interrupted.
pub(super) fn after_interruption(saved: Option<u64>, unit: &str) -> String {
    match saved {
        Some(done) => format!("the checkpoint of {unit} {done} is written; continue with --resume"),
        None => format!("no {unit} was finished, so there is no checkpoint"),
    }
}

/// Here and now.
fn origin(config: Option<&Path>) -> Result<Origin, Failure> {
    let refused = |error| Failure::user(format!("the current folder cannot be found: {error}"));
    let folder = std::env::current_dir().map_err(refused)?;
    Ok(Origin { config: config.map(|config| folder.join(config)), folder })
}
