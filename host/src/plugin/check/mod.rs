//! A conformance kit for plugins: whether the claims of the descriptor are true, and how the plugin handles awkward
//! input.
//!
//! The plugin always runs in workers, so that a crash is a failed check with a reason, and the next check uses a new
//! worker.

mod compare;
mod config;
mod descriptor;
mod edges;
mod endurance;
mod fuzz;
mod invariance;
mod plugin_under_test;
mod repeat;
mod report;
mod sample;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value};

use super::message::Hello;
use super::start::StartError;
use super::{Descriptor, HULL_CORRECTION, OpenError, Outcome, evaluator};
use crate::conformance::{CheckResult, NamedCrystal};
use crate::worker::{self, Worker, WorkerCommand};
use plugin_under_test::{PluginUnderTest, Start};
pub use report::PluginReport;
use sample::{Sample, samples};

/// What to check, and how.
#[derive(Clone, Debug)]
pub struct PluginToCheck {
    /// What it is called in messages.
    pub name: String,
    /// Serves it.
    pub command: WorkerCommand,
    /// This program, which guards the plugin's workers; `None`: nobody does.
    pub guard: Option<PathBuf>,
    /// Serves it from several threads at once; `None`: it cannot be.
    pub in_threads: Option<WorkerCommand>,
    /// Such as `reward/1`.
    pub interface: String,
    /// Its config.
    pub config: Map<String, Value>,
    /// Crystals with their names; none: those of the textbooks.
    pub structures: Vec<NamedCrystal>,
    /// How long a batch may take.
    pub deadline: Duration,
    /// How many bytes of memory a worker may hold.
    pub memory: u64,
    /// Calls after which memory is looked at.
    pub calls: usize,
    /// Of the random crystals.
    pub seed: u64,
}

/// The plugin and what is known of it so far.
struct CheckSession<'a> {
    asked: &'a PluginToCheck,
    plugin: PluginUnderTest,
    /// Crystals with their outcomes.
    samples: Vec<Sample>,
    outcomes: Vec<Outcome>,
    /// Why outcomes of two calls cannot be compared.
    unsteady: Option<&'static str>,
}

/// Checks that belong together, by the names of their rows.
type Stage = (&'static [&'static str], fn(&mut CheckSession<'_>) -> Vec<CheckResult>);

/// All need the values, which come first; whether outcomes can be compared is known from the repetitions, which come next.
const STAGES: [Stage; 6] = [
    (&values::NAMES, values::checks),
    (&repeat::NAMES, repeat::checks),
    (&invariance::NAMES, invariance::checks),
    (&edges::NAMES, edges::checks),
    (&endurance::NAMES, endurance::checks),
    (&fuzz::NAMES, fuzz::checks),
];
const START: &str = "start";

/// Checks a plugin.
///
/// # Errors
/// [`OpenError`], when it refuses the config, lacks the interface, or is not there.
pub fn check_plugin(asked: &PluginToCheck) -> Result<PluginReport, OpenError> {
    let hello = Hello { interface: asked.interface.clone(), config: asked.config.clone() };
    let start = Start {
        command: asked.command.clone(),
        guard: asked.guard.clone(),
        hello,
        deadline: asked.deadline,
        memory: asked.memory,
    };
    let mut report = PluginReport {
        descriptor: None,
        interface: asked.interface.clone(),
        seed: asked.seed,
        crystals: 0,
        checks: Vec::new(),
    };
    match start.worker() {
        Ok((worker, descriptor)) => started(asked, &start, worker, descriptor, &mut report)?,
        Err(StartError::Refused(reason, advice)) if !has_panicked(&reason) => {
            return Err(OpenError::Refused { name: asked.name.clone(), reason, advice });
        }
        Err(error @ StartError::Worker(worker::StartError::Spawn { .. })) => {
            return Err(OpenError::Start { name: asked.name.clone(), reason: error.to_string() });
        }
        Err(error) => {
            report.checks.push(CheckResult::broken(START, error));
            skip_all(&mut report, "it does not start");
        }
    }
    Ok(report)
}

fn started(
    asked: &PluginToCheck,
    start: &Start,
    worker: Worker,
    descriptor: Descriptor,
    report: &mut PluginReport,
) -> Result<(), OpenError> {
    let interface = evaluator::offered(&descriptor, &asked.interface)?;
    report.checks.push(CheckResult::passed(START, ""));
    report.checks.push(descriptor::check(&descriptor));
    report.checks.extend(config::checks(start, &interface));
    report.descriptor = Some(descriptor);
    let samples = samples(&asked.structures, &interface.properties);
    let plugin = PluginUnderTest::new(start.clone(), interface.properties, Some(worker));
    let mut session = CheckSession { asked, plugin, samples, outcomes: Vec::new(), unsteady: None };
    if session.samples.is_empty() {
        skip_stages(report, 0, "no crystal is in elements that it knows");
        return Ok(());
    }
    for (place, (_, checks)) in STAGES.into_iter().enumerate() {
        report.checks.extend(checks(&mut session));
        if session.outcomes.is_empty() {
            skip_stages(report, place + 1, "it has no outcome for any crystal");
            break;
        }
    }
    report.crystals = session.samples.len();
    Ok(())
}

fn skip_all(report: &mut PluginReport, why: &str) {
    let names = [descriptor::NAME].into_iter().chain(config::NAMES);
    report.checks.extend(names.map(|name| CheckResult::skipped(name, why)));
    skip_stages(report, 0, why);
}

fn skip_stages(report: &mut PluginReport, from: usize, why: &str) {
    let names = STAGES[from..].iter().flat_map(|(names, _)| names.iter());
    report.checks.extend(names.map(|name| CheckResult::skipped(name, why)));
}

/// Whether the reason for a refusal is a panic, which no config may lead to.
fn has_panicked(reason: &str) -> bool {
    reason.starts_with("it panicked: ")
}

impl CheckSession<'_> {
    fn names(&self) -> Vec<&str> {
        self.samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    fn is_sent_energies(&self) -> bool {
        self.plugin.properties.energies || self.asked.interface == HULL_CORRECTION
    }

    /// Checks that cannot be made on outcomes that differ from call to call.
    fn skip(&self, names: &[&'static str]) -> Vec<CheckResult> {
        let why = self.unsteady.unwrap_or_default();
        names.iter().map(|name| CheckResult::skipped(name, why)).collect()
    }
}
