//! `temper pretrain`: maximum likelihood on files of structures or tokens.

mod data;
mod plan;

use std::path::PathBuf;

use clap::Args;

use self::data::read_data;
use self::plan::PretrainPlan;
use super::resume::{Resumption, after_interruption};
use super::{Context, Exit, Failure, Interrupts, Progress};
use crate::config;
use crate::policy::{Hyperparameters, Parameters};
use crate::record::{PretrainRun, Start};
use crate::train::{Epoch, PretrainData, PretrainObserver, PretrainState, pretrain};

/// Train a policy by maximum likelihood.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  temper pretrain pretrain.toml --set train.epochs=200\n  temper pretrain --resume runs/pretrain"
)]
pub struct Pretrain {
    /// The config: a TOML file
    #[arg(value_name = "CONFIG", required_unless_present = "resume")]
    config: Option<PathBuf>,
    /// Override a key of the config; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    resumption: Resumption,
}

impl Pretrain {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let beginning = self.resumption.begin(self.config.as_deref(), None, &self.set)?;
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
        let data = read_data(context, &config.data, &plan.files, hyper, &run.data_status())?;
        let runtime = context.runtime(plan.settings.resources.device)?;
        let fresh = || plan.start.clone().unwrap_or_else(|| Parameters::initialise(hyper, config.run.seed));
        let mut state = resumed.unwrap_or_else(|| PretrainState::new(fresh()));
        say_complete(context, &state, plan.settings.epochs);
        let (progress, interrupts) = (context.progress("steps", 0), context.interrupts()?);
        let mut observer = Observer { run, hyper, data: &data, progress, interrupts };
        pretrain(&runtime, hyper, &data, &plan.settings, &mut state, &mut observer)?;
        let Observer { run, progress, interrupts, .. } = observer;
        drop(progress);
        let learned = run.finish(&state, &data, hyper)?;
        if interrupts.requested() && state.epoch < plan.settings.epochs {
            let message = format!("interrupted after epoch {}", state.epoch);
            return Err(Failure::new(Exit::Interrupted, message).hint(after_interruption(run.saved(), "epoch")));
        }
        if !learned {
            let message = format!("no epoch of {} had a finite validation NLL: there is no policy", state.epoch);
            return Err(Failure::new(Exit::Model, message).hint("a smaller train.learning_rate may help"));
        }
        let (nll, best, out) = (state.best_nll, state.best_epoch, run.out().display());
        context.say(&format!("validation NLL {nll:.3} per crystal at epoch {best}: {out}"));
        Ok(())
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
    data: &'a PretrainData,
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
        self.run.epoch(epoch, state, self.data, self.hyper, last || wanted)?;
        let mark = if epoch.best { " *" } else { "" };
        self.progress.say(&format!(
            "epoch {:4}  train {:8.3}  valid {:8.3}{mark}  lr {:.2e}  {:.1} s",
            epoch.epoch,
            epoch.train_nll,
            -epoch.valid.total(),
            epoch.learning_rate,
            epoch.seconds
        ));
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.interrupts.requested()
    }
}
