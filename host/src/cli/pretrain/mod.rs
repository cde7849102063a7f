//! `temper pretrain`: maximum likelihood on files of structures or tokens.

mod data;
mod plan;

use std::path::PathBuf;

use clap::Args;

use self::data::read_data;
use self::plan::PretrainPlan;
use super::{Context, Exit, Failure, Interrupts, Progress};
use crate::config::{Document, Override};
use crate::policy::{Hyperparameters, Parameters};
use crate::record::{PretrainRun, RunDirectory};
use crate::train::{Epoch, PretrainData, PretrainObserver, PretrainState, pretrain};

/// Train a policy by maximum likelihood.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper pretrain pretrain.toml --set train.epochs=200")]
pub struct Pretrain {
    /// The config: a TOML file
    #[arg(value_name = "CONFIG")]
    config: PathBuf,
    /// Override a key of the config; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Continue from the newest checkpoint in `run.dir`, or start if there is none
    #[arg(long)]
    resume: bool,
}

impl Pretrain {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let overrides = self.set.iter().map(|s| s.parse()).collect::<Result<Vec<Override>, _>>()?;
        let plan = PretrainPlan::new(context, &Document::open(&self.config, overrides)?, &self.config)?;
        let (config, hyper) = (&plan.config, &plan.hyper);
        let directory = RunDirectory::open(&config.run.dir, self.resume, "epochs")?;
        let after = directory.resumes_after();
        if after.is_some() {
            plan.check_unchanged(&directory)?;
        }
        let (every, out) = (config.run.checkpoint_every, config.train.out.clone());
        let (run, resumed) = PretrainRun::open(directory, &plan.text, hyper, every, out)?;
        context.say_resumed(after, self.resume, "epoch");
        let data = read_data(context, &config.data, hyper, &run.data_status())?;
        let runtime = context.runtime(plan.settings.resources.device)?;
        let fresh = || plan.start.clone().unwrap_or_else(|| Parameters::initialise(hyper, config.run.seed));
        let mut state = resumed.unwrap_or_else(|| PretrainState::new(fresh()));
        let (progress, interrupts) = (context.progress("steps", 0), context.interrupts()?);
        let mut observer = Observer { run, hyper, data: &data, progress, interrupts };
        pretrain(&runtime, hyper, &data, &plan.settings, &mut state, &mut observer)?;
        let stopped = observer.interrupted() && state.epoch < plan.settings.epochs;
        drop(observer);
        context.say(&format!(
            "validation NLL {:.3} per crystal at epoch {}: {}",
            state.best_nll,
            state.best_epoch,
            config.train.out.display()
        ));
        if stopped {
            return Err(Failure::new(Exit::Interrupted, format!("interrupted after epoch {}", state.epoch))
                .hint("the checkpoint is written; continue with --resume"));
        }
        Ok(())
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
        self.run.epoch(epoch, state, self.data, self.hyper, last)?;
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
