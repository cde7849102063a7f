//! `temper finetune`: reinforcement fine-tuning from a TOML file.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Exit, Failure, Interrupts, Plan, Progress, Recipe};
use crate::config::{Direction, Document, Override, Pareto};
use crate::record::{ParetoAxis, ParetoFront, RunDirectory, RunError, StepSummary};
use crate::train::{FinetuneObserver, FinetuneState, Finetuning, StageTimes, StepRecord};

/// Share of the first step's unique formulas below which the policy is said to collapse.
const COLLAPSE: f64 = 0.5;

/// Fine-tune a policy by PPO against rewards.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  temper finetune --recipe stability\n  temper finetune run.toml --set run.steps=3\n  \
    temper finetune run.toml --resume"
)]
pub struct Finetune {
    /// The config: a TOML file, such as `temper init` writes
    #[arg(value_name = "CONFIG", required_unless_present = "recipe", conflicts_with = "recipe")]
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
    /// Continue from the newest checkpoint in `run.dir`, or start if there is none
    #[arg(long)]
    resume: bool,
}

impl Finetune {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let overrides = self.set.iter().map(|s| s.parse()).collect::<Result<Vec<Override>, _>>()?;
        let document = match (&self.recipe, &self.config) {
            (Some(name), _) => Document::new(format!("recipe {name}"), Recipe::named(name)?.text, overrides),
            (None, Some(path)) => Document::open(path, overrides)?,
            (None, None) => return Err(Failure::user("name a config, or a recipe with --recipe")),
        };
        let plan = Plan::new(context, &document, self.config.as_deref())?;
        let training = Finetuning::new(&plan.runtime, &plan.model.hyper, plan.base.clone(), &plan.settings)?;
        if self.dry_run {
            let steps = plan.settings.steps;
            return context.print(&format!("everything checks out: {steps} steps of {}", plan.settings.batch));
        }
        let run = &plan.config.run;
        let pareto = plan.config.pareto.as_ref().map(front);
        let opened = RunDirectory::open(&run.dir, self.resume, &plan.text, &plan.lock, &plan.model.hyper, pareto)?;
        let (directory, resumed) = opened;
        let mut state = resumed.unwrap_or_else(|| FinetuneState::new(plan.start.clone()));
        if state.step > 0 {
            context.say(&format!("resuming after step {}", state.step));
        }
        let mut observer = Observer {
            plan: &plan,
            directory,
            progress: context.progress("steps", plan.settings.steps as u64),
            interrupted: context.interrupts()?,
            last: None,
            collapsed: false,
        };
        observer.progress.set(state.step as u64, plan.settings.steps as u64);
        training.run(&plan.objectives, &plan.settings, &mut state, &mut observer)?;
        let Observer { directory, progress, interrupted, last, .. } = observer;
        drop(progress);
        if let (Some(first), Some(last)) = (directory.first(), last) {
            context.print(&comparison(first, &last))?;
        }
        if let Some(front) = directory.pareto() {
            context.say(&format!("Pareto front: {} crystals", front.len()));
        }
        context.say(&format!("run directory: {}", directory.path().display()));
        if interrupted.requested() && state.step < plan.settings.steps {
            return Err(Failure::new(Exit::Interrupted, format!("interrupted after step {}", state.step))
                .hint("the checkpoint is written; continue with --resume"));
        }
        Ok(())
    }
}

/// Keeps the run's files and shows how it goes.
struct Observer<'a> {
    plan: &'a Plan,
    directory: RunDirectory,
    progress: Progress,
    interrupted: Interrupts,
    last: Option<StepSummary>,
    /// Whether the user has been warned of it.
    collapsed: bool,
}

impl FinetuneObserver for Observer<'_> {
    fn step(&mut self, record: &StepRecord, state: &FinetuneState) -> Result<(), String> {
        let (run, steps) = (&self.plan.config.run, self.plan.settings.steps);
        let summary = self.directory.step(record).map_err(|e| e.to_string())?;
        let due = record.step.is_multiple_of(run.checkpoint_every) || record.step == steps || self.interrupted();
        if due {
            self.directory.checkpoint(state, run.keep).map_err(|e| e.to_string())?;
        }
        self.progress.set(record.step as u64, steps as u64);
        self.progress.say(&line(&summary, record));
        let base = self.directory.first().map_or(0.0, |first| first.unique);
        if !self.collapsed && summary.unique < COLLAPSE * base {
            self.collapsed = true;
            self.progress.say(&format!(
                "warning: unique formulas fell to {:.1} % from {:.1} %: the policy repeats itself; a larger ppo.kl_weight holds it back",
                100.0 * summary.unique,
                100.0 * base
            ));
        }
        self.last = Some(summary);
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupted.requested()
    }
}

fn line(s: &StepSummary, record: &StepRecord) -> String {
    let stable = s.stable.map_or_else(String::new, |x| format!("  stable {:5.1} %", 100.0 * x));
    let t = &record.times;
    format!(
        "step {:4}  objective {:8.4}{stable}  KL {:7.3}  unique {:5.1} %  failed {:4.1} %  {:.1} s (sample {:.1}, reward {:.1}, gradient {:.1})",
        s.step,
        s.objective,
        s.kl,
        100.0 * s.unique,
        100.0 * s.failed,
        t.step,
        t.sample,
        t.reward,
        t.likelihood + t.gradient + t.optimiser,
    )
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
fn comparison(first: &StepSummary, last: &StepSummary) -> String {
    let mut rows = vec![("", format!("step {}", first.step), format!("step {}", last.step))];
    let mut row = |name, value: &dyn Fn(&StepSummary) -> String| rows.push((name, value(first), value(last)));
    row("mean objective", &|s| format!("{:.4}", s.objective));
    if first.stable.is_some() {
        row("stable, e_hull < 0.1 eV/atom", &|s| format!("{:.1} %", 100.0 * s.stable.unwrap_or(0.0)));
    }
    row("KL to the base, nats", &|s| format!("{:.3}", s.kl));
    row("unique formulas", &|s| format!("{:.1} %", 100.0 * s.unique));
    row("failed", &|s| format!("{:.1} %", 100.0 * s.failed));
    for (place, stage) in first.funnel.iter().enumerate() {
        let count = |s: &StepSummary| s.funnel.get(place).map_or_else(String::new, |stage| stage.rows.to_string());
        row(&stage.name, &count);
    }
    row("seconds", &|s| format!("{:.1}", s.times.step));
    for ((name, first), (_, last)) in stages(&first.times).into_iter().zip(stages(&last.times)) {
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
        ("  the rest", t.step - t.sample - t.reward - t.likelihood - t.gradient - t.optimiser),
    ]
}

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        let failure = Self::from_error(Exit::Usage, &error);
        match error {
            RunError::Occupied { .. } => {
                failure.hint("continue it with --resume, or choose another directory with --set run.dir=...")
            }
            RunError::Changed { .. } => failure.hint("start a new run in another directory with --set run.dir=..."),
            _ => failure,
        }
    }
}
