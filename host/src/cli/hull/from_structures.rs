//! A hull of energies that a potential computes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Context, Failure};
use crate::cli::structures::Structures;
use crate::cli::{Progress, Table};
use crate::crystal::{Composition, Element, Record, Structure, TEXTBOOK, TextbookCrystal, for_each_chunk, map_ok};
use crate::hull::{Entry, Hull, HullHeader, ReferenceCrystal, read_entries};
use crate::reward::{CorrectedEnergy, CorrectedPotential, Correction};

/// Evaluates every structure, and builds and saves the hull of the energies. A table beside it says what became of each row.
pub(super) fn build(
    files: &[PathBuf],
    potential: &CorrectedPotential,
    elements_from: Option<&Path>,
    out: &Path,
    context: &Context,
) -> Result<(), Failure> {
    let scale = potential.scale()?;
    let status_path = out.with_extension("status.csv");
    let columns = ["file", "row", "id", "formula", "energy_per_atom", "correction", "status"];
    let mut evaluation =
        Evaluation { potential, status: Table::create(&status_path, &columns)?, entries: Vec::new(), rows: 0 };
    let progress = context.progress("structures", 0);
    files.iter().try_for_each(|file| evaluation.file(file, context, &progress))?;
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
        energy_reference: scale.map(|scale| scale.to_string()),
        source: source(potential, files),
        reference_crystals: reference_crystals(potential),
    };
    let (hull, report) = Hull::build(entries, header, &|_, _| ())?;
    hull.save(out)?;
    super::say_built(context, &report, out);
    Ok(())
}

/// Where a hull of these files comes from.
fn source(potential: &CorrectedPotential, files: &[PathBuf]) -> String {
    let source = format!("{} with {}", super::file_names(files), potential.model().contract().name);
    match potential.correction() {
        Correction::None => source,
        correction => format!("{source}, corrected by {}", correction.name()),
    }
}

struct Evaluation<'a> {
    potential: &'a CorrectedPotential,
    status: Table,
    entries: Vec<Entry>,
    rows: usize,
}

impl Evaluation<'_> {
    fn file(&mut self, file: &Path, context: &Context, progress: &Progress) -> Result<(), Failure> {
        for_each_chunk(Structures::open(context, file, None)?, |chunk: Vec<Record>| {
            let rows = chunk.iter().map(|record| record.structure.as_ref().map_err(ToString::to_string)).collect();
            let energies = map_ok(rows, |structures: Vec<&Structure>| {
                let energies = self.potential.energies(&structures).into_iter();
                energies.zip(structures).map(|(row, s)| Ok((s, row.map_err(|e| e.to_string())?))).collect()
            });
            for (record, row) in chunk.iter().zip(energies) {
                let entry = row.and_then(|(s, energy)| Ok((entry(s, energy.per_atom(), &record.id)?, energy)));
                self.add(file, record, entry)?;
            }
            progress.advance(chunk.len() as u64);
            Ok(())
        })
    }

    fn add(
        &mut self,
        file: &Path,
        record: &Record,
        found: Result<(Entry, CorrectedEnergy), String>,
    ) -> Result<(), Failure> {
        self.rows += 1;
        let (file, line) = (file.display().to_string(), record.line.to_string());
        let [formula, energy, correction] = found.as_ref().map_or_else(
            |_| Default::default(),
            |(entry, energy)| {
                let formula = entry.composition().reduced_formula();
                [formula, energy.uncorrected_per_atom.to_string(), energy.correction.to_string()]
            },
        );
        let status = found.as_ref().err().map_or("ok", String::as_str);
        self.status.row(&[file.as_str(), &line, &record.id, &formula, &energy, &correction, status])?;
        self.entries.extend(found.ok().map(|(entry, _)| entry));
        Ok(())
    }
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
fn reference_crystals(potential: &CorrectedPotential) -> Vec<ReferenceCrystal> {
    let crystals: Vec<Structure> = TEXTBOOK.iter().filter_map(TextbookCrystal::as_published).collect();
    let energies = potential.energies(&crystals.iter().collect::<Vec<_>>());
    let known = |(structure, energy): (Structure, Result<CorrectedEnergy, _>)| {
        Some(ReferenceCrystal { structure, energy_per_atom: energy.ok()?.per_atom() })
    };
    crystals.into_iter().zip(energies).filter_map(known).collect()
}
