//! `temper report`: a page about runs.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, Failure, Output};
use crate::report;

/// Write a page about runs: curves, what has changed, the best crystals.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  temper report runs/stability -o report.html\n  \
    temper report runs/weak-* runs/strong-* -o report.html --figures figures\n\n\
    Runs whose configs differ only in run.seed, run.dir, run.threads, train.out and [record] are one group: its curves are means \
    with the spread over the seeds. The page is a single file that needs neither a network nor JavaScript.")]
pub struct Report {
    /// Directories of runs, of temper finetune or temper pretrain
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// File that receives the page
    #[arg(long, short, value_name = "HTML")]
    out: PathBuf,
    /// Folder that receives each figure as an SVG file
    #[arg(long, value_name = "FOLDER")]
    figures: Option<PathBuf>,
}

impl Report {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let progress = context.progress("runs", self.runs.len() as u64);
        let report = report::Report::read(&self.runs, &|| progress.advance(1))?;
        drop(progress);
        write(&self.out, &report.html())?;
        if let Some(folder) = &self.figures {
            fs::create_dir_all(folder).map_err(|e| Failure::user(format!("{}: {e}", folder.display())))?;
            report.figures().try_for_each(|figure| write(&folder.join(format!("{}.svg", figure.name)), &figure.svg))?;
        }
        let (figures, out) = (report.figures().count(), self.out.display());
        context.say(&format!("{} runs, {figures} figures: {out}", self.runs.len()));
        Ok(())
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = Output::create(path)?;
    file.write_all(text.as_bytes()).map_err(|error| file.failed(&error))?;
    file.finish()
}
