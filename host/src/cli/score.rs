//! `temper score`: evaluates a model on a file of structures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use serde_json::{Map, Value, json};

use super::structures::{Structures, format_named};
use super::{Context, Failure, Search, Table, hull};
use crate::crystal::{Composition, Format, Record, Structure, StructureWriter, for_each_chunk, map_ok};
use crate::model::{EvaluationError, ForceModel, OnnxModel, Response};
use crate::reward::{Calculation, Correction, HullTerm, Uncorrected};

/// Evaluate a potential or property model on structures.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper score candidates.cif --model models/chgnet-0.3.0 \
    --hull models/hulls/mp-chgnet.hull -o scores.csv\n\n\
    Columns: id, formula, n_atoms, the model's outputs (energies in eV per cell), e_hull (eV/atom) with --hull, \
    f_max (length of the largest force, eV/A), pressure and stress_xx to stress_xy (eV/A^3, signs as in ASE: a crystal under \
    pressure has negative stress) with --forces, and status: ok, or why there is no number.")]
pub struct Score {
    /// Structures: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz; a folder of them, a pattern in
    /// quotes, or - for standard input
    #[arg(value_name = "FILE")]
    structures: PathBuf,
    /// Format of the structures, whatever their names: cif, csv, jsonl, extxyz, poscar
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// The model: an ONNX file or its folder
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    /// A hull on the same energy scale; adds the energy above it
    #[arg(long, value_name = "HULL")]
    hull: Option<PathBuf>,
    /// Add the largest force, the pressure and the stress; a potential that gives only energies is differentiated
    #[arg(long)]
    forces: bool,
    /// File that receives the structures with the model's outputs, forces and stress: .jsonl or .extxyz, also with .gz;
    /// implies --forces
    #[arg(long, value_name = "FILE")]
    forces_out: Option<PathBuf>,
    /// Correction that takes the model's energies to the scale of the hull: none, mp2020, mp2020-as-crystalformer or a plugin
    #[arg(long, value_name = "NAME", requires = "hull", default_value = "none")]
    correction: String,
    /// File that receives one row per structure; - for standard output
    #[arg(long, short, value_name = "CSV")]
    out: PathBuf,
}

impl Score {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let records = Structures::open(context, &self.structures, self.format)?;
        let correction: Correction = context.correction(&self.correction)?;
        let search = Search::new(None);
        let model = Arc::new(context.open_model(&search.find("--model", &self.model)?)?);
        let hull = match &self.hull {
            Some(path) => Some(open_hull(&search.find("--hull", path)?, &model, correction, context)?),
            None => None,
        };
        let forces = match self.forces || self.forces_out.is_some() {
            true => Some(context.force_model(Arc::clone(&model))?),
            false => None,
        };
        let mut structures_out =
            self.forces_out.as_deref().map(|file| with_forces(&context.writable(file))).transpose()?;
        say_left_out(&model, forces.is_some(), context);
        let scorer = Scorer { quantities: model.quantities(), model: &model, hull, forces };
        let mut table = Table::create(&context.writable(&self.out), &scorer.columns())?;
        let progress = context.progress("structures", 0);
        let (mut rows, mut scored, mut first) = (0, 0, None);
        for_each_chunk(records, |chunk: Vec<Record>| {
            for (record, ScoredRow { cells, scored: outputs }) in chunk.iter().zip(scorer.score(&chunk)) {
                rows += 1;
                if let (Some(writer), Some(outputs)) = (&mut structures_out, outputs) {
                    writer.add(&Record { extra: outputs, ..record.clone() })?;
                }
                match cells.last().map(String::as_str) {
                    Some("ok") => scored += 1,
                    Some(reason) if first.is_none() => first = Some(format!("row {}: {reason}", record.line)),
                    _ => {}
                }
                table.row(&cells)?;
            }
            progress.advance(chunk.len() as u64);
            Ok::<(), Failure>(())
        })?;
        drop(progress);
        table.finish()?;
        structures_out.filter(|_| scored > 0).map_or(Ok(()), StructureWriter::finish)?;
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
        let forces =
            self.forces_out.as_ref().map_or_else(String::new, |file| format!(", with forces: {}", file.display()));
        context.say(&format!("{scored} of {rows} structures scored: {out}{forces}"));
        Ok(())
    }
}

pub(super) fn open_hull(
    path: &Path,
    model: &Arc<OnnxModel>,
    correction: Correction,
    context: &Context,
) -> Result<HullTerm, Failure> {
    let hull = Arc::new(hull::open(path, context)?);
    context.same_files_on_all_ranks(path)?;
    // Refuses a hull on another energy scale or of another potential.
    let term = HullTerm::new(Arc::clone(model), hull, correction)?;
    if let Some(warning) = term.warning() {
        context.say(&format!("warning: {warning}"));
    }
    Ok(term)
}

/// A file of structures in a format that has room for forces.
fn with_forces(path: &Path) -> Result<StructureWriter, Failure> {
    match Format::of(path) {
        Some(Format::JsonLines | Format::Extxyz) => Ok(StructureWriter::create(path, &[])?),
        _ => Err(Failure::user(format!("{}: forces are not written in this format", path.display()))
            .hint("use .jsonl or .extxyz, each also with .gz")),
    }
}

/// Names the outputs that a table of one row per structure has no place for.
fn say_left_out(model: &OnnxModel, forces: bool, context: &Context) {
    let scalars = model.quantities();
    let outputs = model.contract().outputs.iter().map(|output| output.quantity.as_str());
    let asked = |quantity: &&str| forces && ["forces", "stress"].contains(quantity);
    let left: Vec<&str> = outputs.filter(|quantity| !scalars.contains(quantity) && !asked(quantity)).collect();
    if !left.is_empty() {
        context.say(&format!(
            "not in the table, because they are more than one number per structure: {}",
            left.join(", ")
        ));
    }
}

/// Columns of the forces and the stress.
const FORCE_COLUMNS: [&str; 8] =
    ["f_max", "pressure", "stress_xx", "stress_yy", "stress_zz", "stress_yz", "stress_xz", "stress_xy"];

struct Scorer<'a> {
    model: &'a OnnxModel,
    quantities: Vec<&'a str>,
    hull: Option<HullTerm>,
    forces: Option<ForceModel>,
}

/// What the model gave for one record.
struct ScoredRow {
    /// The table's.
    cells: Vec<String>,
    /// Of the file of structures: the outputs with forces and stress, where there are any.
    scored: Option<Map<String, Value>>,
}

/// What the model and the hull say of a structure.
struct Evaluated {
    /// The model's numbers, in the order of the quantities.
    values: Vec<f64>,
    /// Forces and stress, if they are asked for.
    response: Option<Response>,
    /// Energy above hull, eV/atom, if there is a hull.
    above: Option<Result<f64, String>>,
}

impl Scorer<'_> {
    fn columns(&self) -> Vec<String> {
        let quantities = self.quantities.iter().copied();
        let e_hull = self.hull.as_ref().map(|_| "e_hull");
        let forces = self.forces.as_ref().map(|_| FORCE_COLUMNS).into_iter().flatten();
        ["id", "formula", "n_atoms"]
            .into_iter()
            .chain(quantities)
            .chain(e_hull)
            .chain(forces)
            .chain(["status"])
            .map(String::from)
            .collect()
    }

    /// One row of the table per record.
    fn score(&self, records: &[Record]) -> Vec<ScoredRow> {
        let structures = records.iter().map(|record| record.structure.as_ref().map_err(ToString::to_string));
        let rows = map_ok(structures.collect(), |structures: Vec<&Structure>| self.evaluate(&structures));
        let row = |(record, row): (&Record, Result<Evaluated, String>)| match row {
            Ok(evaluated) => self.row(record, evaluated),
            Err(reason) => self.failed(record, reason),
        };
        records.iter().zip(rows).map(row).collect()
    }

    fn evaluate(&self, structures: &[&Structure]) -> Vec<Result<Evaluated, String>> {
        let rows: Vec<Result<_, EvaluationError>> = match &self.forces {
            Some(forces) => {
                let rows = forces.evaluate(structures, &self.quantities).into_iter();
                rows.map(|row| row.map(|(values, response)| (values, Some(response)))).collect()
            }
            None => {
                let rows = self.model.evaluate(structures, &self.quantities).into_iter();
                rows.map(|row| row.map(|values| (values, None))).collect()
            }
        };
        let rows = rows.into_iter().zip(structures).map(|(row, structure)| {
            let (values, response) = row.map_err(|error| error.to_string())?;
            Ok((*structure, Evaluated { values, response, above: None }))
        });
        map_ok(rows.collect(), |rows| self.measured(rows))
    }

    /// The rows with their energies above hull, if there is a hull.
    fn measured(&self, rows: Vec<(&Structure, Evaluated)>) -> Vec<Result<Evaluated, String>> {
        let energy = self.quantities.iter().position(|quantity| *quantity == "energy");
        let (Some(hull), Some(energy)) = (&self.hull, energy) else {
            return rows.into_iter().map(|(_, row)| Ok(row)).collect();
        };
        let calculation = &Calculation::default();
        let known =
            rows.iter().map(|(structure, row)| Uncorrected { structure, energy: row.values[energy], calculation });
        let found = hull.stabilities_of(&known.collect::<Vec<_>>()).into_iter();
        let above = found.map(|row| Ok(row.map_err(|failure| failure.to_string())?.above.e_above_hull));
        above.zip(rows).map(|(above, (_, row))| Ok(Evaluated { above: Some(above), ..row })).collect()
    }

    fn row(&self, record: &Record, Evaluated { values, response, above }: Evaluated) -> ScoredRow {
        let mut cells = described(record);
        cells.extend(values.iter().map(f64::to_string));
        let mut status = "ok".to_owned();
        if let Some(above) = above {
            cells.push(above.as_ref().map_or_else(|_| String::new(), f64::to_string));
            status = above.err().unwrap_or(status);
        }
        if let Some(response) = &response {
            cells.push(response.largest_force().to_string());
            cells.push(response.pressure().to_string());
            cells.extend(response.voigt().map(|component| component.to_string()));
        }
        cells.push(status);
        ScoredRow { cells, scored: response.as_ref().map(|response| self.outputs(&values, response)) }
    }

    fn outputs(&self, values: &[f64], response: &Response) -> Map<String, Value> {
        let scalars = self.quantities.iter().zip(values).map(|(name, value)| ((*name).to_owned(), json!(value)));
        let tensors = [("forces", json!(response.forces)), ("stress", json!(response.stress))];
        scalars.chain(tensors.map(|(name, value)| (name.to_owned(), value))).collect()
    }

    fn failed(&self, record: &Record, reason: String) -> ScoredRow {
        let mut cells = described(record);
        cells.resize(self.columns().len() - 1, String::new());
        cells.push(reason);
        ScoredRow { cells, scored: None }
    }
}

/// Identifier, formula and number of atoms.
fn described(record: &Record) -> Vec<String> {
    let structure = record.structure.as_ref().ok();
    let formula = structure.and_then(|structure| Composition::of_structure(structure).ok());
    let atoms = structure.map_or_else(String::new, |structure| structure.len().to_string());
    vec![record.id.clone(), formula.map_or_else(String::new, |formula| formula.reduced_formula()), atoms]
}
