//! `temper hull add-formulas`: more formulas that a hull knows.

use std::path::PathBuf;

use clap::Args;

use super::{Context, Failure};
use crate::cli::Search;
use crate::hull::{Formulas, Hull};
use crate::reward::KnownCompositions;

/// Add known formulas to a hull, for novelty; its phases and energies stay as they are.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper hull add-formulas old.hull known.txt train.csv.gz -o new.hull")]
pub struct AddFormulas {
    /// A hull of `temper hull build`
    #[arg(value_name = "HULL")]
    hull: PathBuf,
    /// Files of formulas (.txt, or a CSV with a column formula), structures, entries, or hulls
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// File that receives the hull
    #[arg(long, short, value_name = "HULL")]
    out: PathBuf,
}

impl AddFormulas {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = Search::new(None).find("the hull", &self.hull)?;
        let hull = Hull::load(&path)?;
        let before = hull.formulas().map_or(0, Formulas::len);
        let mut formulas = Formulas::default();
        for file in &self.files {
            let known = KnownCompositions::read(file)?;
            if let Some(warning) = known.warning() {
                context.say(&format!("warning: {}: {warning}", file.display()));
            }
            formulas.extend([known.into_formulas()]);
        }
        let hull = hull.with_formulas(formulas);
        hull.save(&self.out)?;
        let after = hull.formulas().map_or(0, Formulas::len);
        context.say(&format!("{}: {after} known formulas, {} of them new", self.out.display(), after - before));
        Ok(())
    }
}
