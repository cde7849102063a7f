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
use super::pretrain::Pretrain;
use super::{Context, Exit, Failure, Output};
use crate::config::{self, Document};
use crate::record::RunStatus;

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

impl Sweep {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        if context.globals.seed.is_some() {
            return Err(Failure::user("--seed would give every run the same seed").hint("use --set run.seed=42,43,44"));
        }
        let kind = self.kind()?;
        let combinations = combinations(&self.set, &self.out, matches!(kind, Kind::Pretrain))?;
        combinations.iter().try_for_each(|combination| self.check(kind, combination))?;
        if let Some(file) = &self.slurm {
            let mut output = Output::create(file)?;
            let text = script(kind.name(), &self.config, &combinations);
            output.write_all(text.as_bytes()).map_err(|error| output.failed(&error))?;
            output.finish()?;
            let (runs, file) = (combinations.len(), file.display());
            context.say(&format!("wrote {file} for {runs} runs: queue it with sbatch {file}"));
            return Ok(());
        }
        self.run_all(context, kind, &combinations)
    }

    /// Runs one after another; what fails does not keep the others from their turn.
    fn run_all(&self, context: &Context, kind: Kind, combinations: &[Combination]) -> Result<(), Failure> {
        let mut failed = Vec::new();
        for (combination, number) in combinations.iter().zip(1..) {
            let (of, directory) = (combinations.len(), combination.directory.display());
            context.say(&format!("run {number} of {of}: {directory}"));
            match self.start(context, kind, combination) {
                Err(failure) if failure.exit() == Exit::Interrupted => {
                    return Err(failure.about(directory).hint("the same temper sweep goes on from there"));
                }
                Err(failure) => {
                    failure.report();
                    failed.push(failure.exit());
                }
                Ok(()) => {}
            }
        }
        let begun = |directory: &&Path| RunStatus::look(directory).is_ok_and(|status| status.done > 0);
        let directories = combinations.iter().map(|combination| combination.directory.as_path());
        let begun: Vec<PathBuf> = directories.filter(begun).map(Path::to_owned).collect();
        if !begun.is_empty() {
            context.print(table(&begun)?.trim_end())?;
        }
        match failed.first() {
            None => Ok(()),
            Some(exit) => {
                let message = format!("{} of {} runs failed: see above", failed.len(), combinations.len());
                Err(Failure::new(*exit, message).hint("the same temper sweep tries them again"))
            }
        }
    }

    fn start(&self, context: &Context, kind: Kind, combination: &Combination) -> Result<(), Failure> {
        match kind {
            Kind::Finetune => Finetune::resumed(&self.config, combination.set.clone()).run(context),
            Kind::Pretrain => Pretrain::resumed(&self.config, combination.set.clone()).run(context),
        }
    }

    /// Fine-tunings have an objective.
    fn kind(&self) -> Result<Kind, Failure> {
        let text = Document::open(&self.config, Vec::new())?;
        Ok(if text.has("objective") { Kind::Finetune } else { Kind::Pretrain })
    }

    /// Reads the config of a run, so that a mistake is found before the first one starts.
    fn check(&self, kind: Kind, combination: &Combination) -> Result<(), Failure> {
        let overrides = combination.set.iter().map(|set| set.parse()).collect::<Result<_, _>>()?;
        let document = Document::open(&self.config, overrides)?;
        match kind {
            Kind::Finetune => drop(document.read::<config::Finetune>()?),
            Kind::Pretrain => drop(document.read::<config::Pretrain>()?),
        }
        Ok(())
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
