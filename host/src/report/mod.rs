//! A page about runs: their curves, what changed between the first step and the last ones, how well the crystals do, and what the
//! numbers depend on. It computes everything from the files of the runs, draws nothing itself (that is for `figures`), and
//! writes no file.

mod candidates;
mod error;
mod evaluation;
mod group;
mod page;
mod periodic_table;
mod run;
mod samples;
mod sections;
mod text;
mod window;

use std::path::PathBuf;

use maud::Markup;

pub use error::ReportError;
use group::grouped;
pub use group::letter;
use run::ReportedRun;
pub use sections::{percent_bar, share_of_energies};

/// Runs that are named in the title.
const MOST_NAMES: usize = 3;

/// A report that can be written.
#[derive(Debug)]
pub struct Report {
    title: String,
    sections: Vec<Section>,
}

/// A figure of a report.
#[derive(Debug)]
pub struct Figure {
    /// Name of its file, without `.svg`.
    pub name: String,
    /// The picture.
    pub svg: String,
    caption: Markup,
}

/// A part of the page.
#[derive(Debug)]
struct Section {
    /// For links.
    id: &'static str,
    title: &'static str,
    /// What stands before the figures.
    words: Markup,
    figures: Vec<Figure>,
    /// What stands after them: tables, mostly.
    after: Markup,
}

impl Report {
    /// Reads runs, each file once. `progress` hears of each run that has been read.
    ///
    /// # Errors
    /// [`ReportError`], when there is nothing to report of one of them.
    pub fn read(runs: &[PathBuf], progress: &dyn Fn()) -> Result<Self, ReportError> {
        let read = |path: &PathBuf| {
            let run = ReportedRun::read(path);
            progress();
            run
        };
        let runs: Vec<ReportedRun> = runs.iter().map(read).collect::<Result<_, _>>()?;
        let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
        let title = match names.len() {
            0..=MOST_NAMES => format!("Report of {}", names.join(", ")),
            many => format!("Report of {many} runs"),
        };
        let groups = grouped(runs);
        Ok(Self { title, sections: sections::all(&groups)? })
    }

    /// The page: one file that needs nothing else, neither a network nor JavaScript.
    pub fn html(&self) -> String {
        page::page(&self.title, &self.sections)
    }

    /// Every figure of the page.
    pub fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|section| &section.figures)
    }
}
