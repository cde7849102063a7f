//! What every subcommand receives: the global options, and a way to print messages.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use tracing_subscriber::EnvFilter;

use super::arguments::LogFormat;
use super::{Exit, Failure, Globals, Interrupts, Progress, terminal};
use crate::config::Memory;
use crate::plugin::{Discovery, Probe};
use crate::ranks::{Neighbours, Ranks};
use crate::runtime::default_threads;

/// How long a plugin may take to say what it is.
const FIRST_LOAD: Duration = Duration::from_secs(10);

/// What `--log` takes.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The scratch folder, for ends of the process that drop nothing.
static SCRATCH: OnceLock<PathBuf> = OnceLock::new();

/// Removes what the process would leave behind if it exited now.
pub(super) fn remove_scratch() {
    if let Some(folder) = SCRATCH.get() {
        // What cannot be removed is the system's to clean.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// The global options, checked, and the terminal.
#[derive(Debug)]
pub struct Context {
    /// The global options as given, but that of several ranks the first alone speaks.
    pub globals: Globals,
    /// The signals that were received, once they are listened for: one listener for all runs of a sweep.
    pub(super) interrupts: OnceLock<Interrupts>,
    /// The processes that share the work.
    pub ranks: Ranks,
    /// Where all but the first write.
    scratch: Option<TempDir>,
}

impl Context {
    /// Checks the global options and starts logging.
    ///
    /// # Errors
    /// When `--log` is no level.
    pub fn new(globals: Globals, ranks: Ranks) -> Result<Self, Failure> {
        start_log(&globals)?;
        let scratch = match ranks.is_first() {
            true => None,
            false => Some(tempfile::tempdir().map_err(|error| Failure::from_error(Exit::Write, &error))?),
        };
        if let Some(scratch) = &scratch {
            let _ = SCRATCH.set(scratch.path().to_owned());
        }
        let globals = Globals { quiet: globals.quiet || !ranks.is_first(), ..globals };
        Ok(Self { globals, interrupts: OnceLock::new(), ranks, scratch })
    }

    /// Where this process writes what is to stand at `path`: there, or, on all ranks but the first, where it is thrown away.
    pub fn writable(&self, path: &Path) -> PathBuf {
        match &self.scratch {
            None => path.to_owned(),
            Some(scratch) => scratch.path().join(path.file_name().unwrap_or_default()),
        }
    }

    /// Prints a result, with a newline, on standard output.
    ///
    /// # Errors
    /// When it cannot be written; a reader that went away (`| head`) is no error.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        if !self.ranks.is_first() {
            return Ok(());
        }
        match writeln!(std::io::stdout().lock(), "{}", terminal::shown(text)) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(Failure::new(Exit::Write, format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Says what is going on, on standard error, unless `--quiet`. That it may get lost is accepted.
    pub fn say(&self, text: &str) {
        if !self.globals.quiet {
            terminal::line(text);
        }
    }

    /// Says so when one crystal takes more than the `memory` of a run: it is taken all the same.
    pub(super) fn warn_of_memory(&self, memory: u64, least: u64) {
        if memory < least {
            let (memory, least) = (Memory::of_bytes(memory), least.div_ceil(1 << 20));
            self.say(&format!(
                "warning: `run.memory` is {memory}, but the gradient of a crystal with as many sites as the policy has slots takes {least} MiB"
            ));
        }
    }

    /// Threads of `--threads`, else of the config, where 0 stands for all cores, shared with the ranks that have the same ones.
    pub fn threads(&self, config: usize) -> usize {
        match self.globals.threads.unwrap_or(config) {
            0 => (default_threads() / Neighbours::find(self.ranks).on_these_cores).max(1),
            n => n,
        }
    }

    /// Where plugins are looked for: `--plugin-dir`, `TEMPER_PLUGIN_PATH`, Temper's data folder, and `plugins/` beside the program.
    /// What is in `plugins/` of the current folder is listed only.
    pub fn discovery(&self) -> Discovery {
        let program = std::env::current_exe().unwrap_or_else(|_| "temper".into());
        let mut folders = self.globals.plugin_dirs.clone();
        folders.extend(std::env::var_os("TEMPER_PLUGIN_PATH").iter().flat_map(std::env::split_paths));
        let data = directories::ProjectDirs::from("", "", "temper");
        folders.extend(data.map(|dirs| dirs.data_dir().join("plugins")));
        folders.extend(program.parent().map(|beside| beside.join("plugins")));
        Discovery {
            folders,
            listed_only: vec!["plugins".into()],
            probe: Probe { program, cache: self.cache(), deadline: FIRST_LOAD },
        }
    }

    /// Shows the progress of `total` pieces of work; 0 where the total is not known.
    pub fn progress(&self, label: &str, total: u64) -> Progress {
        if self.globals.quiet {
            Progress::silent()
        } else if std::io::stderr().is_terminal() {
            Progress::bar(label, total)
        } else {
            Progress::lines(label, total)
        }
    }
}

/// Starts the log on standard error. A second start in one process (tests) keeps the first.
fn start_log(globals: &Globals) -> Result<(), Failure> {
    let refused = || {
        Failure::user(format!("--log {}: unknown level", globals.log))
            .hint(format!("the levels are {}, also per module: temper=debug,warn", LEVELS.join(", ")))
    };
    // The filter itself takes any word for the name of a module.
    let is_level = |text: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text));
    let has_level = |part: &str| is_level(part.rsplit('=').next().unwrap_or(part));
    if !globals.log.split(',').all(|part| has_level(part.trim())) {
        return Err(refused());
    }
    let filter = EnvFilter::try_new(&globals.log).map_err(|_| refused())?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    let _ = match globals.log_format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    Ok(())
}
