//! `temper score`: a model's numbers for a file of structures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use super::{Context, Failure, Search, Table, hull};
use crate::crystal::{Composition, ReadError, Record, Structure, read_structures};
use crate::hull::Hull;
use crate::reward::{Calculation, Correction, HullTerm, OnnxModel, stability};

/// Rows that are held in memory at a time.
const CHUNK: usize = 1024;

/// Evaluate a potential or property model on structures.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper score candidates.cif --model models/chgnet-0.3.0 \
    --hull models/hulls/mp-chgnet.hull -o scores.csv\n\n\
    Columns: id, formula, n_atoms, the model's outputs (energies in eV per cell), e_hull (eV/atom) with --hull, \
    and status: ok, or why there is no number.")]
pub struct Score {
    /// Structures: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz
    #[arg(value_name = "FILE")]
    structures: PathBuf,
    /// The model: an ONNX file or its folder
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// A hull on the same energy scale: adds the energy above it
    #[arg(long, value_name = "HULL")]
    hull: Option<PathBuf>,
    /// What takes the model's energies to the hull's scale: none, mp2020 or mp2020-as-crystalformer
    #[arg(long, value_name = "NAME", requires = "hull", default_value = "none")]
    correction: String,
    /// Receives one row per structure
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
}

impl Score {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let mut records = read_structures(&self.structures)?;
        let correction: Correction = self.correction.parse()?;
        let search = Search::new(None);
        let model = Arc::new(context.open_model(&search.find("--model", &self.model)?)?);
        let hull = match &self.hull {
            Some(path) => Some(open_hull(&search.find("--hull", path)?, &model, correction, context)?),
            None => None,
        };
        say_left_out(&model, context);
        let scorer = Scorer { quantities: model.quantities(), model: &model, hull, correction };
        let mut table = Table::create(&self.out, &scorer.columns())?;
        let progress = context.progress("structures", 0);
        let (mut rows, mut scored, mut first) = (0, 0, None);
        loop {
            let chunk: Vec<Record> = records.by_ref().take(CHUNK).collect::<Result<_, ReadError>>()?;
            if chunk.is_empty() {
                break;
            }
            for (record, cells) in chunk.iter().zip(scorer.score(&chunk)) {
                rows += 1;
                match cells.last().map(String::as_str) {
                    Some("ok") => scored += 1,
                    Some(reason) if first.is_none() => first = Some(format!("row {}: {reason}", record.line)),
                    _ => {}
                }
                table.row(&cells)?;
            }
            progress.advance(chunk.len() as u64);
        }
        drop(progress);
        table.finish()?;
        self.conclude(context, rows, scored, first)
    }

    fn conclude(&self, context: &Context, rows: usize, scored: usize, first: Option<String>) -> Result<(), Failure> {
        let out = self.out.display();
        if scored == 0 {
            let first = first.map_or_else(String::new, |first| format!(" ({first})"));
            let file = self.structures.display();
            return Err(Failure::user(format!("{file}: none of {rows} structures is usable{first}"))
                .hint(format!("the column `status` of {out} says why")));
        }
        context.say(&format!("{scored} of {rows} structures scored: {out}"));
        Ok(())
    }
}

fn open_hull(
    path: &Path,
    model: &Arc<OnnxModel>,
    correction: Correction,
    context: &Context,
) -> Result<Arc<Hull>, Failure> {
    let hull = Arc::new(hull::open(path, context)?);
    // Refuses a hull on another energy scale or of another potential.
    let term = HullTerm::new(Arc::clone(model), Arc::clone(&hull), correction)?;
    if let Some(warning) = term.warning() {
        context.say(&format!("warning: {warning}"));
    }
    Ok(hull)
}

/// Names the outputs that a table of one row per structure has no place for.
fn say_left_out(model: &OnnxModel, context: &Context) {
    let scalars = model.quantities();
    let outputs = model.contract().outputs.iter().map(|output| output.quantity.as_str());
    let left: Vec<&str> = outputs.filter(|quantity| !scalars.contains(quantity)).collect();
    if !left.is_empty() {
        context.say(&format!("not in the table, being more than one number per structure: {}", left.join(", ")));
    }
}

struct Scorer<'a> {
    model: &'a OnnxModel,
    quantities: Vec<&'a str>,
    hull: Option<Arc<Hull>>,
    correction: Correction,
}

impl Scorer<'_> {
    fn columns(&self) -> Vec<String> {
        let quantities = self.quantities.iter().copied();
        let e_hull = self.hull.as_ref().map(|_| "e_hull");
        ["id", "formula", "n_atoms"]
            .into_iter()
            .chain(quantities)
            .chain(e_hull)
            .chain(["status"])
            .map(String::from)
            .collect()
    }

    /// One row of the table per record.
    fn score(&self, records: &[Record]) -> Vec<Vec<String>> {
        let structures: Vec<&Structure> = records.iter().filter_map(|record| record.structure.as_ref().ok()).collect();
        let mut results = self.model.evaluate(&structures, &self.quantities).into_iter();
        let row = |record: &Record| match &record.structure {
            Ok(structure) => match results.next() {
                Some(Ok(values)) => self.row(record, structure, &values),
                Some(Err(failure)) => self.failed(record, Some(structure), failure.to_string()),
                None => self.failed(record, Some(structure), "not evaluated".to_owned()),
            },
            Err(reason) => self.failed(record, None, reason.to_string()),
        };
        records.iter().map(row).collect()
    }

    fn row(&self, record: &Record, structure: &Structure, values: &[f64]) -> Vec<String> {
        let mut row = described(record, Some(structure));
        row.extend(values.iter().map(f64::to_string));
        let above = self.hull.as_ref().map(|hull| self.above(hull, structure, values));
        let mut status = "ok".to_owned();
        if let Some(above) = above {
            row.push(above.as_ref().map_or_else(|_| String::new(), f64::to_string));
            status = above.err().unwrap_or(status);
        }
        row.push(status);
        row
    }

    fn failed(&self, record: &Record, structure: Option<&Structure>, reason: String) -> Vec<String> {
        let mut row = described(record, structure);
        row.resize(self.columns().len() - 1, String::new());
        row.push(reason);
        row
    }

    /// Energy above hull, eV/atom.
    fn above(&self, hull: &Hull, structure: &Structure, values: &[f64]) -> Result<f64, String> {
        let energy = self.quantities.iter().position(|quantity| *quantity == "energy").and_then(|i| values.get(i));
        let per_atom = energy.ok_or("the model gives no energy")? / structure.len() as f64;
        let found = stability(hull, self.correction, structure, &Calculation::default(), per_atom);
        Ok(found.map_err(|failure| failure.to_string())?.above.e_above_hull)
    }
}

/// Identifier, formula and number of atoms.
fn described(record: &Record, structure: Option<&Structure>) -> Vec<String> {
    let formula = structure.and_then(|structure| Composition::of_structure(structure).ok());
    let atoms = structure.map_or_else(String::new, |structure| structure.len().to_string());
    vec![record.id.clone(), formula.map_or_else(String::new, |formula| formula.reduced_formula()), atoms]
}
