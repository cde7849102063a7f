//! Energies above a hull for structures: the energy comes from a potential or from the file, corrected if requested.

use std::path::Path;

use super::{Context, Failure};
use crate::cli::Table;
use crate::cli::structures::Structures;
use crate::crystal::{Composition, Record, Structure, for_each_chunk, map_ok};
use crate::hull::{Hull, stated_correction};
use crate::model::OnnxModel;
use crate::reward::{Calculation, CorrectedEnergy, Correction, Stability, Uncorrected, stability};

const COLUMNS: [&str; 7] =
    ["id", "formula", "energy_per_atom", "correction", "e_above_hull", "decomposition", "status"];

/// Measures every structure of a file and writes one row for each.
pub(super) fn query(question: &Question<'_>, file: &Path, out: &Path, context: &Context) -> Result<(), Failure> {
    let records = Structures::open(context, file, None)?;
    let mut table = Table::create(out, &COLUMNS)?;
    let progress = context.progress("structures", 0);
    let (mut rows, mut answered, mut first) = (0usize, 0usize, None);
    for_each_chunk(records, |chunk: Vec<Record>| {
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
        Ok::<(), Failure>(())
    })?;
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
        let rows = match self.model {
            Some(model) => evaluated_rows(records, model),
            None => records.iter().map(own_row).collect(),
        };
        map_ok(rows, |rows| {
            let energies = self.corrected(&rows).into_iter().zip(&rows);
            let answers = energies.map(|(energy, row)| stability(self.hull, row.structure, energy?));
            answers.map(|answer| answer.map_err(|failure| failure.to_string())).collect()
        })
    }

    /// The energies with the correction that is asked for, or else with the one that the rows state. As in pymatgen, a correction
    /// takes the place of what a row states.
    fn corrected(&self, rows: &[QueryRow<'_>]) -> Vec<Result<CorrectedEnergy, crate::reward::Failure>> {
        let asked: Vec<Uncorrected<'_>> = rows.iter().map(QueryRow::uncorrected).collect();
        let corrected = self.correction.correct(&asked);
        match self.correction {
            Correction::None => {
                let stated = |(energy, row): (Result<CorrectedEnergy, _>, &QueryRow<'_>)| {
                    Ok(CorrectedEnergy { correction: row.stated_correction, ..energy? })
                };
                corrected.into_iter().zip(rows).map(stated).collect()
            }
            _ => corrected,
        }
    }
}

/// A structure with its energy and what the file says of it.
struct QueryRow<'a> {
    structure: &'a Structure,
    calculation: Calculation,
    /// eV per cell.
    energy: f64,
    /// What the row says was added to `energy`, eV per cell.
    stated_correction: f64,
}

impl QueryRow<'_> {
    fn uncorrected(&self) -> Uncorrected<'_> {
        Uncorrected { structure: self.structure, energy: self.energy, calculation: &self.calculation }
    }
}

/// Rows with energies of a model; what a file says of another calculation does not concern them.
fn evaluated_rows<'a>(records: &'a [Record], model: &OnnxModel) -> Vec<Result<QueryRow<'a>, String>> {
    let read = |record: &'a Record| {
        let structure = record.structure.as_ref().map_err(ToString::to_string)?;
        let calculation = Calculation::of_structure(&record.extra)?;
        Ok(QueryRow { structure, calculation, energy: 0.0, stated_correction: 0.0 })
    };
    map_ok(records.iter().map(read).collect(), |rows| {
        let structures: Vec<&Structure> = rows.iter().map(|row| row.structure).collect();
        let energies = model.evaluate(&structures, &["energy"]).into_iter().zip(rows);
        energies.map(|(found, row)| Ok(QueryRow { energy: found.map_err(|e| e.to_string())?[0], ..row })).collect()
    })
}

fn own_row(record: &Record) -> Result<QueryRow<'_>, String> {
    let structure = record.structure.as_ref().map_err(ToString::to_string)?;
    Ok(QueryRow {
        structure,
        energy: own_energy(record)?,
        calculation: Calculation::read(&record.extra)?,
        stated_correction: stated_correction(&record.extra)?,
    })
}

/// The row's own `energy`, a number or its text, eV per cell.
fn own_energy(record: &Record) -> Result<f64, String> {
    let energy = record.extra.get("energy").ok_or("no energy: neither a model nor a key `energy` (eV per cell)")?;
    let number = energy.as_f64().or_else(|| energy.as_str()?.trim().parse().ok());
    number.ok_or_else(|| format!("`energy` is {energy}, not a number"))
}

fn cells(record: &Record, answer: Result<Stability, String>) -> [String; 7] {
    let structure = record.structure.as_ref().ok();
    let formula = structure.and_then(|structure| Composition::of_structure(structure).ok());
    let formula = formula.map_or_else(String::new, |composition| composition.reduced_formula());
    let [energy, correction, above, decomposition, status] = match answer {
        Ok(found) => [
            found.energy.uncorrected_per_atom.to_string(),
            found.energy.correction.to_string(),
            found.above.e_above_hull.to_string(),
            found.above.decomposition_text(),
            "ok".to_owned(),
        ],
        Err(reason) => [String::new(), String::new(), String::new(), String::new(), reason],
    };
    [record.id.clone(), formula, energy, correction, above, decomposition, status]
}
