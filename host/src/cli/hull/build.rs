//! `temper hull build`: a hull from entries, or from structures and a potential.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::{Context, Failure, from_structures};
use crate::cli::Search;
use crate::hull::{HullHeader, build_file};
use crate::reward::{CorrectedPotential, Correction};

/// Build a hull from entries, or from structures and a potential.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  temper hull build --entries mp.json.gz --energy-reference MP2020 -o mp.hull\n  \
    temper hull build --structures mp_20.csv.gz --model models/chgnet-0.3.0 -o mp-chgnet.hull\n  \
    temper hull build --structures mp_20.csv.gz --model pbe.onnx --correction mp2020 -o mp2020.hull\n\n\
    A hull of structures comes with a table, FILE.status.csv, that says for each structure what became of it: energy_per_atom \
    (eV/atom, uncorrected), correction (eV per cell) and status: ok, or why the structure is not in the hull. With a correction, \
    the energies of the hull, and its energy reference, are the corrected ones.")]
pub struct Build {
    /// Files of entries: a CSV with formula and energy_per_atom (eV/atom), JSON or JSON lines of pymatgen, or hulls
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "structures", conflicts_with = "structures")]
    entries: Vec<PathBuf>,
    /// Scale of the energies of the entries, such as MP2020 or PBE
    #[arg(long, value_name = "NAME", conflicts_with = "structures")]
    energy_reference: Option<String>,
    /// Files of structures, whose energies the model computes
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "model")]
    structures: Vec<PathBuf>,
    /// The potential: an ONNX file or its folder
    #[arg(long, value_name = "MODEL", requires = "structures")]
    model: Option<PathBuf>,
    /// Correction that takes the model's energies to the scale of the hull: none, mp2020, mp2020-as-crystalformer or a plugin
    #[arg(long, value_name = "NAME", requires = "structures", default_value = "none")]
    correction: String,
    /// Entries for the elements that have no structure; the file's other entries are not used
    #[arg(long, value_name = "FILE", requires = "structures")]
    elements_from: Option<PathBuf>,
    /// File that receives the hull
    #[arg(long, short, value_name = "HULL")]
    out: PathBuf,
}

impl Build {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        match &self.model {
            Some(model) => {
                let correction: Correction = context.correction(&self.correction)?;
                let search = Search::new(None).find("--model", model)?;
                let potential = CorrectedPotential::new(Arc::new(context.open_model(&search)?), correction)?;
                from_structures::build(&self.structures, &potential, self.elements_from.as_deref(), &self.out, context)
            }
            None => self.build_entries(context),
        }
    }

    fn build_entries(&self, context: &Context) -> Result<(), Failure> {
        let header = HullHeader {
            energy_reference: self.energy_reference.clone(),
            source: super::file_names(&self.entries),
            ..HullHeader::default()
        };
        let progress = context.progress("entries", 0);
        let report = |done, total| progress.set(done as u64, total as u64);
        let built = build_file(&self.entries, header, &self.out, &report)?;
        drop(progress);
        for (path, rows) in &built.rejected {
            super::say_rejected(context, path, rows);
        }
        super::say_mixed(context, &built.run_types);
        super::say_built(context, &built.report, &self.out);
        Ok(())
    }
}
