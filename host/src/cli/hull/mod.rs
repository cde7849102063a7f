//! `temper hull`: build, query and describe hulls of reference entries.

mod add_formulas;
mod build;
mod from_structures;
mod info;
mod of_structures;
mod query;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Context, Failure};
use crate::hull::{BuildReport, HullSource, Rejected, RunTypes, open_hull};

/// Rows that are named one by one before the rest is only counted.
const NAMED: usize = 10;

/// Reference hulls: energies above them.
#[derive(Debug, Subcommand)]
pub enum Hull {
    /// Build a hull from entries, or from structures and a potential
    Build(build::Build),
    /// Compute energies above a hull, for a table of formulas and energies or for structures
    Query(query::Query),
    /// Show what a hull contains
    Info(info::Info),
    /// Add known formulas to a hull, for novelty
    AddFormulas(add_formulas::AddFormulas),
}

impl Hull {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Build(arguments) => arguments.run(context),
            Self::Query(arguments) => arguments.run(context),
            Self::Info(arguments) => arguments.run(context),
            Self::AddFormulas(arguments) => arguments.run(context),
        }
    }
}

/// Opens whatever the user names as a hull, and says what had to be left out of it.
pub(super) fn open(path: &Path, context: &Context) -> Result<crate::hull::Hull, Failure> {
    let progress = context.progress("entries", 0);
    let opened = open_hull(path, &|done, total| progress.set(done as u64, total as u64))?;
    drop(progress);
    if let HullSource::Entries { rejected, run_types, report } = &opened.source {
        say_rejected(context, path, rejected);
        say_mixed(context, run_types);
        say_left_out(context, report);
    }
    Ok(opened.hull)
}

/// Names the rows of a file that were no entries.
fn say_rejected(context: &Context, path: &Path, rows: &Rejected) {
    for row in rows.first.iter().take(NAMED) {
        context.say(&format!("{}: {row}", path.display()));
    }
    if rows.count > NAMED {
        context.say(&format!("{}: and {} more rows", path.display(), rows.count - NAMED));
    }
}

/// Warns of entries whose energies do not belong together.
fn say_mixed(context: &Context, run_types: &RunTypes) {
    if let Some(warning) = run_types.warning() {
        context.say(&format!("warning: {warning}"));
    }
}

/// Names what no query can reach.
fn say_left_out(context: &Context, report: &BuildReport) {
    if report.unreachable > 0 {
        let missing: Vec<&str> = report.without_reference.iter().map(|element| element.symbol()).collect();
        let (count, missing) = (report.unreachable, missing.join(", "));
        context.say(&format!("{count} entries left out: no elemental entry of {missing}"));
    }
}

fn say_built(context: &Context, report: &BuildReport, out: &Path) {
    say_left_out(context, report);
    let BuildReport { given, duplicates, unstable, kept, .. } = report;
    context.say(&format!(
        "{}: {kept} stable phases of {given} entries ({duplicates} not the lowest of their composition, {unstable} unstable)",
        out.display()
    ));
}

/// Names of files without their folders, for a hull's header.
fn file_names(paths: &[PathBuf]) -> String {
    let names = paths.iter().filter_map(|path| path.file_name()).map(|name| name.to_string_lossy());
    names.collect::<Vec<_>>().join(", ")
}
