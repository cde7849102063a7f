//! `temper plugin check`: tests a plugin, and reports as a table or as JSON.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use serde_json::{Map, Value, json};

use super::{Context, Failure};
use crate::cli::Exit;
use crate::cli::conformance::check_as_json;
use crate::config::{Deadline, Memory, check_plugin_config};
use crate::conformance::{CheckCrystals, NamedCrystal};
use crate::input::{MOST_TEXT, read_text};
use crate::plugin::{OpenError, PluginReport, PluginToCheck, REWARD, WorkerCommand, check_plugin, is_path};

/// Threads that ask a library at once.
const THREADS: u8 = 4;

/// Test a plugin, or a program that speaks the worker protocol, on awkward input and against its own claims.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("subject").args(["plugin", "command", "words"]).required(true),
    after_help = "Examples:\n  temper plugin check target/release/libmy_reward.so\n  \
    temper plugin check charge-neutrality --json\n  temper plugin check -- python3 my_reward.py\n\n\
    The plugin runs in worker processes, so that a crash is reported and the checks go on. The checks are: its descriptor and \
    config; finite values within their range; the same values again, in other workers, and in several threads at once; the same \
    values for crystals that are translated, rotated, reordered, alone or in other company; no crystals, single atoms, no known \
    element, huge, tiny, skewed and flat cells, NaN; the time for 1,000 crystals; memory after many calls; its end; random \
    crystals, by --seed. The exit code is 3 when a check fails."
)]
pub struct Check {
    /// A shared library, or the name of a plugin
    #[arg(value_name = "PLUGIN")]
    plugin: Option<PathBuf>,
    /// The same as PROGRAM, as one text in which spaces separate the arguments
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// A program that speaks the worker protocol, and its arguments, after --
    #[arg(last = true, value_name = "PROGRAM")]
    words: Vec<OsString>,
    /// Its options: a TOML or JSON file, or the text itself, such as 'power = 2' or '{"power": 2}'
    #[arg(long, value_name = "CONFIG")]
    config: Option<String>,
    /// The interface to check: reward/1 or hull-correction/1 [default: the first that a plugin offers; reward/1 for a program]
    #[arg(long, value_name = "INTERFACE")]
    interface: Option<String>,
    /// Crystals to check on, in place of the built-in ones: .cif, .csv, .jsonl, .extxyz, POSCAR, each also with .gz
    #[arg(long, value_name = "FILE")]
    structures: Option<PathBuf>,
    /// How long a batch may take
    #[arg(long, value_name = "TIME", default_value = "10s")]
    deadline: Deadline,
    /// How much memory a worker may take
    #[arg(long, value_name = "BYTES", default_value = "4 GiB")]
    memory: Memory,
    /// Number of calls after which the memory is compared
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..))]
    calls: u32,
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let asked = self.asked(context)?;
        context.say(&format!("seed {}", asked.seed));
        let report = check_plugin(&asked).map_err(|error| self.unusable(error))?;
        if self.json {
            context.print(&as_json(&asked.name, &report).to_string())?;
        } else {
            table(&report, context)?;
        }
        verdict(&asked.name, &report)
    }

    fn asked(&self, context: &Context) -> Result<PluginToCheck, Failure> {
        let mut asked = match &self.plugin {
            Some(plugin) => library(plugin, context)?,
            None => program(self.words()),
        };
        asked.interface = self.interface.clone().unwrap_or(asked.interface);
        asked.config = self.config.as_deref().map(config).transpose()?.unwrap_or_default();
        asked.structures =
            self.structures.as_deref().map(|file| structures(file, context)).transpose()?.unwrap_or_default();
        (asked.deadline, asked.memory, asked.calls) =
            (self.deadline.duration(), self.memory.bytes(), self.calls as usize);
        asked.seed = context.globals.seed.unwrap_or_else(rand::random);
        Ok(asked)
    }

    fn unusable(&self, error: OpenError) -> Failure {
        match error {
            OpenError::Refused { advice: None, .. } if self.config.is_none() => {
                Failure::from(error).hint("if it needs a config, pass one with --config")
            }
            error => error.into(),
        }
    }

    fn words(&self) -> Vec<OsString> {
        let parted =
            || self.command.iter().flat_map(|command| command.split_whitespace()).map(OsString::from).collect();
        if self.words.is_empty() { parted() } else { self.words.clone() }
    }
}

/// A library, or a plugin that is carried or found by its name.
fn library(plugin: &Path, context: &Context) -> Result<PluginToCheck, Failure> {
    let discovery = context.discovery();
    let name = plugin.to_string_lossy();
    let found = if is_path(&name) || plugin.is_file() { discovery.open(plugin)? } else { discovery.find(&name)? };
    let served = found.path.clone().unwrap_or_else(|| found.descriptor.name.clone().into());
    let first = found.descriptor.interfaces.first().map_or(REWARD, |interface| &interface.id);
    let interface = first.to_owned();
    let others: Vec<&str> = found.descriptor.interfaces.iter().skip(1).map(|other| other.id.as_str()).collect();
    if !others.is_empty() {
        context.say(&format!("checking {interface}; with --interface: {}", others.join(", ")));
    }
    let probe = discovery.probe;
    let in_threads = Some(probe.command_in_threads(&served, THREADS));
    Ok(PluginToCheck { name: name.into_owned(), interface, in_threads, ..unset(probe.command(&served, None)) })
}

fn program(words: Vec<OsString>) -> PluginToCheck {
    let name = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    let mut words = words.into_iter();
    let command = WorkerCommand::new(words.next().unwrap_or_default(), words.collect());
    PluginToCheck { name, ..unset(command) }
}

fn unset(command: WorkerCommand) -> PluginToCheck {
    PluginToCheck {
        name: String::new(),
        command,
        guard: std::env::current_exe().ok(),
        in_threads: None,
        interface: REWARD.to_owned(),
        config: Map::new(),
        structures: Vec::new(),
        deadline: Deadline::seconds(10).duration(),
        memory: u64::MAX,
        calls: 2,
        seed: 0,
    }
}

/// A config: the text of a file, or a text. TOML, or JSON where it begins like an object of that.
fn config(given: &str) -> Result<Map<String, Value>, Failure> {
    let wrong = |reason: &dyn std::fmt::Display| Failure::user(format!("--config {given}: {reason}"));
    let is_file = [".toml", ".json"].iter().any(|ending| given.ends_with(ending));
    let text =
        if is_file { read_text(Path::new(given), MOST_TEXT).map_err(|error| wrong(&error))? } else { given.to_owned() };
    if let Ok(Value::Object(config)) = serde_json::from_str(&text) {
        return Ok(config);
    }
    // An inline table is no document.
    let inline = text.trim_start().starts_with('{');
    let document = if inline { format!("config = {text}") } else { text };
    let mut table: Map<String, Value> = toml::from_str(&document).map_err(|error| wrong(&error.message()))?;
    let config = match table.remove("config") {
        Some(Value::Object(config)) if inline => config,
        Some(value) => std::iter::once(("config".to_owned(), value)).chain(table).collect(),
        None => table,
    };
    check_plugin_config(&config, "config").map_err(|problem| wrong(&problem.message))?;
    Ok(config)
}

/// The crystals of a file; those that are set aside are said.
fn structures(path: &Path, context: &Context) -> Result<Vec<NamedCrystal>, Failure> {
    let CheckCrystals { named, set_aside } = CheckCrystals::read(path)?;
    set_aside.iter().for_each(|line| context.say(&format!("set aside: {line}")));
    if named.is_empty() {
        return Err(Failure::user(format!("{}: no crystal that a plugin can be checked on", path.display())));
    }
    Ok(named)
}

fn verdict(name: &str, report: &PluginReport) -> Result<(), Failure> {
    let failed: Vec<&str> = report.failed().map(|check| check.name).collect();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Model, format!("{name}: the check fails on {}", failed.join(", "))))
}

fn table(report: &PluginReport, context: &Context) -> Result<(), Failure> {
    if let Some(descriptor) = &report.descriptor {
        let (name, version, interface) = (&descriptor.name, &descriptor.version, &report.interface);
        context.print(&format!("{name} {version}, {interface}"))?;
    }
    context.print_checks(&report.checks, report.crystals)
}

fn as_json(name: &str, report: &PluginReport) -> Value {
    json!({
        "plugin": name, "descriptor": report.descriptor, "interface": report.interface, "passed": report.passed(),
        "crystals": report.crystals, "seed": report.seed,
        "checks": report.checks.iter().map(check_as_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_toml_or_json() {
        let expected = json!({"how": "well"}).as_object().unwrap().clone();
        for text in ["how = 'well'", r#"{"how": "well"}"#, r#"{ how = "well" }"#, " {\"how\": \"well\"}\n"] {
            assert_eq!(config(text).unwrap(), expected, "{text}");
        }
        assert!(config("").unwrap().is_empty());
        assert_eq!(config("config = 3").unwrap(), json!({"config": 3}).as_object().unwrap().clone());
        for text in ["how", "{", "no-such-file.toml", "x = nan", "{ x = [1.0, -inf] }", "x = 2026-01-01"] {
            assert!(config(text).unwrap_err().to_string().starts_with(&format!("error: --config {text}: ")), "{text}");
        }
    }
}
