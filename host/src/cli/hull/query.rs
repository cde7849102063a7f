//! `temper hull query`: energies above a hull.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::of_structures::{self, Question};
use super::{Context, Failure};
use crate::cli::{Output, Search};
use crate::hull::{Hull, query_file};
use crate::reward::{Correction, HullTerm};

/// Compute energies above a hull, for a table of formulas and energies, or for structures.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  temper hull query --hull models/hulls/mp-chgnet.hull --entries mine.csv -o above.csv\n  \
    temper hull query --hull models/hulls/mp-chgnet.hull --structures mine.cif --model models/chgnet-0.3.0 -o above.csv\n  \
    temper hull query --hull mp.hull --structures vasp.jsonl --correction mp2020 -o above.csv\n\n\
    For structures, the columns are id, formula, energy_per_atom (eV/atom, uncorrected), correction (eV per cell), \
    e_above_hull (eV/atom), decomposition and status: ok, or why there is no number. Without --model, each row must have its own \
    `energy` (eV per cell). The corrections mp2020 and mp2020-as-crystalformer take energies from PBE to MP2020. The keys \
    parameters (run_type, hubbards, potcar_symbols; the first two may also be beside it) and data of a row, as pymatgen's entries \
    have them, say how its own energy was computed; without them, it is taken to be computed as the Materials Project does. \
    Without a correction, the sum of a row's energy_adjustments, or else its correction, is added to its own energy. \
    mp2020-as-crystalformer leaves GGA energies uncorrected, as CrystalFormer's \
    own code does, and is for comparison only."
)]
pub struct Query {
    /// A hull of `temper hull build`, a CSV with formula and energy_per_atom, or JSON of pymatgen
    #[arg(long, value_name = "HULL")]
    hull: PathBuf,
    /// Entries: a table with the columns formula and energy_per_atom (eV/atom), JSON or JSON lines of pymatgen, or a hull
    #[arg(long, value_name = "FILE", required_unless_present = "structures", conflicts_with = "structures")]
    entries: Option<PathBuf>,
    /// Structures: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz
    #[arg(long, value_name = "FILE")]
    structures: Option<PathBuf>,
    /// The potential that computes the energies of the structures: an ONNX file or its folder
    #[arg(long, value_name = "MODEL", requires = "structures")]
    model: Option<PathBuf>,
    /// Correction that takes the energies of the structures to the scale of the hull: none, mp2020 or mp2020-as-crystalformer
    #[arg(long, value_name = "NAME", requires = "structures", default_value = "none")]
    correction: String,
    /// File that receives the table, with e_above_hull, decomposition and status added; for structures, a table of its own
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
}

impl Query {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let correction: Correction = context.correction(&self.correction)?;
        let hull = super::open(&Search::new(None).find("--hull", &self.hull)?, context)?;
        match (&self.structures, &self.entries) {
            (Some(structures), _) => self.of_structures(hull, correction, structures, context),
            (None, Some(entries)) => self.of_entries(&hull, entries, context),
            (None, None) => Err(Failure::user("neither --entries nor --structures is given")),
        }
    }

    fn of_entries(&self, hull: &Hull, entries: &Path, context: &Context) -> Result<(), Failure> {
        let mut output = Output::create(&self.out)?;
        let summary = query_file(hull, entries, &mut output, &self.out)?;
        output.finish()?;
        let (rows, answered, out) = (summary.rows, summary.answered, self.out.display());
        context.say(&format!("{answered} of {rows} rows answered: {out}"));
        if answered == 0 {
            return Err(Failure::user(format!("{}: no usable row", entries.display()))
                .hint(format!("the column `status` of {out} says why")));
        }
        Ok(())
    }

    fn of_structures(
        &self,
        hull: Hull,
        correction: Correction,
        structures: &Path,
        context: &Context,
    ) -> Result<(), Failure> {
        let hull = Arc::new(hull);
        let model = match &self.model {
            Some(path) => {
                let model = Arc::new(context.open_model(&Search::new(None).find("--model", path)?)?);
                // Refuses energies on another scale than the hull's, and another potential than the hull's.
                let term = HullTerm::new(Arc::clone(&model), Arc::clone(&hull), correction.clone())?;
                if let Some(warning) = term.warning() {
                    context.say(&format!("warning: {warning}"));
                }
                Some(model)
            }
            None => {
                correction.check_hull(hull.header())?;
                None
            }
        };
        let question = Question { hull: &hull, model: model.as_deref(), correction };
        of_structures::query(&question, structures, &self.out, context)
    }
}
