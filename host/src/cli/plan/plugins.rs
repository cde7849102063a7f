//! Terms of plugins and programs: found, recorded in the lock, started and greeted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::Planner;
use super::models::ModelRef;
use crate::cli::Failure;
use crate::config::{self, Isolation, Memory, PluginTerm as PluginConfig, ProcessTerm};
use crate::plugin::{Evaluator, HULL_CORRECTION, REWARD, Usable, is_path};
use crate::ranks::Neighbours;
use crate::reward::{Correction, PluginTerm};
use crate::runtime::Device;
use crate::worker::{Environment, MEMORY_IS_MEASURED, Supervision, WorkerCommand};

/// More processes than any machine wants for one term.
const MOST_WORKERS: usize = 256;
/// How long a worker may take to greet: one in Python may have much to import.
const START: Duration = Duration::from_secs(120);

impl Planner<'_> {
    /// A reward of a plugin: in workers, unless it ships with Temper or the user says otherwise.
    pub(super) fn plugin(&mut self, key: &str, term: &PluginConfig) -> Result<PluginTerm, Failure> {
        let found = self.library(&format!("{key}.library"), &term.library)?;
        if let Some(path) = &found.path {
            self.lock(&format!("{key}.library"), path)?;
        }
        let workers = self.workers(key, &term.supervision)?;
        let workers = Some(workers).filter(|_| is_apart(term.isolation, &found));
        let evaluator = self.start(key, &found, REWARD, &term.config, workers)?;
        self.plugin_term(key, evaluator, term.potential.as_deref())
    }

    /// A reward of a program of the user's.
    pub(super) fn process(&mut self, key: &str, term: &ProcessTerm) -> Result<PluginTerm, Failure> {
        let workers = self.workers(key, &term.supervision)?;
        let evaluator = self.start_program(key, (&term.command, &term.config), REWARD, workers)?;
        self.plugin_term(key, evaluator, term.potential.as_deref())
    }

    /// A program with its arguments, those that are files found and locked.
    fn command(&mut self, key: &str, words: &[String]) -> Result<WorkerCommand, Failure> {
        let (mut found, mut locked) = (Vec::new(), false);
        for (place, word) in words.iter().enumerate() {
            let file = self.search.near(Path::new(word)).filter(|path| path.is_file());
            // A bare program is the system's to find.
            let file = file.filter(|_| place > 0 || is_path(word));
            // The program or its script; what comes behind may be a file that it writes.
            if let Some(path) = file.as_ref().filter(|_| !locked) {
                self.lock(&format!("{key}.command"), path)?;
                locked = true;
            }
            found.push(file.unwrap_or_else(|| PathBuf::from(word)).into_os_string());
        }
        let mut words = found.into_iter();
        let key = format!("{key}.command");
        let program = words.next().filter(|program| !program.is_empty());
        let program = program.ok_or_else(|| self.mistake(&key, format!("`{key}` must name a program")))?;
        Ok(WorkerCommand::new(program, words.collect()))
    }

    fn plugin_term(
        &mut self,
        key: &str,
        evaluator: Evaluator,
        potential: Option<&Path>,
    ) -> Result<PluginTerm, Failure> {
        let key = format!("{key}.potential");
        let potential = potential
            .map(|path| self.model(&key, ModelRef::new(path, None, config::ModelSupervision::default())))
            .transpose()?;
        let term = PluginTerm::new(Arc::new(evaluator), potential);
        term.map_err(|error| self.mistake(&key, format!("`{key}`: {error}")))
    }

    /// How workers are supervised, and their environment.
    fn workers(&self, key: &str, given: &config::Supervision) -> Result<(Supervision, Environment), Failure> {
        let &config::Supervision { deadline, workers, max_batch, memory, max_restarts, .. } = given;
        let refused =
            |last: &str, text: String| self.mistake(&format!("{key}.{last}"), format!("`{key}.{last}` {text}"));
        if !(1..=MOST_WORKERS).contains(&workers) {
            return Err(refused("workers", format!("= {workers}: must be 1 to {MOST_WORKERS}")));
        }
        if max_batch == Some(0) {
            return Err(refused("max_batch", "= 0: must be at least 1".to_owned()));
        }
        if memory.is_some() && !MEMORY_IS_MEASURED {
            return Err(refused("memory", "cannot be held on this system, which does not tell it".to_owned()));
        }
        let (deadline, memory) = (deadline.duration(), memory.map(Memory::bytes));
        let supervision = Supervision { deadline, start_deadline: START, memory, workers, max_batch, max_restarts };
        Ok((supervision, self.environment(key, given)?))
    }

    /// Variables for workers. Frameworks for GPUs obey `CUDA_VISIBLE_DEVICES`.
    fn environment(&self, key: &str, given: &config::Supervision) -> Result<Environment, Failure> {
        let refused = |last: &str, text: &str| {
            let key = format!("{key}.{last}");
            self.mistake(&key, format!("`{key}` {text}"))
        };
        if given.env.iter().any(|(name, value)| name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')) {
            return Err(refused("env", "has a variable that no environment can hold"));
        }
        let mut environment = Environment::new();
        if let Some(text) = &given.device {
            let device: Device = text.parse().map_err(|error| self.refused(&format!("{key}.device"), &error))?;
            let visible = device.of_place(Neighbours::find(self.context.ranks).place).visible();
            let visible =
                visible.ok_or_else(|| refused("device", &format!("= \"{text}\": must be cpu, cuda or cuda:N")))?;
            environment.insert("CUDA_VISIBLE_DEVICES".to_owned(), visible);
        }
        environment.extend(given.env.clone());
        Ok(environment)
    }

    /// A plugin by its name, or by its path as the other paths of a config.
    pub(super) fn library(&self, key: &str, named: &str) -> Result<Usable, Failure> {
        let discovery = self.context.discovery();
        match is_path(named) {
            true => Ok(discovery.open(&self.find(key, Path::new(named))?)?),
            false => Ok(discovery.find(named)?),
        }
    }

    /// The correction of a hull term.
    pub(super) fn correction(&mut self, key: &str, named: &config::Correction) -> Result<Correction, Failure> {
        let evaluator = match named {
            config::Correction::Named(name) => match name.parse::<Correction>() {
                Ok(correction) => return Ok(correction),
                Err(unknown) => {
                    let unknown = self.refused(key, &unknown);
                    self.correction_plugin(key, &config::CorrectionPlugin::usual(name), unknown)?
                }
            },
            config::Correction::Plugin(plugin) => {
                let unknown = self.mistake(key, format!("`{key}`: there is no plugin \"{}\"", plugin.plugin));
                self.correction_plugin(key, plugin, unknown)?
            }
            config::Correction::Process(term) => {
                let workers = self.workers(key, &term.supervision)?;
                self.start_program(key, (&term.command, &term.config), HULL_CORRECTION, workers)?
            }
        };
        Correction::of_plugin(Arc::new(evaluator)).map_err(|error| self.refused(key, &error))
    }

    fn correction_plugin(
        &mut self,
        key: &str,
        plugin: &config::CorrectionPlugin,
        unknown: Failure,
    ) -> Result<Evaluator, Failure> {
        let found = self.context.correction_plugin(&self.search, &plugin.plugin, unknown)?;
        if let Some(path) = &found.path {
            self.lock(key, path)?;
        }
        let workers = self.workers(key, &plugin.supervision)?;
        let workers = Some(workers).filter(|_| is_apart(plugin.isolation, &found));
        self.start(key, &found, HULL_CORRECTION, &plugin.config, workers)
    }

    fn start(
        &self,
        key: &str,
        found: &Usable,
        interface: &str,
        config: &Map<String, Value>,
        workers: Option<(Supervision, Environment)>,
    ) -> Result<Evaluator, Failure> {
        let started = self.context.discovery().start(found, interface, config, workers);
        started.map_err(|error| self.refused(key, &error))
    }

    /// Starts a program of the user's.
    fn start_program(
        &mut self,
        key: &str,
        (words, config): (&[String], &Map<String, Value>),
        interface: &str,
        (supervision, environment): (Supervision, Environment),
    ) -> Result<Evaluator, Failure> {
        let command = WorkerCommand { environment, ..self.command(key, words)? };
        let command = command.guarded_by(&self.context.discovery().probe.program);
        let name = words.first().map_or("", String::as_str);
        let started = Evaluator::in_workers(name, command, interface, config, supervision);
        started.map_err(|error| self.refused(key, &error))
    }
}

/// Whether a plugin runs in workers: unless it ships with Temper, or the user says otherwise.
fn is_apart(isolation: Option<Isolation>, found: &Usable) -> bool {
    match isolation {
        Some(isolation) => isolation == Isolation::Process,
        None => found.path.is_some(),
    }
}
