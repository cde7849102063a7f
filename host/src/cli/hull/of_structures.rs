//! Energies above a hull for structures: the energy comes from a potential or from the file, corrected if requested.

use std::path::Path;

use super::{Context, Failure, from_structures};
use crate::cli::Table;
use crate::crystal::{Composition, ReadError, Record, Structure, read_structures};
use crate::hull::Hull;
use crate::model::OnnxModel;
use crate::reward::{Calculation, Correction, Stability, Uncorrected, stabilities};

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
        let rows: Vec<Result<Row<'_>, String>> =
            records.iter().zip(self.energies(records)).map(|(record, energy)| Row::new(record, energy?)).collect();
        let asked: Vec<Uncorrected<'_>> = rows.iter().flatten().map(Row::uncorrected).collect();
        let mut answers = stabilities(self.hull, &self.correction, &asked).into_iter();
        let mut answer = || answers.next().map(|answer| answer.map_err(|failure| failure.to_string()));
        let missing = || Err("not evaluated".to_owned());
        rows.iter()
            .map(|row| row.as_ref().map_err(String::clone).and_then(|_| answer().unwrap_or_else(missing)))
            .collect()
    }

    /// Energies, eV per cell.
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

/// A structure with its energy and what the file says of it.
struct Row<'a> {
    structure: &'a Structure,
    calculation: Calculation,
    /// eV per cell.
    energy: f64,
}

impl<'a> Row<'a> {
    fn new(record: &'a Record, energy: f64) -> Result<Self, String> {
        let structure = record.structure.as_ref().map_err(ToString::to_string)?;
        let calculation = Calculation::read(&record.extra)?;
        Ok(Self { structure, calculation, energy })
    }

    fn uncorrected(&self) -> Uncorrected<'_> {
        Uncorrected { structure: self.structure, energy: self.energy, calculation: &self.calculation }
    }
}

/// The row's own `energy`, a number or its text, eV per cell.
fn own_energy(record: &Record) -> Result<f64, String> {
    record.structure.as_ref().map_err(ToString::to_string)?;
    let energy = record.extra.get("energy").ok_or("no energy: neither a model nor a key `energy` (eV per cell)")?;
    let number = energy.as_f64().or_else(|| energy.as_str()?.trim().parse().ok());
    let number = number.ok_or_else(|| format!("`energy` is {energy}, not a number"))?;
    Ok(number)
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
