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
    A table beside a hull of structures, FILE.status.csv, says what became of each: energy_per_atom (eV/atom, uncorrected), \
    correction (eV per cell) and status: ok, or why it is not in the hull. With a correction the hull's energies are corrected \
    ones, and so is its energy reference.")]
pub struct Build {
    /// Files of entries: CSV of formula,energy_per_atom (eV/atom), pymatgen JSON or JSON lines, or hulls
    #[arg(long, value_name = "FILE", num_args = 1.., required_unless_present = "structures", conflicts_with = "structures")]
    entries: Vec<PathBuf>,
    /// Name of the method behind the entries' energies, such as MP2020 or PBE
    #[arg(long, value_name = "NAME", conflicts_with = "structures")]
    energy_reference: Option<String>,
    /// Files of structures, whose energies the model gives
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "model")]
    structures: Vec<PathBuf>,
    /// The potential: an ONNX file or its folder
    #[arg(long, value_name = "MODEL", requires = "structures")]
    model: Option<PathBuf>,
    /// What takes the model's energies to the hull's scale: none, mp2020, mp2020-as-crystalformer or a plugin
    #[arg(long, value_name = "NAME", requires = "structures", default_value = "none")]
    correction: String,
    /// Entries for the elements that no structure is of; the others of the file are not used
    #[arg(long, value_name = "FILE", requires = "structures")]
    elements_from: Option<PathBuf>,
    /// Receives the hull
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
