//! Energies above a hull of whole structures: their energy from a potential or from the file itself, corrected if asked.

use std::path::Path;

use rayon::prelude::*;

use super::{Context, Failure, from_structures};
use crate::cli::Table;
use crate::crystal::{Composition, ReadError, Record, Structure, read_structures};
use crate::hull::Hull;
use crate::reward::{Calculation, Correction, OnnxModel, Stability, stability};

/// Rows that are held in memory as structures at a time.
const CHUNK: usize = 1024;

const COLUMNS: [&str; 7] =
    ["id", "formula", "energy_per_atom", "correction", "e_above_hull", "decomposition", "status"];

/// Measures every structure of a file and writes one row for each.
pub(super) fn query(question: &Question<'_>, file: &Path, out: &Path, context: &Context) -> Result<(), Failure> {
    let mut records = read_structures(file)?;
    let mut table = Table::create(out, &COLUMNS)?;
    let progress = context.progress("structures", 0);
    let (mut rows, mut answered, mut first) = (0usize, 0usize, None);
    loop {
        let chunk: Vec<Record> = records.by_ref().take(CHUNK).collect::<Result<_, ReadError>>()?;
        if chunk.is_empty() {
            break;
        }
        for (record, answer) in chunk.iter().zip(question.answers(&chunk)) {
            rows += 1;
            match &answer {
                Ok(_) => answered += 1,
                Err(reason) => {
                    first.get_or_insert_with(|| format!("row {}: {reason}", record.line));
                }
            }
            table.row(&cells(record, answer))?;
        }
        progress.advance(chunk.len() as u64);
    }
    drop(progress);
    table.finish()?;
    if answered == 0 {
        let first = first.map_or_else(String::new, |first| format!(" ({first})"));
        let message = format!("{}: none of {rows} structures is usable{first}", file.display());
        return Err(Failure::user(message).hint(format!("the column `status` of {} says why", out.display())));
    }
    context.say(&format!("{answered} of {rows} structures answered: {}", out.display()));
    Ok(())
}

/// What structures are measured with.
pub(super) struct Question<'a> {
    pub hull: &'a Hull,
    /// Gives the energies; without it they are the rows' own `energy`, eV per cell.
    pub model: Option<&'a OnnxModel>,
    pub correction: Correction,
}

impl Question<'_> {
    fn answers(&self, records: &[Record]) -> Vec<Result<Stability, String>> {
        let energies = self.energies(records);
        records.par_iter().zip(energies).map(|(record, energy)| self.answer(record, energy?)).collect()
    }

    fn answer(&self, record: &Record, energy_per_atom: f64) -> Result<Stability, String> {
        let structure = record.structure.as_ref().map_err(ToString::to_string)?;
        let calculation = Calculation::read(&record.extra)?;
        stability(self.hull, self.correction, structure, &calculation, energy_per_atom)
            .map_err(|failure| failure.to_string())
    }

    /// Energies, eV/atom.
    fn energies(&self, records: &[Record]) -> Vec<Result<f64, String>> {
        let Some(model) = self.model else { return records.iter().map(own_energy).collect() };
        let structures: Vec<&Structure> = records.iter().filter_map(|record| record.structure.as_ref().ok()).collect();
        let mut energies = from_structures::energies(model, &structures).into_iter();
        let energy = |record: &Record| match &record.structure {
            Ok(_) => energies.next().unwrap_or_else(|| Err("not evaluated".to_owned())),
            Err(reason) => Err(reason.to_string()),
        };
        records.iter().map(energy).collect()
    }
}

/// The row's own `energy`, a number or its text, in eV/atom.
fn own_energy(record: &Record) -> Result<f64, String> {
    let structure = record.structure.as_ref().map_err(ToString::to_string)?;
    let energy = record.extra.get("energy").ok_or("no energy: neither a model nor a key `energy` (eV per cell)")?;
    let number = energy.as_f64().or_else(|| energy.as_str()?.trim().parse().ok());
    let number = number.ok_or_else(|| format!("`energy` is {energy}, not a number"))?;
    Ok(number / structure.len() as f64)
}

fn cells(record: &Record, answer: Result<Stability, String>) -> [String; 7] {
    let structure = record.structure.as_ref().ok();
    let formula = structure.and_then(|structure| Composition::of_structure(structure).ok());
    let formula = formula.map_or_else(String::new, |composition| composition.reduced_formula());
    let [energy, correction, above, decomposition, status] = match answer {
        Ok(found) => [
            found.energy_per_atom.to_string(),
            found.correction.to_string(),
            found.above.e_above_hull.to_string(),
            found.above.decomposition_text(),
            "ok".to_owned(),
        ],
        Err(reason) => [String::new(), String::new(), String::new(), String::new(), reason],
    };
    [record.id.clone(), formula, energy, correction, above, decomposition, status]
}
