//! `temper index`: known structures on disk.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rayon::prelude::*;

use super::match_pairs::MatcherOptions;
use super::{Context, Failure, Table};
use crate::crystal::{Record, for_each_chunk, read_structures};
use crate::matching::{ReducedStructure, StructureIndex, StructureIndexBuilder, StructureMatcher};

/// Build and query indexes of known structures.
#[derive(Debug, Subcommand)]
pub enum Index {
    /// Build an index from files of structures
    Build(Build),
    /// Look up each structure of a file among the known ones
    Query(Query),
}

/// Build an index from files of structures.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  temper index build train.csv.gz val.csv.gz -o known.index\n  \
    temper index build test.csv.gz --add-to known.index -o all.index")]
pub struct Build {
    /// Files of structures: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// An existing index, whose structures come first
    #[arg(long, value_name = "INDEX")]
    add_to: Option<PathBuf>,
    /// File that receives the index
    #[arg(long, short, value_name = "INDEX")]
    out: PathBuf,
    /// Keep the cells as they are, for comparisons with --no-primitive
    #[arg(long)]
    no_primitive: bool,
}

/// Look up each structure of a file among the known ones.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper index query samples.jsonl --index known.index -o known.csv\n\n\
    The table has one row per structure: its id; match, the id of the first known structure that is the same crystal (empty if \
    there is none); and a status.")]
pub struct Query {
    /// A file of structures
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The index
    #[arg(long, value_name = "INDEX")]
    index: PathBuf,
    /// File that receives the table
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
    #[command(flatten)]
    matcher: MatcherOptions,
}

impl Index {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Build(build) => build.run(context),
            Self::Query(query) => query.run(context),
        }
    }
}

impl Build {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let matcher = StructureMatcher { primitive: !self.no_primitive, ..StructureMatcher::default() };
        let mut builder = StructureIndexBuilder::create(&self.out, &matcher)?;
        if let Some(old) = &self.add_to {
            builder.extend(&StructureIndex::open(old, matcher.clone())?)?;
        }
        let (mut rows, mut first) = (0, None);
        let (known, progress) = (builder.len(), context.progress("structures", 0));
        for file in &self.files {
            for_each_chunk(read_structures(file)?, |chunk: Vec<Record>| -> Result<(), Failure> {
                let reduced: Vec<_> = chunk.par_iter().map(|record| reduce(&matcher, record)).collect();
                progress.advance(chunk.len() as u64);
                rows += chunk.len();
                for (record, reduced) in chunk.iter().zip(reduced) {
                    match reduced {
                        Ok(structure) => builder.add(&record.id, &structure)?,
                        Err(reason) => drop(first.get_or_insert(format!("{}: {reason}", record.id))),
                    }
                }
                Ok(())
            })?;
        }
        drop(progress);
        let (added, out) = (builder.len() - known, self.out.display());
        if added == 0 {
            let first = first.map_or_else(String::new, |first| format!(" ({first})"));
            return Err(Failure::user(format!("none of {rows} structures can be compared{first}")));
        }
        let total = builder.len();
        builder.finish()?;
        let left_out = first.map_or_else(String::new, |first| format!("; left out, the first: {first}"));
        context.say(&format!("{added} of {rows} structures added, {total} in all: {out}{left_out}"));
        Ok(())
    }
}

impl Query {
    fn run(&self, context: &Context) -> Result<(), Failure> {
        let matcher = self.matcher.matcher();
        let index = StructureIndex::open(&self.index, matcher.clone())?;
        let mut table = Table::create(&self.out, &["id", "match", "status"])?;
        let (mut rows, mut known) = (0, 0);
        let progress = context.progress("structures", 0);
        for_each_chunk(read_structures(&self.file)?, |chunk: Vec<Record>| -> Result<(), Failure> {
            let found = |record: &Record| match reduce(&matcher, record) {
                Ok(structure) => index.find(&structure).map(Ok),
                Err(reason) => Ok(Err(reason)),
            };
            let found = chunk.par_iter().map(found).collect::<Result<Vec<_>, _>>()?;
            progress.advance(chunk.len() as u64);
            rows += chunk.len();
            for (record, found) in chunk.iter().zip(found) {
                known += usize::from(matches!(found, Ok(Some(_))));
                let [id, status] = match found {
                    Ok(id) => [id.unwrap_or_default(), "ok".into()],
                    Err(reason) => [String::new(), reason],
                };
                table.row(&[record.id.as_str(), &id, &status])?;
            }
            Ok(())
        })?;
        drop(progress);
        table.finish()?;
        let (size, out) = (index.len(), self.out.display());
        context.say(&format!("{known} of {rows} structures are among the {size} known ones: {out}"));
        Ok(())
    }
}

fn reduce(matcher: &StructureMatcher, record: &Record) -> Result<ReducedStructure, String> {
    let structure = record.structure.as_ref().map_err(ToString::to_string)?;
    matcher.reduce(structure).map_err(|error| error.to_string())
}
