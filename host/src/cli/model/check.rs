//! `temper model check`: a physics check of a model, as a table or as JSON.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};

use super::{Context, Failure};
use crate::cli::conformance::check_as_json;
use crate::cli::{Exit, Search};
use crate::conformance::CheckCrystals;
use crate::model::{ForceModel, Golden, ModelReport, OnnxModel, check_model, textbook_crystals};

/// Test whether a potential or property model obeys physics: what must not change, what must add up, what must be finite.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper model check models/chgnet-0.3.0\n\n\
    The checks are: translation, rotation, permutations, supercells, other cells of the same lattice, batches (one with NaN \
    in it), a longer cutoff, every declared element, single atoms, no edges, no triplets, the same crystal twice, forces and stress (the model's \
    own, or derived from its energy) against differences of the energy, crystals per second, and energies per atom beside those of \
    the elements. The exit code is 3 when a check \
    fails.\n\n\
    Rows of --golden have lattice, species, frac_coords, and energy, forces, stress or a property, in eV per cell, eV/A and \
    eV/A^3. The values may also be in one object of the row.")]
pub struct Check {
    /// The model: an ONNX file or its folder
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Crystals to check on, in place of the built-in ones: .cif, .csv, .jsonl, .extxyz, POSCAR, each also with .gz
    #[arg(long, value_name = "FILE")]
    structures: Option<PathBuf>,
    /// Known values to compare with, as JSON lines
    #[arg(long, value_name = "JSONL")]
    golden: Option<PathBuf>,
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let path = Search::new(None).find("the model", &self.model)?;
        let model = Arc::new(context.open_model(&path)?);
        // A file of which no forces can be derived may be good for its energies.
        let runtime = context.runtime(context.device()?)?;
        let forces = ForceModel::new(&runtime, Arc::clone(&model), context.cache().as_deref());
        let forces = forces.map_err(|error| error.to_string());
        let crystals = match &self.structures {
            Some(file) => CheckCrystals::read(file)?,
            None => textbook_crystals(model.contract()),
        };
        let golden = self.golden.as_ref().map(|file| Golden::read(file, model.contract())).transpose()?;
        let report = check_model(&model, forces.as_ref().map_err(String::as_str), crystals, golden.as_ref());
        if let (0, Some(file)) = (report.crystals, &self.structures) {
            let reason = report.set_aside.first().or(report.checks.first().map(|check| &check.note));
            let reason =
                reason.filter(|reason| !reason.is_empty()).map_or_else(String::new, |reason| format!(": {reason}"));
            return Err(Failure::user(format!(
                "{}: no crystal that the model can be checked on{reason}",
                file.display()
            )));
        }
        if self.json {
            context.print(&as_json(&model, &report).to_string())?
        } else {
            table(&report, context)?
        }
        verdict(&model, &report)
    }
}

fn verdict(model: &OnnxModel, report: &ModelReport) -> Result<(), Failure> {
    let mut failed: Vec<&str> = report.failed().map(|check| check.name).collect();
    failed.dedup();
    if failed.is_empty() {
        return Ok(());
    }
    let path = model.contract().path.display();
    let failure = Failure::new(Exit::Model, format!("{path}: the check fails on {}", failed.join(", ")));
    Err(report.advice.iter().fold(failure, |failure, advice| failure.hint(advice.clone())))
}

fn table(report: &ModelReport, context: &Context) -> Result<(), Failure> {
    report.set_aside.iter().for_each(|line| context.say(&format!("set aside: {line}")));
    context.print_checks(&report.checks, report.crystals)
}

fn as_json(model: &OnnxModel, report: &ModelReport) -> Value {
    let contract = model.contract();
    json!({
        "model": contract.path.display().to_string(), "name": contract.name, "passed": report.passed(),
        "crystals": report.crystals, "set_aside": report.set_aside, "advice": report.advice,
        "checks": report.checks.iter().map(check_as_json).collect::<Vec<_>>(),
    })
}
