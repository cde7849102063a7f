//! `temper finetune`: reinforcement fine-tuning from a TOML file.

mod comparison;
mod lines;

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use self::comparison::comparison;
use super::resume::{Beginning, Resumption, after_interruption};
use super::{Context, Exit, Failure, Interrupts, Plan, Progress, Recipe};
use crate::config::{self, Direction, Guards, Pareto};
use crate::policy::ModelToml;
use crate::record::{
    Alarm, AlarmSettings, FinetuneRun, ParetoAxis, ParetoFront, Reaction, RecordSettings, RunDirectory, SampleChoice,
    Start, StepSummary,
};
use crate::train::{FinetuneObserver, FinetuneState, Finetuning, StepRecord};

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
    /// Of this config with these overrides, from the newest checkpoint, if there is one.
    pub(super) fn resumed(config: &Path, set: Vec<String>) -> Self {
        let resumption = Resumption::from_the_newest();
        Self { config: Some(config.to_owned()), recipe: None, set, dry_run: false, resumption }
    }

    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let recipe = self.recipe.as_deref().map(|name| Recipe::of_command(name, "finetune")).transpose()?;
        let beginning = self.resumption.begin(self.config.as_deref(), recipe, &self.set)?;
        let plan = Plan::new(context, &beginning)?;
        context.same_on_all_ranks(&plan.text, &plan.lock)?;
        let training = Finetuning::new(&plan.runtime, &plan.model.hyper, plan.base.clone(), &plan.settings)?;
        context.warn_of_memory(plan.settings.resources.memory, training.least_bytes());
        if self.dry_run {
            plan.check_models()?;
            context.ranks.by_first(|| self.check_directory(&plan, &beginning))?;
            let steps = plan.settings.steps;
            return context.print(&format!("everything checks out: {steps} steps of {}", plan.settings.batch));
        }
        let (run, resumed) = match context.ranks.is_first() {
            true => self.open(context, &plan, &beginning).map(|(run, resumed)| (Some(run), resumed))?,
            false => (None, None),
        };
        let mut state = resumed.unwrap_or_else(|| FinetuneState::new(plan.start.clone()));
        state.follow_first(context.ranks);
        let steps = plan.settings.steps;
        if state.step >= steps {
            context.say(&format!("the run has {} steps, run.steps = {steps}: nothing is left to do", state.step));
        } else {
            context.say(&lines::announcement(&plan, state.step));
        }
        let lowering = plan.config.guards.clone().unwrap_or_default().learning_rate_factor();
        let (progress, interrupted) = (context.progress("steps", steps as u64), context.interrupts()?);
        progress.begin_at(state.step as u64);
        let mut observer = Observer { steps, lowering, run, progress, interrupted, is_first: true };
        training.run(&plan.objectives, &plan.settings, &mut state, &mut observer)?;
        let Observer { run, progress, interrupted, is_first, .. } = observer;
        drop(progress);
        let stopped = interrupted.requested();
        let Some(run) = run else { return Ok(()) };
        if !is_first {
            context.print(&comparison(run.ends()))?;
        }
        if let Some(front) = run.pareto() {
            context.say(&format!("Pareto front: {} crystals", front.len()));
        }
        context.say(&format!("run directory: {}", run.path().display()));
        if stopped && state.step < steps {
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
        let (directory, sentence) = context.run_directory(&plan.config.run.dir, beginning.resume, "steps")?;
        let start = self.start(plan, beginning, &directory)?;
        let pareto = plan.config.pareto.as_ref().map(front);
        let alarms = alarms(&plan.config.guards.clone().unwrap_or_default());
        let opened = FinetuneRun::open(directory, &start, described(plan), record_settings(plan), alarms, pareto)?;
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

/// What is kept of the run.
fn record_settings(plan: &Plan) -> RecordSettings {
    let (run, record) = (&plan.config.run, plan.config.record.clone().unwrap_or_default());
    let computed_by = json!({
        "program": concat!("temper ", env!("CARGO_PKG_VERSION")),
        "terms": plan.config.decisive().rewards,
        "sha256": plan.lock.hashes_under("rewards"),
    });
    RecordSettings {
        checkpoint_every: run.checkpoint_every,
        keep: run.keep,
        tensorboard: record.tensorboard,
        samples: match record.samples {
            config::SampleChoice::All => SampleChoice::All,
            config::SampleChoice::Scored => SampleChoice::Scored,
            config::SampleChoice::Every(every) => SampleChoice::Every(every.get()),
        },
        samples_limit: record.samples_limit.bytes(),
        candidates: record.candidates,
        computed_by: computed_by.into(),
    }
}

/// Keeps the run's files and shows how it goes.
struct Observer {
    steps: usize,
    /// What an alarm that lowers the learning rate multiplies it by.
    lowering: f64,
    /// On the first rank, which alone writes.
    run: Option<FinetuneRun>,
    progress: Progress,
    interrupted: Interrupts,
    /// Whether no step has been done yet.
    is_first: bool,
}

impl FinetuneObserver for Observer {
    type Error = Failure;

    fn step(&mut self, record: &StepRecord, state: &mut FinetuneState, last: bool) -> Result<(), Failure> {
        let ranks = self.interrupted.ranks();
        let wanted = self.interrupted.take_checkpoint() || last;
        ranks.by_first(|| self.record(record, state, wanted))?;
        ranks.follow_first(&mut state.learning_rate_scale);
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupted.requested()
    }
}

impl Observer {
    /// Records a step, and says how it went.
    fn record(&mut self, record: &StepRecord, state: &mut FinetuneState, wanted: bool) -> Result<(), Failure> {
        let Some(run) = &mut self.run else { return Ok(()) };
        let StepSummary { metrics, alarms, samples_are_full } = run.step(record, state, wanted)?;
        self.progress.set(record.step as u64, self.steps as u64);
        self.progress.message(&lines::beside_the_bar(&metrics));
        self.progress.say(&lines::step(&metrics));
        lines::warning(record).into_iter().for_each(|text| self.progress.say(&text));
        if std::mem::take(&mut self.is_first) {
            lines::outlook(&metrics, self.steps).into_iter().for_each(|text| self.progress.say(&text));
        }
        if samples_are_full {
            self.progress.say(&format!(
                "warning: step {}: the samples have reached `record.samples_limit`, and no more are kept\n\
                 hint: a larger limit, or record.samples = {{ every = 10 }}",
                record.step
            ));
        }
        let stops = |alarm: &Alarm| alarm.reaction == Reaction::Stop;
        let (stops, warns): (Vec<Alarm>, Vec<Alarm>) = alarms.into_iter().partition(stops);
        for Alarm { message, hint, reaction } in warns {
            let lowered = match reaction {
                Reaction::LowerLearningRate => {
                    format!("; the learning rate is multiplied by {} from now on, as [guards] says", self.lowering)
                }
                _ => String::new(),
            };
            self.progress.say(&format!("warning: {message}{lowered}\nhint: {hint}"));
        }
        match stops.into_iter().next() {
            None => Ok(()),
            Some(Alarm { message, hint, .. }) => {
                let message = format!("step {}: {message}; the run ends, as [guards] says", record.step);
                Err(Failure::new(Exit::Model, message).hint(hint))
            }
        }
    }
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
        composition: or_warn(guards.composition),
        composition_bound: guards.composition_bound,
        plateau: or_warn(guards.plateau),
        plateau_steps: guards.plateau_steps,
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
