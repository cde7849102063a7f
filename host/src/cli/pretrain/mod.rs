//! `temper pretrain`: maximum likelihood, or preferences, on files of structures or tokens.

mod data;
mod numbers;
mod plan;

use std::path::PathBuf;

use clap::Args;

use self::data::{Examples, read_data};
use self::plan::PretrainPlan;
use super::resume::{Resumption, after_interruption};
use super::wanted::training_groups;
use super::{Context, Exit, Failure, Interrupts, Progress, Recipe};
use crate::config::{self, Dpo};
use crate::policy::{Hyperparameters, Parameters, PolicyDirectory};
use crate::record::{PretrainRun, Start, Taught};
use crate::runtime::Runtime;
use crate::train::{
    DirectPreference, Epoch, MaximumLikelihood, Measured, PreferenceOptimisation, PreferenceSettings, Preferences,
    PretrainObserver, PretrainState, pretrain,
};

/// Train a policy on files of crystals, by maximum likelihood or on preferences (DPO).
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  temper pretrain pretrain.toml --set train.epochs=200\n  \
    temper pretrain --recipe sft --set data.files=my_cifs/\n  temper pretrain --resume runs/pretrain")]
pub struct Pretrain {
    /// The config: a TOML file
    #[arg(value_name = "CONFIG", required_unless_present_any = ["recipe", "resume"], conflicts_with = "recipe")]
    config: Option<PathBuf>,
    /// A config that ships with Temper, in place of CONFIG: sft or dpo
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Override a key of the config; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    resumption: Resumption,
}

impl Pretrain {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let recipe = self.recipe.as_deref().map(|name| Recipe::of_command(name, "pretrain")).transpose()?;
        let beginning = self.resumption.begin(self.config.as_deref(), recipe, &self.set)?;
        let plan = PretrainPlan::new(context, &beginning)?;
        let (config, hyper) = (&plan.config, &plan.hyper);
        let (directory, sentence) = context.run_directory(&config.run.dir, beginning.resume, "epochs")?;
        let old_dir = beginning.recorded_dir();
        let out = beginning.output(&config.train.out, old_dir.as_deref());
        let start = Start {
            config: &plan.text,
            lock: &plan.lock,
            changes: beginning.changes(&directory, config, config::Pretrain::decisive)?,
            accepted: &self.resumption.accepted,
        };
        let (run, resumed) = PretrainRun::open(directory, &start, hyper, config.run.checkpoint_every, out)?;
        sentence.iter().for_each(|sentence| context.say(sentence));
        let examples = read_data(context, &plan, &run)?;
        let runtime = context.runtime(plan.settings.resources.device)?;
        let begin = plan.start.as_ref().map(|policy| policy.parameters.clone());
        let fresh = || begin.unwrap_or_else(|| Parameters::initialise(hyper, config.run.seed));
        let mut state = resumed.unwrap_or_else(|| PretrainState::new(fresh()));
        say_complete(context, &state, plan.settings.epochs);
        let taught = taught(&plan, &examples);
        let (progress, interrupts) = (context.progress("steps", 0), context.interrupts()?);
        let mut observer = Observer { run, hyper, taught: &taught, progress, interrupts };
        train(context, &runtime, &plan, &examples, &mut state, &mut observer)?;
        let Observer { run, progress, interrupts, .. } = observer;
        drop(progress);
        let learned = run.finish(&state, &taught, hyper)?;
        if interrupts.requested() && state.epoch < plan.settings.epochs {
            let message = format!("interrupted after epoch {}", state.epoch);
            return Err(Failure::new(Exit::Interrupted, message).hint(after_interruption(run.saved(), "epoch")));
        }
        if !learned {
            let message = format!("no epoch of {} had a finite validation NLL: there is no policy", state.epoch);
            return Err(Failure::new(Exit::Model, message).hint("a smaller train.learning_rate may help"));
        }
        let (nll, best, out) = (state.best_nll, state.best_epoch, run.out().display());
        let (what, per) = if config.dpo.is_some() { ("loss", "pair") } else { ("NLL", "crystal") };
        context.say(&format!("validation {what} {nll:.3} per {per} at epoch {best}: {out}"));
        Ok(())
    }
}

/// Learns from the examples.
fn train(
    context: &Context,
    runtime: &Runtime,
    plan: &PretrainPlan,
    examples: &Examples,
    state: &mut PretrainState,
    observer: &mut Observer<'_>,
) -> Result<(), Failure> {
    let (settings, hyper) = (&plan.settings, &plan.hyper);
    match (examples, &plan.start, &plan.config.dpo) {
        (Examples::Crystals(data), start, _) => {
            let task = MaximumLikelihood::load(runtime, hyper, data, settings.seed, settings.resources)?;
            if start.is_some() && state.epoch == 0 && !data.valid.is_empty() {
                let nll = -task.validation(&state.parameters)?.total();
                observer.progress.say(&format!("epoch    0  valid {nll:8.3}, as it starts"));
            }
            pretrain(&task, settings, state, observer)
        }
        (Examples::Pairs(pairs), Some(base), Some(dpo)) => {
            let task = preferences(context, runtime, plan, pairs, base, dpo)?;
            pretrain(&task, settings, state, observer)
        }
        // The config was refused.
        (Examples::Pairs(_), _, _) => Err(Failure::user("[dpo] needs `policy.model`")),
    }
}

/// The training on preferences that a plan asks for.
fn preferences<'a>(
    context: &Context,
    runtime: &Runtime,
    plan: &PretrainPlan,
    pairs: &'a Preferences,
    base: &'a PolicyDirectory,
    dpo: &Dpo,
) -> Result<PreferenceOptimisation<'a>, Failure> {
    let groups = training_groups(&base.model, context)
        .ok_or_else(|| Failure::user("in the policy's model.toml, every space group has the weight 0"))?;
    let (seed, resources) = (plan.settings.seed, plan.settings.resources);
    let loss = DirectPreference { beta: dpo.beta };
    let settings = PreferenceSettings { base: &base.parameters, loss, groups, seed, resources };
    Ok(PreferenceOptimisation::load(runtime, &plan.hyper, pairs, settings)?)
}

/// What the policy's description says of its training. Preferences teach nothing about how often a space group is to be drawn.
fn taught(plan: &PretrainPlan, examples: &Examples) -> Taught {
    let mut provenance = toml::Table::new();
    match examples {
        Examples::Crystals(data) => {
            provenance.insert("training_crystals".into(), (data.train.len() as i64).into());
            Taught { spacegroups: Some(data.spacegroups()), provenance }
        }
        Examples::Pairs(pairs) => {
            provenance.insert("training_pairs".into(), (pairs.train.len() as i64).into());
            let spacegroups = plan.start.as_ref().and_then(|base| base.model.spacegroups.clone());
            Taught { spacegroups, provenance }
        }
    }
}

/// Says so when nothing is left to do.
fn say_complete(context: &Context, state: &PretrainState, epochs: usize) {
    if state.epoch >= epochs {
        context.say(&format!("the run has {} epochs, train.epochs = {epochs}: nothing is left to do", state.epoch));
    }
}

/// Keeps the training's files and shows how it goes.
struct Observer<'a> {
    run: PretrainRun,
    hyper: &'a Hyperparameters,
    taught: &'a Taught,
    progress: Progress,
    interrupts: Interrupts,
}

impl PretrainObserver for Observer<'_> {
    type Error = Failure;

    fn step(&mut self, done: usize, of: usize) {
        self.progress.set(done as u64, of as u64);
    }

    fn epoch(&mut self, epoch: &Epoch, state: &PretrainState, last: bool) -> Result<(), Failure> {
        let wanted = self.interrupts.take_checkpoint();
        self.run.epoch(epoch, state, self.taught, self.hyper, last || wanted)?;
        self.progress.say(&line(epoch));
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupts.requested()
    }
}

fn line(epoch: &Epoch) -> String {
    let mark = if epoch.best { " *" } else { "" };
    let (train, more) = match &epoch.measured {
        Measured::Likelihood { train_nll, .. } => (*train_nll, String::new()),
        Measured::Preferences { train, valid, kl, kl_error } => {
            let ranked = 100.0 * valid.accuracy;
            (train.loss, format!("  ranked rightly {ranked:5.1} %  KL {kl:.2} +- {kl_error:.2}"))
        }
    };
    let digits = if more.is_empty() { 3 } else { 4 };
    let Epoch { epoch: number, learning_rate, seconds, .. } = epoch;
    let valid = epoch.measured.valid_nll();
    format!(
        "epoch {number:4}  train {train:8.digits$}  valid {valid:8.digits$}{mark}{more}  lr {learning_rate:.2e}  {seconds:.1} s"
    )
}
