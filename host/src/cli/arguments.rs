//! The arguments of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::context::remove_scratch;
use super::{
    Context, Exit, Failure, bundle, compare, completions, doctor, end_output, evaluate, export, finetune, hull, index,
    init, logp, match_pairs, model, plugin, pretrain, relax, report, sample, schema, score, setup, status, sweep,
    tokenize,
};
use crate::config::{MOST_THREADS, ModelIsolation};
use crate::ranks::{RanksError, World};
use crate::worker::end_all_workers;

/// Reinforcement fine-tuning of crystal generators.
#[derive(Debug, Parser)]
#[command(name = "temper", version, max_term_width = 120, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    globals: Globals,
}

/// Options of every subcommand.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct Globals {
    /// Where models run: auto, cpu, cuda or cuda:N
    #[arg(long, global = true, value_name = "DEVICE")]
    pub device: Option<String>,
    /// Number of threads; 0: all cores
    #[arg(long, global = true, value_name = "N", value_parser = at_most_threads)]
    pub threads: Option<usize>,
    /// Where potentials and property models run: host, in Temper's own process, or process, in processes of their own; without it
    /// in Temper's own, unless a file has killed the process in which it was first looked at
    #[arg(long, global = true, value_name = "WHERE", value_parser = isolation)]
    pub isolation: Option<ModelIsolation>,
    /// Seed of every random stream
    #[arg(long, global = true, value_name = "SEED")]
    pub seed: Option<u64>,
    /// Folder in which plugins are looked for before all others; may be repeated
    #[arg(long = "plugin-dir", global = true, value_name = "FOLDER")]
    pub plugin_dirs: Vec<PathBuf>,
    /// One of several tasks that each have work of their own: share nothing with those that the launcher started beside it
    #[arg(long, global = true)]
    pub alone: bool,
    /// Print only results and errors
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Log messages of the program: error, warn, info, debug, trace, or per module, such as temper=debug
    #[arg(long, global = true, value_name = "LEVEL", default_value = "error")]
    pub log: String,
    /// How log messages are written: text or json, one object per line
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    pub log_format: LogFormat,
}

/// How log messages are written.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

fn isolation(text: &str) -> Result<ModelIsolation, String> {
    match text {
        "host" => Ok(ModelIsolation::Host),
        "process" => Ok(ModelIsolation::Process),
        _ => Err("host or process".to_owned()),
    }
}

fn at_most_threads(text: &str) -> Result<usize, String> {
    let threads: usize = text.parse().map_err(|error: std::num::ParseIntError| error.to_string())?;
    if threads <= MOST_THREADS { Ok(threads) } else { Err(format!("must be at most {MOST_THREADS}")) }
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented config to start from
    Init(init::Init),
    /// Fine-tune a policy by PPO against rewards
    Finetune(finetune::Finetune),
    /// Draw crystals from a policy
    Sample(sample::Sample),
    /// Train a policy by maximum likelihood
    Pretrain(pretrain::Pretrain),
    /// Show how far runs are: steps, rate, time left, last figures, and whether they are running
    Status(status::Status),
    /// Compare runs: means over their last ten steps, with the spread over seeds, and what differs between their configs
    Compare(compare::Compare),
    /// Write a page about runs: curves, what has changed, the best crystals
    Report(report::Report),
    /// Run every combination of values of keys of a config, and compare the runs
    Sweep(sweep::Sweep),
    /// Write the policy of a run as a policy directory with a card
    Export(export::Export),
    /// Evaluate a potential or property model on structures
    Score(score::Score),
    /// Relax structures with a potential, atoms and cell
    Relax(relax::Relax),
    /// Measure the validity, stability, uniqueness and novelty of generated crystals
    Evaluate(evaluate::Evaluate),
    /// Compute log-probabilities of crystals under a policy
    Logp(logp::Logp),
    /// Turn structures into tokens: space group, lattice, Wyckoff sites
    Tokenize(tokenize::Tokenize),
    /// Compare pairs of structures: which are the same crystal
    #[command(name = "match")]
    Match(match_pairs::MatchPairs),
    /// Build and query indexes of known structures
    #[command(subcommand)]
    Index(index::Index),
    /// Build, query and describe reference hulls
    #[command(subcommand)]
    Hull(hull::Hull),
    /// Inspect, check, export and import models
    #[command(subcommand)]
    Model(model::Model),
    /// List, create and check plugins
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Show what works on this machine, and why the rest does not
    Doctor(doctor::Doctor),
    /// Fetch ONNX Runtime ahead of time
    Setup(setup::Setup),
    /// Print the JSON schema of a config
    Schema(schema::Schema),
    /// Pack this program, ONNX Runtime and the models that ship, for machines without a network
    Bundle(bundle::Bundle),
    /// Print a completion script for a shell
    Completions(completions::Completions),
}

impl Arguments {
    /// Runs the subcommand.
    ///
    /// # Errors
    /// Whatever it fails of, with the exit code that goes with it.
    pub fn run(self) -> Result<(), Failure> {
        let world = match self.command.is_shared() && !self.globals.alone {
            true => World::open(leave)?,
            false => World::alone(),
        };
        let ranks = world.ranks();
        let outcome = Context::new(self.globals, ranks).and_then(|context| self.command.run(context));
        let speaks = world.part(outcome.as_ref().err().map(|failure| failure.exit() as u8));
        outcome.map_err(|failure| match (speaks, ranks.is_first()) {
            (true, true) => failure,
            (true, false) => failure.about(format!("rank {}", ranks.rank())),
            (false, _) => failure.silently(),
        })
    }
}

/// Ends this rank, for a reason of its own or because another has failed, which says why.
fn leave(code: u8, why: Option<RanksError>) -> ! {
    if let Some(error) = why {
        Failure::with_hints(Exit::Internal, &error).report();
    }
    end_all_workers();
    remove_scratch();
    end_output();
    std::process::exit(code.into())
}

impl Command {
    /// Whether several processes share its work; any other command is of each process by itself.
    fn is_shared(&self) -> bool {
        matches!(
            self,
            Self::Finetune(_)
                | Self::Sample(_)
                | Self::Pretrain(_)
                | Self::Score(_)
                | Self::Relax(_)
                | Self::Evaluate(_)
        )
    }

    fn run(self, context: Context) -> Result<(), Failure> {
        match self {
            Self::Init(arguments) => arguments.run(&context),
            Self::Finetune(arguments) => arguments.run(&context),
            Self::Sample(arguments) => arguments.run(&context),
            Self::Pretrain(arguments) => arguments.run(&context),
            Self::Status(arguments) => arguments.run(&context),
            Self::Compare(arguments) => arguments.run(&context),
            Self::Report(arguments) => arguments.run(&context),
            Self::Sweep(arguments) => arguments.run(&context),
            Self::Export(arguments) => arguments.run(&context),
            Self::Score(arguments) => arguments.run(&context),
            Self::Relax(arguments) => arguments.run(&context),
            Self::Evaluate(arguments) => arguments.run(&context),
            Self::Logp(arguments) => arguments.run(&context),
            Self::Tokenize(arguments) => arguments.run(&context),
            Self::Match(arguments) => arguments.run(&context),
            Self::Index(arguments) => arguments.run(&context),
            Self::Hull(command) => command.run(&context),
            Self::Model(command) => command.run(&context),
            Self::Plugin(command) => command.run(&context),
            Self::Doctor(arguments) => arguments.run(&context),
            Self::Setup(arguments) => arguments.run(&context),
            Self::Schema(arguments) => arguments.run(&context),
            Self::Bundle(arguments) => arguments.run(&context),
            Self::Completions(arguments) => arguments.run(&context),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn leaves(command: &clap::Command, found: &mut Vec<clap::Command>) {
        if command.get_subcommands().next().is_none() {
            found.push(command.clone());
        }
        command.get_subcommands().for_each(|sub| leaves(sub, found));
    }

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_subcommand_has_an_example_that_is_accepted() {
        let mut commands = Vec::new();
        leaves(&Arguments::command(), &mut commands);
        for command in commands {
            let name = command.get_name();
            let help = command.get_after_help().unwrap_or_else(|| panic!("{name} has no example")).to_string();
            let examples: Vec<&str> = help.lines().filter_map(|l| l.trim().strip_prefix("temper ")).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                // What stands after `>` is the shell's.
                let words = example.split('>').next().unwrap().split_whitespace().map(|w| w.trim_matches('\''));
                Arguments::try_parse_from(std::iter::once("temper").chain(words))
                    .unwrap_or_else(|e| panic!("temper {example}: {e}"));
            }
        }
    }
}
