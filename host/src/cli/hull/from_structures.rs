//! A hull of energies that a potential computes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::cli::{Progress, Table};
use crate::crystal::{Composition, Element, ReadError, Record, Structure, TEXTBOOK, TextbookCrystal, read_structures};
use crate::hull::{Entry, Hull, HullHeader, ReferenceCrystal, read_entries};
use crate::model::OnnxModel;
use crate::reward::{Calculation, Correction, Uncorrected};

/// Rows that are held in memory as structures at a time.
const CHUNK: usize = 1024;

/// What gives the energies of a hull.
pub(super) struct Potential {
    model: OnnxModel,
    correction: Correction,
    /// The scale of the corrected energies, where the model names its own.
    energy_reference: Option<String>,
}

impl Potential {
    /// Puts a potential and a correction of its energies together.
    pub fn new(model: OnnxModel, correction: Correction) -> Result<Self, Failure> {
        model.quantity(Some("energy"))?;
        let energy_reference = correction.reference_of(model.contract())?;
        Ok(Self { model, correction, energy_reference })
    }

    /// Energies of structures with their corrections.
    fn energies(&self, structures: &[&Structure]) -> Vec<Result<Energy, String>> {
        let energies = energies(&self.model, structures);
        let calculation = &Calculation::default();
        let known = structures.iter().zip(&energies).filter_map(|(structure, energy)| {
            Some(Uncorrected { structure, energy: *energy.as_ref().ok()?, calculation })
        });
        let mut corrections = self.correction.of(&known.collect::<Vec<_>>()).into_iter();
        let mut correction = || corrections.next().ok_or_else(|| "not corrected".to_owned());
        let energy = |(energy, structure): (Result<f64, String>, &&Structure)| {
            let (energy, atoms) = (energy?, structure.len());
            let correction = correction()?.map_err(|failure| failure.to_string())?;
            Ok(Energy { per_atom: energy / atoms as f64, correction, atoms })
        };
        energies.into_iter().zip(structures).map(energy).collect()
    }

    /// Where a hull of these files comes from.
    fn source(&self, files: &[PathBuf]) -> String {
        let source = format!("{} with {}", super::file_names(files), self.model.contract().name);
        match &self.correction {
            Correction::None => source,
            correction => format!("{source}, corrected by {}", correction.name()),
        }
    }
}

/// The energy of a structure.
struct Energy {
    /// Before its correction, eV/atom.
    per_atom: f64,
    /// eV per cell.
    correction: f64,
    atoms: usize,
}

impl Energy {
    /// eV/atom.
    fn corrected(&self) -> f64 {
        self.per_atom + self.correction / self.atoms as f64
    }
}

/// Evaluates every structure, and builds and saves the hull of the energies. A table beside it says what became of each row.
pub(super) fn build(
    files: &[PathBuf],
    potential: &Potential,
    elements_from: Option<&Path>,
    out: &Path,
    context: &Context,
) -> Result<(), Failure> {
    let status_path = out.with_extension("status.csv");
    let columns = ["file", "row", "id", "formula", "energy_per_atom", "correction", "status"];
    let mut evaluation =
        Evaluation { potential, status: Table::create(&status_path, &columns)?, entries: Vec::new(), rows: 0 };
    let progress = context.progress("structures", 0);
    files.iter().try_for_each(|file| evaluation.file(file, &progress))?;
    drop(progress);
    let Evaluation { status, mut entries, rows, .. } = evaluation;
    status.finish()?;
    if entries.is_empty() {
        return Err(Failure::user(format!("{}: none of {rows} structures has an energy", super::file_names(files)))
            .hint(format!("the column `status` of {} says why", status_path.display())));
    }
    context.say(&format!("{} of {rows} structures evaluated: {}", entries.len(), status_path.display()));
    if let Some(path) = elements_from {
        add_elements(&mut entries, path, context)?;
    }
    let header = HullHeader {
        energy_reference: potential.energy_reference.clone(),
        source: potential.source(files),
        reference_crystals: reference_crystals(potential),
    };
    let (hull, report) = Hull::build(entries, header, &|_, _| ())?;
    hull.save(out)?;
    super::say_built(context, &report, out);
    Ok(())
}

struct Evaluation<'a> {
    potential: &'a Potential,
    status: Table,
    entries: Vec<Entry>,
    rows: usize,
}

impl Evaluation<'_> {
    fn file(&mut self, file: &Path, progress: &Progress) -> Result<(), Failure> {
        let mut records = read_structures(file)?;
        loop {
            let chunk: Vec<Record> = records.by_ref().take(CHUNK).collect::<Result<_, ReadError>>()?;
            if chunk.is_empty() {
                return Ok(());
            }
            let structures: Vec<&Structure> =
                chunk.iter().filter_map(|record| record.structure.as_ref().ok()).collect();
            let mut energies = self.potential.energies(&structures).into_iter();
            for record in &chunk {
                let entry = match &record.structure {
                    Ok(structure) => {
                        let energy = energies.next().unwrap_or_else(|| Err("not evaluated".to_owned()));
                        energy.and_then(|energy| Ok((entry(structure, energy.corrected(), &record.id)?, energy)))
                    }
                    Err(reason) => Err(reason.to_string()),
                };
                self.add(file, record, entry)?;
            }
            progress.advance(chunk.len() as u64);
        }
    }

    fn add(&mut self, file: &Path, record: &Record, found: Result<(Entry, Energy), String>) -> Result<(), Failure> {
        self.rows += 1;
        let (file, line) = (file.display().to_string(), record.line.to_string());
        let [formula, energy, correction] = found.as_ref().map_or_else(
            |_| Default::default(),
            |(entry, energy)| {
                let formula = entry.composition().reduced_formula();
                [formula, energy.per_atom.to_string(), energy.correction.to_string()]
            },
        );
        let status = found.as_ref().err().map_or("ok", String::as_str);
        self.status.row(&[&file, &line, &record.id, &formula, &energy, &correction, status])?;
        self.entries.extend(found.ok().map(|(entry, _)| entry));
        Ok(())
    }
}

/// Energies, eV per cell.
pub(super) fn energies(model: &OnnxModel, structures: &[&Structure]) -> Vec<Result<f64, String>> {
    let total = |values: Vec<f64>| values.first().copied().ok_or_else(|| "no energy".to_owned());
    let rows = model.evaluate(structures, &["energy"]).into_iter();
    rows.map(|row| row.map_err(|failure| failure.to_string()).and_then(total)).collect()
}

fn entry(structure: &Structure, energy_per_atom: f64, id: &str) -> Result<Entry, String> {
    let composition = Composition::of_structure(structure).map_err(|error| error.to_string())?;
    Entry::new(composition, energy_per_atom, id).map_err(|error| error.to_string())
}

/// Adds elemental entries of a file for the elements that have none yet, and names them.
fn add_elements(entries: &mut Vec<Entry>, path: &Path, context: &Context) -> Result<(), Failure> {
    let element = |entry: &Entry| match entry.composition().amounts() {
        [(element, _)] => Some(*element),
        _ => None,
    };
    let present: BTreeSet<Element> = entries.iter().filter_map(element).collect();
    let read = read_entries(path)?;
    super::say_rejected(context, path, &read.rejected);
    let missing = |entry: &Entry| element(entry).is_some_and(|element| !present.contains(&element));
    let added: Vec<Entry> = read.entries.into_iter().filter(missing).collect();
    let names: BTreeSet<Element> = added.iter().filter_map(element).collect();
    let names: Vec<&str> = names.iter().map(|element| element.symbol()).collect();
    context.say(&format!("{} elements from {}: {}", names.len(), path.display(), names.join(" ")));
    entries.extend(added);
    Ok(())
}

/// The textbook's crystals that the potential can evaluate, on the hull's scale: whoever loads the hull can tell by them whether
/// the potential is the same.
fn reference_crystals(potential: &Potential) -> Vec<ReferenceCrystal> {
    let crystals: Vec<Structure> = TEXTBOOK.iter().filter_map(TextbookCrystal::as_published).collect();
    let energies = potential.energies(&crystals.iter().collect::<Vec<_>>());
    let known = |(structure, energy): (Structure, Result<Energy, String>)| {
        Some(ReferenceCrystal { structure, energy_per_atom: energy.ok()?.corrected() })
    };
    crystals.into_iter().zip(energies).filter_map(known).collect()
}
