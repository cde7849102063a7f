//! `temper match`: which pairs of structures are the same crystal.

use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::{Context, Failure, Table};
use crate::crystal::{PairRecord, for_each_chunk, read_pairs};
use crate::matching::{Displacement, StructureMatcher};

/// Compare pairs of structures: which are the same crystal, as pymatgen's StructureMatcher judges.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper match pairs.jsonl -o matches.csv\n\n\
    Each line of pairs.jsonl has the keys s1 and s2, each a structure with lattice, species and frac_coords. The table has one row \
    per line: fit (true or false); rms and max_dist of the best pairing, in units of (V / N)^(1/3), empty where there is none; and \
    a status.")]
pub struct MatchPairs {
    /// JSON lines of pairs, also with .gz
    #[arg(value_name = "PAIRS")]
    pairs: PathBuf,
    /// File that receives the table
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
    #[command(flatten)]
    matcher: MatcherOptions,
}

/// Tolerances of a comparison; the defaults are pymatgen's.
#[derive(Debug, Args)]
pub struct MatcherOptions {
    /// Relative tolerance of the lengths of lattice vectors
    #[arg(long, value_name = "FRACTION", default_value_t = StructureMatcher::default().ltol, value_parser = tolerance)]
    ltol: f64,
    /// Tolerance of the distance between paired atoms, in units of (V / N)^(1/3)
    #[arg(long, value_name = "FRACTION", default_value_t = StructureMatcher::default().stol, value_parser = tolerance)]
    stol: f64,
    /// Tolerance of the angles between lattice vectors, degrees
    #[arg(long, value_name = "DEGREES", default_value_t = StructureMatcher::default().angle_tol, value_parser = angle)]
    angle_tol: f64,
    /// Compare the cells as they are, not their primitive cells
    #[arg(long)]
    no_primitive: bool,
    /// Compare the volumes as they are, without scaling both structures to the same volume
    #[arg(long)]
    no_scale: bool,
}

impl MatcherOptions {
    /// The matcher with these tolerances.
    pub(super) fn matcher(&self) -> StructureMatcher {
        let &Self { ltol, stol, angle_tol, no_primitive, no_scale } = self;
        StructureMatcher { ltol, stol, angle_tol, primitive: !no_primitive, scale: !no_scale }
    }
}

impl MatchPairs {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let matcher = self.matcher.matcher();
        let mut table = Table::create(&self.out, &["fit", "rms", "max_dist", "status"])?;
        let (mut rows, mut failed) = (0, 0);
        let progress = context.progress("pairs", 0);
        for_each_chunk(read_pairs(&self.pairs)?, |chunk: Vec<PairRecord>| {
            let compared: Vec<_> = chunk.par_iter().map(|record| compare(&matcher, record)).collect();
            progress.advance(chunk.len() as u64);
            rows += chunk.len();
            failed += compared.iter().filter(|row| row.is_err()).count();
            compared.iter().try_for_each(|row| table.row(&cells(row)))
        })?;
        drop(progress);
        if failed == rows {
            let pairs = self.pairs.display();
            return Err(Failure::user(format!("{pairs}: none of {rows} rows is a pair of structures")));
        }
        table.finish()?;
        let others = format!("; {failed} could not be compared, see the column `status`");
        context.say(&format!("{rows} pairs: {}{}", self.out.display(), if failed > 0 { &others } else { "" }));
        Ok(())
    }
}

/// Whether the pair is the same crystal, and how far apart its atoms are.
fn compare(matcher: &StructureMatcher, record: &PairRecord) -> Result<(bool, Option<Displacement>), String> {
    let [first, second] = record.pair.as_ref().map_err(|e| format!("line {}: {e}", record.line))?;
    let reduce =
        |side: &str, structure| matcher.reduce(structure).map_err(|e| format!("line {}: {side}: {e}", record.line));
    let (first, second) = (reduce("s1", first)?, reduce("s2", second)?);
    Ok((matcher.fit(&first, &second), matcher.displacement(&first, &second)))
}

fn cells(row: &Result<(bool, Option<Displacement>), String>) -> [String; 4] {
    match row {
        Ok((fit, Some(Displacement { rms, max_dist }))) => {
            [fit.to_string(), rms.to_string(), max_dist.to_string(), "ok".into()]
        }
        Ok((fit, None)) => [fit.to_string(), String::new(), String::new(), "ok".into()],
        Err(reason) => [String::new(), String::new(), String::new(), reason.clone()],
    }
}

/// A fraction above 0 and at most 1.
fn tolerance(text: &str) -> Result<f64, String> {
    bounded(text, 1.0)
}

/// An angle above 0 and at most 45 degrees.
fn angle(text: &str) -> Result<f64, String> {
    bounded(text, 45.0)
}

fn bounded(text: &str, most: f64) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if number > 0.0 && number <= most { Ok(number) } else { Err(format!("not above 0 and at most {most}")) }
}
