//! `temper status`: how far runs are.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::duration::{rounded, short};
use super::{Context, Failure, Output};
use crate::record::{RunStatus, Writer};

/// Show how far runs are: steps, rate, time left, last figures, and whether they are running.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper status runs/*")]
pub struct Status {
    /// Directories of runs, of temper finetune or temper pretrain
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
}

impl Status {
    pub(super) fn run(&self, _: &Context) -> Result<(), Failure> {
        let mut output = Output::create(Path::new("-"))?;
        let mut unreadable = 0;
        for run in &self.runs {
            let described = match RunStatus::look(run) {
                Ok(status) => describe(&status),
                Err(error) if self.runs.len() == 1 => return Err(error.into()),
                Err(error) => {
                    unreadable += 1;
                    format!("unreadable: {error}")
                }
            };
            writeln!(output, "{}: {described}", run.display()).map_err(|error| output.failed(&error))?;
        }
        output.finish()?;
        match unreadable {
            0 => Ok(()),
            count => Err(Failure::user(format!("{count} of {} runs cannot be read", self.runs.len()))),
        }
    }
}

fn describe(status: &RunStatus) -> String {
    let RunStatus { unit, done, planned, .. } = status;
    let mut parts = vec![format!("{unit} {done} of {planned}")];
    let complete = done >= planned;
    parts.push(match &status.writer {
        Writer::Process(who) => format!("running ({who})"),
        Writer::Nobody if complete => "complete".to_owned(),
        Writer::Nobody => "not running".to_owned(),
        Writer::Unknown(reason) => format!("running or not: unknown ({reason})"),
    });
    parts.extend(status.seconds.map(|seconds| format!("{} per {unit}", short(seconds))));
    let left = status.left().filter(|_| !complete && !matches!(status.writer, Writer::Nobody));
    parts.extend(left.map(|left| format!("{} left", rounded(left.as_secs_f64()))));
    parts.extend(status.age.map(|age| format!("last {unit} {} ago", rounded(age.as_secs_f64()))));
    let figures: Vec<String> = status.figures.iter().map(|(key, value)| format!("{key} {value:.4}")).collect();
    let figures = if figures.is_empty() { String::new() } else { format!("\n    {}", figures.join("  ")) };
    parts.join(", ") + &figures
}
