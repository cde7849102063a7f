//! `temper hull query`: energies above a hull.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::cli::{Output, Search};
use crate::hull::query_file;

/// Energies above a hull, for a table of formulas and energies.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  temper hull query --hull models/hulls/mp-chgnet.hull --entries mine.csv -o above.csv"
)]
pub struct Query {
    /// A hull of `temper hull build`, a CSV of formula,energy_per_atom, or a pymatgen JSON of entries
    #[arg(long, value_name = "HULL")]
    hull: PathBuf,
    /// The table: a CSV with the columns formula and energy_per_atom (eV/atom)
    #[arg(long, value_name = "CSV")]
    entries: PathBuf,
    /// Receives the table with e_above_hull, decomposition and status added
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
}

impl Query {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let hull = super::open(&Search::new(None).find("--hull", &self.hull)?, context)?;
        let mut output = Output::create(&self.out)?;
        let summary = query_file(&hull, &self.entries, &mut output, &self.out)?;
        output.finish()?;
        let (rows, answered, out) = (summary.rows, summary.answered, self.out.display());
        context.say(&format!("{answered} of {rows} rows answered: {out}"));
        if answered == 0 {
            return Err(Failure::user(format!("{}: no usable row", self.entries.display()))
                .hint(format!("the column `status` of {out} says why")));
        }
        Ok(())
    }
}
