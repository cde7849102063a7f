//! `temper sweep`: a run for every combination of values.

mod combinations;
mod slurm;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use self::combinations::{Combination, combinations};
use self::slurm::script;
use super::compare::table;
use super::finetune::Finetune;
use super::plan::parsed_objective;
use super::pretrain::Pretrain;
use super::{Context, Exit, Failure, Output};
use crate::config::{self, Document};
use crate::record::{RunStatus, stopped_by_guards};
use crate::runtime::Device;

/// Run every combination of values of keys of a config, one after another, and compare the runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  temper sweep run.toml --set run.seed=42,43,44 --set ppo.kl_weight=0.01,0.02\n  \
    temper sweep run.toml --set run.seed=42,43,44 -o runs/seeds --slurm seeds.sh\n\n\
    Runs that are there go on from their newest checkpoints: the same command continues a sweep that was interrupted.")]
pub struct Sweep {
    /// The config: a TOML file of temper finetune or temper pretrain
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Override a key of the config; with several values, separated by commas, there is a run for each; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE,...", required = true)]
    set: Vec<String>,
    /// The folder in which every run gets a directory, called by its values
    #[arg(short, long, value_name = "FOLDER", default_value = "runs/sweep")]
    out: PathBuf,
    /// Write a script for SLURM with a task of a job array for each run, and run nothing
    #[arg(long, value_name = "FILE")]
    slurm: Option<PathBuf>,
}

/// The subcommand that a config belongs to.
#[derive(Clone, Copy)]
enum Kind {
    Finetune,
    Pretrain,
}

/// What the config of a run says that the sweep must know.
struct Checked {
    device: Device,
    /// `guards.max_idle_steps`; pretrainings have no guards.
    max_idle_steps: Option<usize>,
}

/// The runs that did not reach their end, by their directories.
#[derive(Default)]
struct Unfinished {
    failed: Vec<(String, Exit)>,
    /// By `[guards]`.
    stopped: Vec<String>,
}

impl Sweep {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        if context.globals.seed.is_some() {
            return Err(Failure::user("--seed would give every run the same seed").hint("use --set run.seed=42,43,44"));
        }
        let kind = self.kind()?;
        let combinations = combinations(&self.set, &self.out, matches!(kind, Kind::Pretrain))?;
        let checked = combinations.iter().map(|combination| self.check(context, kind, combination));
        let checked = checked.collect::<Result<Vec<Checked>, _>>()?;
        if let Some(file) = &self.slurm {
            let on_gpu = checked.iter().any(|run| matches!(run.device, Device::Cuda(_)));
            let text = script(kind.name(), &self.config, &combinations, &context.globals, on_gpu)?;
            let mut output = Output::create(file)?;
            output.write_all(text.as_bytes()).map_err(|error| output.failed(&error))?;
            output.finish()?;
            let (runs, file) = (combinations.len(), file.display());
            context.say(&format!("wrote {file} for {runs} runs: queue it with sbatch {file}"));
            return Ok(());
        }
        let unfinished = self.run_all(context, kind, combinations.iter().zip(&checked))?;
        let shown = show(context, &combinations);
        match unfinished.outcome(combinations.len()) {
            None => shown,
            Some(failure) => {
                // What keeps the table from being shown must not hide which runs failed.
                shown.unwrap_or_else(|error| error.report());
                Err(failure)
            }
        }
    }

    /// Runs one after another; what fails does not keep the others from their turn. A run that `[guards]` ended stays as it is.
    fn run_all<'a>(
        &self,
        context: &Context,
        kind: Kind,
        runs: impl ExactSizeIterator<Item = (&'a Combination, &'a Checked)>,
    ) -> Result<Unfinished, Failure> {
        let (of, mut unfinished) = (runs.len(), Unfinished::default());
        for ((combination, checked), number) in runs.zip(1..) {
            let directory = combination.directory.display();
            context.say(&format!("run {number} of {of}: {directory}"));
            if let Some(step) = checked.stopped(combination) {
                context.say(&format!("stopped by [guards] after step {step}: not repeated"));
                unfinished.stopped.push(directory.to_string());
                continue;
            }
            match self.start(context, kind, combination) {
                Err(failure) if failure.exit() == Exit::Interrupted => {
                    return Err(failure.about(directory).hint("the same temper sweep goes on from there"));
                }
                Err(failure) => {
                    failure.report();
                    match checked.stopped(combination) {
                        Some(_) => unfinished.stopped.push(directory.to_string()),
                        None => unfinished.failed.push((directory.to_string(), failure.exit())),
                    }
                }
                Ok(()) => {}
            }
        }
        Ok(unfinished)
    }

    fn start(&self, context: &Context, kind: Kind, combination: &Combination) -> Result<(), Failure> {
        match kind {
            Kind::Finetune => Finetune::resumed(&self.config, combination.set.clone()).run(context),
            Kind::Pretrain => Pretrain::resumed(&self.config, combination.set.clone()).run(context),
        }
    }

    /// Fine-tunings have an objective.
    fn kind(&self) -> Result<Kind, Failure> {
        let overrides = self.set.iter().map(|set| set.parse()).collect::<Result<_, _>>()?;
        let document = Document::open(&self.config, overrides)?;
        Ok(if document.has("objective") { Kind::Finetune } else { Kind::Pretrain })
    }

    /// Reads the config of a run, so that a mistake is found before the first one starts.
    fn check(&self, context: &Context, kind: Kind, combination: &Combination) -> Result<Checked, Failure> {
        let overrides = combination.set.iter().map(|set| set.parse()).collect::<Result<_, _>>()?;
        let document = Document::open(&self.config, overrides)?;
        let (device, max_idle_steps) = match kind {
            Kind::Finetune => {
                let config: config::Finetune = document.read()?;
                parsed_objective(&document, &config)?;
                (config.run.device, Some(config.guards.unwrap_or_default().max_idle_steps))
            }
            Kind::Pretrain => (document.read::<config::Pretrain>()?.run.device, None),
        };
        let device = context.globals.device.as_ref().unwrap_or(&device).parse()?;
        Ok(Checked { device, max_idle_steps })
    }
}

impl Checked {
    /// The step after which `[guards]` ended the run, if it did.
    fn stopped(&self, combination: &Combination) -> Option<usize> {
        stopped_by_guards(&combination.directory, self.max_idle_steps?)
    }
}

impl Unfinished {
    /// Which of so many runs did not reach their end, if any.
    fn outcome(&self, runs: usize) -> Option<Failure> {
        let exit = match (self.failed.first(), self.stopped.is_empty()) {
            (Some((_, exit)), _) => *exit,
            (None, false) => Exit::Model,
            (None, true) => return None,
        };
        let failed = self.failed.iter().map(|(directory, exit)| format!("{directory} (exit code {})", *exit as u8));
        let failed: Vec<String> = failed.collect();
        let parts = [("failed", &failed), ("stopped by [guards]", &self.stopped)];
        let parts = parts.iter().filter(|(_, which)| !which.is_empty());
        let parts = parts.map(|(what, which)| format!("{} of {runs} runs {what}: {}", which.len(), which.join(", ")));
        let mut failure = Failure::new(exit, parts.collect::<Vec<_>>().join("; "));
        if !self.failed.is_empty() {
            failure = failure.hint("the same temper sweep tries those that failed again");
        }
        if !self.stopped.is_empty() {
            failure = failure.hint("temper finetune --resume DIR goes on past the stop of [guards]");
        }
        Some(failure)
    }
}

/// Compares the runs that have begun.
fn show(context: &Context, combinations: &[Combination]) -> Result<(), Failure> {
    let begun = |directory: &&Path| RunStatus::look(directory).is_ok_and(|status| status.done > 0);
    let directories = combinations.iter().map(|combination| combination.directory.as_path());
    let begun: Vec<PathBuf> = directories.filter(begun).map(Path::to_owned).collect();
    match begun.is_empty() {
        true => Ok(()),
        false => context.print(table(&begun)?.trim_end()),
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Pretrain => "pretrain",
        }
    }
}
