//! `temper pretrain`: maximum likelihood, or preferences, on files of structures or tokens.

mod data;
mod numbers;
mod plan;

use std::path::{Path, PathBuf};

use clap::Args;

use self::data::{Examples, read_data};
use self::plan::PretrainPlan;
use super::duration::rounded;
use super::resume::{Beginning, Resumption, after_interruption};
use super::wanted::{UNIFORM, training_groups};
use super::{Context, Exit, Failure, Interrupts, Progress, Recipe};
use crate::atomic::check_folder;
use crate::config::{self, Dpo, SpaceGroupsOf};
use crate::policy::{Hyperparameters, LikelihoodError, Parameters, PolicyDirectory};
use crate::record::{PretrainRun, RunDirectory, Start, Taught};
use crate::train::{
    DirectPreference, Epoch, MaximumLikelihood, Measured, PreferenceOptimisation, PreferenceSettings, Preferences,
    PretrainError, PretrainObserver, PretrainSettings, PretrainState, Task, check_examples, pretrain,
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
    /// Check everything, then stop
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    resumption: Resumption,
}

impl Pretrain {
    /// Of this config with these overrides, from the newest checkpoint, if there is one.
    pub(super) fn resumed(config: &Path, set: Vec<String>) -> Self {
        let resumption = Resumption::from_the_newest();
        Self { config: Some(config.to_owned()), recipe: None, set, dry_run: false, resumption }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let recipe = self.recipe.as_deref().map(|name| Recipe::of_command(name, "pretrain")).transpose()?;
        let beginning = self.resumption.begin(self.config.as_deref(), recipe, &self.set)?;
        let plan = PretrainPlan::new(context, &beginning)?;
        context.same_on_all_ranks(&plan.text, &plan.lock)?;
        if self.dry_run {
            return self.check(context, &plan, &beginning);
        }
        let (config, hyper) = (&plan.config, &plan.hyper);
        let (run, resumed) = match context.ranks.is_first() {
            true => self.open(context, &plan, &beginning).map(|(run, resumed)| (Some(run), resumed))?,
            false => (None, None),
        };
        let examples = read_data(context, &plan, run.as_ref())?;
        let begin = plan.start.as_ref().map(|policy| policy.parameters.clone());
        let fresh = || begin.unwrap_or_else(|| Parameters::initialise(hyper, config.run.seed));
        let mut state = resumed.unwrap_or_else(|| PretrainState::new(fresh()));
        state.follow_first(context.ranks);
        say_complete(context, &state, plan.settings.epochs);
        let taught = taught(context, &plan, &examples);
        let (progress, interrupts) = (context.progress("steps", 0), context.interrupts()?);
        let training = Training::load(context, &plan, &examples)?;
        if state.epoch < plan.settings.epochs {
            context.say(&training.announcement(&plan)?);
        }
        let (epochs, is_first) = (plan.settings.epochs, true);
        let mut observer = Observer { run, hyper, taught: &taught, progress, interrupts, epochs, is_first };
        let start = if state.epoch < epochs { training.loss_at_start(&plan)? } else { None };
        if let Some(loss) = start.filter(|_| state.epoch == 0 && config.dpo.is_none()) {
            observer.progress.say(&format!("epoch    0  valid {loss:8.3}, as it starts"));
        }
        training.run(&plan.settings, &mut state, &mut observer)?;
        let Observer { run, progress, interrupts, .. } = observer;
        drop(progress);
        let stopped = interrupts.requested();
        let Some(run) = run else { return Ok(()) };
        let learned = run.finish(&state, &taught, hyper)?;
        if stopped && state.epoch < plan.settings.epochs {
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
        if let Some(start) = start.filter(|start| nll >= *start) {
            context.say(&format!(
                "warning: no epoch was better than the policy that the training started from, which has {start:.3}\n\
                 hint: a smaller train.learning_rate or more crystals may help; a policy with temperatures below 1 is better trained without them"
            ));
        }
        Ok(())
    }

    /// Opens the run's directory.
    fn open(
        &self,
        context: &Context,
        plan: &PretrainPlan,
        beginning: &Beginning,
    ) -> Result<(PretrainRun, Option<PretrainState>), Failure> {
        let run = &plan.config.run;
        let (directory, sentence) = context.run_directory(&run.dir, beginning.resume, "epochs")?;
        let start = self.start(plan, beginning, &directory)?;
        let (every, tensorboard) = (run.checkpoint_every, plan.config.record.clone().unwrap_or_default().tensorboard);
        let opened = PretrainRun::open(directory, &start, &plan.hyper, every, tensorboard, out(plan, beginning))?;
        sentence.iter().for_each(|sentence| context.say(sentence));
        Ok(opened)
    }

    fn start<'a>(
        &'a self,
        plan: &'a PretrainPlan,
        beginning: &Beginning,
        directory: &RunDirectory,
    ) -> Result<Start<'a>, Failure> {
        let changes = beginning.changes(directory, &plan.config, config::Pretrain::decisive)?;
        Ok(Start { config: &plan.text, lock: &plan.lock, changes, accepted: &self.resumption.accepted })
    }

    /// Everything that the training will touch, without writing anything.
    fn check(&self, context: &Context, plan: &PretrainPlan, beginning: &Beginning) -> Result<(), Failure> {
        context.ranks.by_first(|| self.check_directory(plan, beginning))?;
        let examples = read_data(context, plan, None)?;
        let steps = Training::load(context, plan, &examples)?.steps(&plan.settings)?;
        let (epochs, batch) = (plan.settings.epochs, plan.settings.batch);
        context.print(&format!("everything checks out: {epochs} epochs of {steps} steps of {batch}"))
    }

    fn check_directory(&self, plan: &PretrainPlan, beginning: &Beginning) -> Result<(), Failure> {
        let directory = RunDirectory::look(&plan.config.run.dir, beginning.resume, "epochs")?;
        directory.check_writable()?;
        directory.check_changes(&self.start(plan, beginning, &directory)?, true)?;
        let out = out(plan, beginning);
        check_folder(&out).map_err(|e| Failure::new(Exit::Write, format!("cannot write {}: {e}", out.display())))
    }
}

/// Where the policy goes.
fn out(plan: &PretrainPlan, beginning: &Beginning) -> PathBuf {
    beginning.output(&plan.config.train.out, beginning.recorded_dir().as_deref())
}

/// What a plan trains by, its graphs loaded.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Training<'a> {
    Likelihood(MaximumLikelihood<'a>),
    Preferences(PreferenceOptimisation<'a>),
}

impl<'a> Training<'a> {
    fn load(context: &Context, plan: &'a PretrainPlan, examples: &'a Examples) -> Result<Self, Failure> {
        let (runtime, seed, resources) = (&plan.runtime, plan.settings.seed, plan.settings.resources);
        let training = match (examples, &plan.start, &plan.config.dpo) {
            (Examples::Crystals(data), _, _) => {
                Self::Likelihood(MaximumLikelihood::load(runtime, &plan.hyper, data, seed, resources)?)
            }
            (Examples::Pairs(pairs), Some(base), Some(dpo)) => {
                Self::Preferences(preferences(context, plan, pairs, base, dpo)?)
            }
            // The config was refused.
            (Examples::Pairs(_), _, _) => return Err(Failure::user("[dpo] needs `policy.model`")),
        };
        let least = match &training {
            Self::Likelihood(task) => task.least_bytes(),
            Self::Preferences(task) => task.least_bytes(),
        };
        context.warn_of_memory(resources.memory, least);
        Ok(training)
    }

    /// Learns from the examples.
    fn run(
        &self,
        settings: &PretrainSettings,
        state: &mut PretrainState,
        observer: &mut Observer<'_>,
    ) -> Result<(), Failure> {
        match self {
            Self::Likelihood(task) => pretrain(task, settings, state, observer),
            Self::Preferences(task) => pretrain(task, settings, state, observer),
        }
    }

    /// The loss on what is held out of the policy that is trained further, if one is.
    fn loss_at_start(&self, plan: &PretrainPlan) -> Result<Option<f64>, LikelihoodError> {
        match (self, &plan.start) {
            (Self::Likelihood(task), Some(start)) if task.examples().1 > 0 => {
                Ok(Some(-task.validation(&start.parameters)?.total()))
            }
            (Self::Likelihood(_), _) => Ok(None),
            // The policy is its own base there, and prefers neither of a pair.
            (Self::Preferences(_), _) => Ok(Some(std::f64::consts::LN_2)),
        }
    }

    /// What will be done.
    fn announcement(&self, plan: &PretrainPlan) -> Result<String, PretrainError> {
        let (what, (train, held_out)) = match self {
            Self::Likelihood(task) => ("crystals", task.examples()),
            Self::Preferences(task) => ("pairs", task.examples()),
        };
        let (config, steps) = (&plan.config, self.steps(&plan.settings)?);
        let (epochs, batch) = (plan.settings.epochs, plan.settings.batch);
        Ok(format!(
            "training on {train} {what}, {held_out} held out: {epochs} epochs of {steps} steps of {batch}, seed {}, files in {}",
            config.run.seed,
            config.run.dir.display()
        ))
    }

    /// Optimiser steps of an epoch, if there are examples enough.
    fn steps(&self, settings: &PretrainSettings) -> Result<usize, PretrainError> {
        let (checked, (train, _)) = match self {
            Self::Likelihood(task) => (check_examples(task, settings), task.examples()),
            Self::Preferences(task) => (check_examples(task, settings), task.examples()),
        };
        checked.map(|()| train / settings.batch)
    }
}

/// The training on preferences that a plan asks for.
fn preferences<'a>(
    context: &Context,
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
    Ok(PreferenceOptimisation::load(&plan.runtime, &plan.hyper, pairs, settings)?)
}

/// What the policy's description says of its training. Space groups are drawn as often as the data have them, or as the policy to start
/// from does: preferences teach nothing about that.
fn taught(context: &Context, plan: &PretrainPlan, examples: &Examples) -> Taught {
    let keeps = plan.config.train.spacegroups == Some(SpaceGroupsOf::Policy);
    let (key, count, of_data) = match examples {
        Examples::Crystals(data) => ("training_crystals", data.train.len(), Some(data.spacegroups())),
        Examples::Pairs(pairs) => ("training_pairs", pairs.train.len(), None),
    };
    let of_policy = || plan.start.as_ref().and_then(|policy| policy.model.spacegroups.clone());
    let spacegroups = of_data.filter(|_| !keeps).or_else(of_policy);
    if keeps && spacegroups.is_none() {
        context.say(&format!("warning: {UNIFORM}"));
    }
    Taught { spacegroups, provenance: toml::Table::from_iter([(key.to_owned(), (count as i64).into())]) }
}

/// Says so when nothing is left to do.
fn say_complete(context: &Context, state: &PretrainState, epochs: usize) {
    if state.epoch >= epochs {
        context.say(&format!("the run has {} epochs, train.epochs = {epochs}: nothing is left to do", state.epoch));
    }
}

/// Keeps the training's files and shows how it goes.
struct Observer<'a> {
    /// On the first rank, which alone writes.
    run: Option<PretrainRun>,
    hyper: &'a Hyperparameters,
    taught: &'a Taught,
    progress: Progress,
    interrupts: Interrupts,
    epochs: usize,
    /// Whether no epoch has been done yet.
    is_first: bool,
}

impl PretrainObserver for Observer<'_> {
    type Error = Failure;

    fn step(&mut self, done: usize, of: usize) {
        self.progress.set(done as u64, of as u64);
    }

    fn epoch(&mut self, epoch: &Epoch, state: &PretrainState, last: bool) -> Result<(), Failure> {
        let wanted = self.interrupts.take_checkpoint() || last;
        self.interrupts.ranks().by_first(|| self.record(epoch, state, wanted))?;
        let left = self.epochs.saturating_sub(epoch.epoch);
        if std::mem::take(&mut self.is_first) && left > 0 && !last {
            let time = rounded(epoch.seconds * left as f64);
            self.progress.say(&format!("at this rate, the other {left} epochs take {time}"));
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupts.requested()
    }
}

impl Observer<'_> {
    /// Records an epoch, and says how it went.
    fn record(&mut self, epoch: &Epoch, state: &PretrainState, wanted: bool) -> Result<(), Failure> {
        let Some(run) = &mut self.run else { return Ok(()) };
        run.epoch(epoch, state, self.taught, self.hyper, wanted)?;
        self.progress.say(&line(epoch));
        Ok(())
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
