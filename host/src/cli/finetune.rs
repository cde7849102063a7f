//! `temper finetune`: reinforcement fine-tuning from a TOML file.

use std::path::PathBuf;

use clap::Args;

use super::resume::{Beginning, Resumption, after_interruption};
use super::{Context, Exit, Failure, Interrupts, Plan, Progress, Recipe};
use crate::config::{self, Direction, Guards, Pareto};
use crate::policy::ModelToml;
use crate::record::{
    Alarm, AlarmSettings, Checkpoints, FinetuneRun, ParetoAxis, ParetoFront, Reaction, RunDirectory, Start,
    StepMetrics, StepSummary,
};
use crate::train::{FinetuneObserver, FinetuneState, Finetuning, StageTimes, StepRecord};

/// Fine-tune a policy by PPO against rewards.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  temper finetune --recipe stability\n  temper finetune run.toml --set run.steps=3\n  \
    temper finetune run.toml --resume\n  temper finetune --resume runs/finetune --set run.steps=200"
)]
pub struct Finetune {
    /// The config: a TOML file, such as `temper init` writes
    #[arg(value_name = "CONFIG", required_unless_present_any = ["recipe", "resume"], conflicts_with = "recipe")]
    config: Option<PathBuf>,
    /// A config that ships with Temper, in place of CONFIG
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

impl Finetune {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let recipe = self.recipe.as_deref().map(|name| Recipe::of_command(name, "finetune")).transpose()?;
        let beginning = self.resumption.begin(self.config.as_deref(), recipe, &self.set)?;
        let plan = Plan::new(context, &beginning)?;
        let training = Finetuning::new(&plan.runtime, &plan.model.hyper, plan.base.clone(), &plan.settings)?;
        context.warn_of_memory(plan.config.run.memory, training.least_bytes());
        if self.dry_run {
            self.check_directory(&plan, &beginning)?;
            plan.check_models()?;
            let steps = plan.settings.steps;
            return context.print(&format!("everything checks out: {steps} steps of {}", plan.settings.batch));
        }
        let (run, resumed) = self.open(context, &plan, &beginning)?;
        let mut state = resumed.unwrap_or_else(|| FinetuneState::new(plan.start.clone()));
        let steps = plan.settings.steps;
        if state.step >= steps {
            context.say(&format!("the run has {} steps, run.steps = {steps}: nothing is left to do", state.step));
        }
        let (progress, interrupted) = (context.progress("steps", steps as u64), context.interrupts()?);
        progress.set(state.step as u64, steps as u64);
        let mut observer =
            Observer { steps, learning_rate: plan.settings.learning_rate, run, progress, interrupted, last: None };
        training.run(&plan.objectives, &plan.settings, &mut state, &mut observer)?;
        let Observer { run, progress, interrupted, last, .. } = observer;
        drop(progress);
        if let (Some(first), Some(last)) = (run.first(), last) {
            context.print(&comparison(first, &last))?;
        }
        if let Some(front) = run.pareto() {
            context.say(&format!("Pareto front: {} crystals", front.len()));
        }
        context.say(&format!("run directory: {}", run.path().display()));
        if interrupted.requested() && state.step < steps {
            let message = format!("interrupted after step {}", state.step);
            return Err(Failure::new(Exit::Interrupted, message).hint(after_interruption(run.saved(), "step")));
        }
        Ok(())
    }

    /// Opens the run's directory.
    fn open(
        &self,
        context: &Context,
        plan: &Plan,
        beginning: &Beginning,
    ) -> Result<(FinetuneRun, Option<FinetuneState>), Failure> {
        let run = &plan.config.run;
        let (directory, sentence) = context.run_directory(&run.dir, beginning.resume, "steps")?;
        let start = self.start(plan, beginning, &directory)?;
        let checkpoints = Checkpoints { every: run.checkpoint_every, keep: run.keep };
        let pareto = plan.config.pareto.as_ref().map(front);
        let alarms = alarms(&plan.config.guards.clone().unwrap_or_default());
        let opened = FinetuneRun::open(directory, &start, described(plan), checkpoints, alarms, pareto)?;
        sentence.iter().for_each(|sentence| context.say(sentence));
        Ok(opened)
    }

    fn start<'a>(
        &'a self,
        plan: &'a Plan,
        beginning: &Beginning,
        directory: &RunDirectory,
    ) -> Result<Start<'a>, Failure> {
        let changes = beginning.changes(directory, &plan.config, config::Finetune::decisive)?;
        Ok(Start { config: &plan.text, lock: &plan.lock, changes, accepted: &self.resumption.accepted })
    }

    /// What opening the run's directory would find, without writing anything.
    fn check_directory(&self, plan: &Plan, beginning: &Beginning) -> Result<(), Failure> {
        let directory = RunDirectory::look(&plan.config.run.dir, beginning.resume, "steps")?;
        directory.check_writable()?;
        directory.check_changes(&self.start(plan, beginning, &directory)?, false)?;
        Ok(())
    }
}

/// The policy's description with what the run makes of it.
fn described(plan: &Plan) -> ModelToml {
    let mut provenance = toml::Table::new();
    provenance.insert("made_by".into(), format!("temper {} finetune", env!("CARGO_PKG_VERSION")).into());
    provenance.insert("objective".into(), plan.config.objective.clone().into());
    provenance.insert("policy".into(), plan.config.policy.model.to_string_lossy().into_owned().into());
    ModelToml { provenance: Some(provenance), ..plan.model.clone() }
}

/// Keeps the run's files and shows how it goes.
struct Observer {
    steps: usize,
    learning_rate: f64,
    run: FinetuneRun,
    progress: Progress,
    interrupted: Interrupts,
    last: Option<StepMetrics>,
}

impl FinetuneObserver for Observer {
    type Error = Failure;

    fn step(&mut self, record: &StepRecord, state: &mut FinetuneState, last: bool) -> Result<(), Failure> {
        let wanted = last || self.interrupted.take_checkpoint();
        let StepSummary { metrics, alarms } = self.run.step(record, state, wanted)?;
        self.progress.set(record.step as u64, self.steps as u64);
        self.progress.say(&line(&metrics));
        warning(record).into_iter().for_each(|text| self.progress.say(&text));
        let stops = |alarm: &Alarm| alarm.reaction == Reaction::Stop;
        let (stops, warns): (Vec<Alarm>, Vec<Alarm>) = alarms.into_iter().partition(stops);
        for Alarm { message, hint, reaction } in warns {
            let lowered = match reaction {
                Reaction::LowerLearningRate => {
                    let rate = self.learning_rate * state.learning_rate_scale;
                    format!("; the learning rate is {rate} from now on, as [guards] says")
                }
                _ => String::new(),
            };
            self.progress.say(&format!("warning: {message}{lowered}\nhint: {hint}"));
        }
        self.last = Some(metrics);
        match stops.into_iter().next() {
            None => Ok(()),
            Some(Alarm { message, hint, .. }) => {
                let message = format!("step {}: {message}; the run ends, as [guards] says", record.step);
                Err(Failure::new(Exit::Model, message).hint(hint))
            }
        }
    }

    fn interrupted(&self) -> bool {
        self.interrupted.requested()
    }
}

/// What is wrong with a step as far as learning from it goes.
fn warning(record: &StepRecord) -> Option<String> {
    let (step, update) = (record.step, &record.update);
    let hint = match update.grad_norms.is_empty() && update.skipped > 0 {
        true => "\nhint: an objective of ordinary size helps, such as one divided by its largest value",
        false => "",
    };
    match &record.idle {
        Some(reason) => Some(format!("warning: step {step}: {reason}{hint}")),
        None if update.skipped > 0 => {
            Some(format!("warning: step {step}: {} optimiser steps skipped: gradient not finite", update.skipped))
        }
        None => None,
    }
}

fn line(m: &StepMetrics) -> String {
    let stable = m.stable_fraction.map_or_else(String::new, |x| format!("  stable {:5.1} %", 100.0 * x));
    let scored = m.funnel.last().map_or_else(String::new, |stage| format!("  {} {}", stage.stage, stage.rows));
    format!(
        "step {:4}  objective {:>8}{stable}  KL {:>7}  unique {:5.1} %  failed {:4.1} %{scored}  {:.1} s (sample {:.1}, reward {:.1}, gradient {:.1})",
        m.step,
        number(m.objective_mean, 4),
        number(m.kl, 3),
        100.0 * m.unique_formulas,
        100.0 * m.failed_fraction,
        m.time.step,
        m.time.sample,
        m.time.reward,
        m.time.update(),
    )
}

fn number(value: Option<f64>, digits: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
}

/// What rings, and what then happens.
fn alarms(guards: &Guards) -> AlarmSettings {
    let reaction = |reaction: config::Reaction| match reaction {
        config::Reaction::Ignore => Reaction::Ignore,
        config::Reaction::Warn => Reaction::Warn,
        config::Reaction::Stop => Reaction::Stop,
        config::Reaction::LowerLearningRate => Reaction::LowerLearningRate,
    };
    let or_warn = |stated: Option<config::Reaction>| reaction(stated.unwrap_or(Guards::UNSTATED));
    AlarmSettings {
        unique_formulas: reaction(guards.unique_formulas),
        space_groups: reaction(guards.space_groups),
        entropy: or_warn(guards.entropy),
        elements: reaction(guards.elements),
        distance: or_warn(guards.distance),
        density: or_warn(guards.density),
        clip_fraction: reaction(guards.clip_fraction),
        kl: reaction(guards.kl),
        kl_bound: guards.kl_bound,
        judge_gap: or_warn(guards.judge_gap),
        judge_gap_bound: guards.judge_gap_bound,
        learning_rate_factor: guards.learning_rate_factor(),
    }
}

/// The empty front that a config asks for.
fn front(pareto: &Pareto) -> ParetoFront {
    let axis = |(term, direction): (&String, &Direction)| ParetoAxis {
        term: term.clone(),
        maximise: *direction == Direction::Max,
    };
    ParetoFront::new(pareto.terms.iter().map(axis).collect(), pareto.size)
}

/// The first step against the last.
fn comparison(first: &StepMetrics, last: &StepMetrics) -> String {
    let mut rows = vec![("", format!("step {}", first.step), format!("step {}", last.step))];
    let mut row = |name, value: &dyn Fn(&StepMetrics) -> String| rows.push((name, value(first), value(last)));
    row("mean objective", &|s| number(s.objective_mean, 4));
    if first.stable_fraction.is_some() {
        row("stable, e_hull < 0.1 eV/atom", &|s| format!("{:.1} %", 100.0 * s.stable_fraction.unwrap_or(0.0)));
    }
    row("KL to the base, nats", &|s| number(s.kl, 3));
    row("unique formulas", &|s| format!("{:.1} %", 100.0 * s.unique_formulas));
    row("failed", &|s| format!("{:.1} %", 100.0 * s.failed_fraction));
    for (place, stage) in first.funnel.iter().enumerate() {
        let count = |s: &StepMetrics| s.funnel.get(place).map_or_else(String::new, |stage| stage.rows.to_string());
        row(&stage.stage, &count);
    }
    row("seconds", &|s| format!("{:.1}", s.time.step));
    for ((name, first), (_, last)) in stages(&first.time).into_iter().zip(stages(&last.time)) {
        rows.push((name, format!("{first:.3}"), format!("{last:.3}")));
    }
    let lines: Vec<String> = rows.iter().map(|(n, a, b)| format!("{n:<30} {a:>12} {b:>12}")).collect();
    lines.join("\n")
}

/// Seconds of each stage, and of what lies between them.
fn stages(t: &StageTimes) -> [(&'static str, f64); 6] {
    [
        ("  sampling", t.sample),
        ("  rewards", t.reward),
        ("  log-probabilities", t.likelihood),
        ("  gradients", t.gradient),
        ("  clipping and Adam", t.optimiser),
        ("  the rest", t.rest()),
    ]
}
