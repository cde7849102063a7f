//! `temper relax`: structures at rest in a potential.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::structures::{Structures, format_named};
use super::{Context, Failure, Progress, Search, Table};
use crate::crystal::{
    Composition, Format, Record, SYMPREC, Structure, StructureWriter, for_each_chunk, map_ok, symmetry,
};
use crate::model::ForceModel;
use crate::relax::{Cell, RelaxSettings, Relaxed, relax};

/// Relax structures with a potential, atoms and cell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  temper relax candidates.cif --model models/chgnet-0.3.0 -o relaxed.extxyz\n\n\
    relaxed.status.csv, beside relaxed.extxyz, has one row per structure: id, formula, n_atoms, converged, steps, energy and \
    energy_change (eV/atom), f_max (eV/A), stress_max (eV/A^3), volume_ratio, displacement (angstrom, root mean square), \
    spacegroup, and status: ok, or why there is no relaxed structure.")]
pub struct Relax {
    /// Structures: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz; a folder of them, a pattern in
    /// quotes, or - for standard input
    #[arg(value_name = "FILE")]
    structures: PathBuf,
    /// Format of the structures, whatever their names: cif, csv, jsonl, extxyz, poscar
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// The potential: an ONNX file or its folder; if it gives only energies, it is differentiated
    #[arg(long, value_name = "MODEL")]
    model: PathBuf,
    #[command(flatten)]
    how: RelaxOptions,
    /// File that receives the relaxed structures: .jsonl, .extxyz, .cif or .csv, each also with .gz
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
}

/// How structures are relaxed.
#[derive(Clone, Debug, Args)]
pub(super) struct RelaxOptions {
    /// Largest force on an atom, eV/A, and on the cell (stress times volume per atom), eV, at which a structure counts as relaxed
    #[arg(long, value_name = "FORCE", default_value_t = 0.02, value_parser = positive)]
    fmax: f64,
    /// Most steps of a structure
    #[arg(long, value_name = "N", default_value_t = 500)]
    steps: usize,
    /// What the cell does: frechet (it relaxes) or none (it stays)
    #[arg(long, value_name = "HOW", value_enum, default_value_t = CellFilter::Frechet)]
    cell: CellFilter,
    /// Hold the symmetry that each structure has at the start
    #[arg(long)]
    fix_symmetry: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CellFilter {
    Frechet,
    None,
}

impl RelaxOptions {
    fn settings(&self) -> RelaxSettings {
        let cell = match self.cell {
            CellFilter::Frechet => Cell::Relaxed,
            CellFilter::None => Cell::Fixed,
        };
        let symmetry = self.fix_symmetry.then_some(SYMPREC);
        RelaxSettings { fmax: self.fmax, steps: self.steps, cell, symmetry }
    }
}

const COLUMNS: [&str; 12] = [
    "id",
    "formula",
    "n_atoms",
    "converged",
    "steps",
    "energy",
    "energy_change",
    "f_max",
    "stress_max",
    "volume_ratio",
    "displacement",
    "spacegroup",
];

impl Relax {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let records = Structures::open(context, &self.structures, self.format)?;
        let model = Arc::new(context.open_model(&Search::new(None).find("--model", &self.model)?)?);
        let model = context.force_model(model)?;
        let mut structures = writer(&context.writable(&self.out))?;
        let table_path = self.out.with_extension("status.csv");
        let mut table = RelaxTable::create(&context.writable(&table_path))?;
        let progress = context.progress("structures", 0);
        let (mut rows, mut relaxed, mut converged, mut first) = (0, 0, 0, None);
        for_each_chunk(records, |chunk: Vec<Record>| {
            for (record, row) in chunk.iter().zip(relax_rows(&model, &chunk, &self.how.settings(), &progress)) {
                rows += 1;
                table.add(record, &row)?;
                match row {
                    Ok(row) => {
                        relaxed += 1;
                        converged += usize::from(row.converged);
                        structures.add(&with_results(record, row))?;
                    }
                    Err(reason) => drop(first.get_or_insert_with(|| format!("row {}: {reason}", record.line))),
                }
            }
            Ok::<(), Failure>(())
        })?;
        drop(progress);
        table.finish()?;
        if relaxed == 0 {
            let first = first.map_or_else(String::new, |first| format!(" ({first})"));
            let file = self.structures.display();
            return Err(Failure::user(format!("{file}: none of {rows} structures could be relaxed{first}"))
                .hint(format!("the column `status` of {} says why", table_path.display())));
        }
        structures.finish()?;
        let (out, table) = (self.out.display(), table_path.display());
        context.say(&format!("{relaxed} of {rows} structures relaxed, {converged} converged: {out}; table: {table}"));
        Ok(())
    }
}

/// A table with one row per structure that was to be relaxed.
pub(super) struct RelaxTable(Table);

impl RelaxTable {
    pub fn create(path: &std::path::Path) -> Result<Self, Failure> {
        Ok(Self(Table::create(path, &[&COLUMNS[..], &["status"]].concat())?))
    }

    pub fn add(&mut self, record: &Record, row: &Result<Relaxed, String>) -> Result<(), Failure> {
        self.0.row(&cells(record, row))
    }

    pub fn finish(self) -> Result<(), Failure> {
        self.0.finish()
    }
}

/// A file of many structures.
fn writer(path: &std::path::Path) -> Result<StructureWriter, Failure> {
    match Format::of(path) {
        Some(Format::Poscar) | None => {
            Err(Failure::user(format!("{}: relaxed structures are not written in this format", path.display()))
                .hint("use .jsonl, .extxyz, .cif or .csv, each also with .gz"))
        }
        Some(_) => Ok(StructureWriter::create(path, &RESULTS)?),
    }
}

/// Relaxes the structures of some records, and says how far it is.
pub(super) fn relax_rows(
    model: &ForceModel,
    records: &[Record],
    settings: &RelaxSettings,
    progress: &Progress,
) -> Vec<Result<Relaxed, String>> {
    let structures = records.iter().map(|record| record.structure.as_ref().map_err(ToString::to_string)).collect();
    map_ok(structures, |structures: Vec<&Structure>| {
        progress.advance((records.len() - structures.len()) as u64);
        let rows = relax(model, &structures, settings, &|n| progress.advance(n)).into_iter();
        rows.map(|row| row.map_err(|error| error.to_string())).collect()
    })
}

/// What the file of structures has of each besides, where its format has room.
const RESULTS: [&str; 5] = ["energy", "forces", "stress", "converged", "steps"];

/// The record with its relaxed structure.
pub(super) fn with_results(record: &Record, relaxed: Relaxed) -> Record {
    let Relaxed { structure, converged, steps, energy, response, .. } = relaxed;
    let values: [Value; 5] =
        [json!(energy), json!(response.forces), json!(response.stress), json!(converged), json!(steps)];
    let extra: Map<String, Value> = RESULTS.iter().map(|name| (*name).to_owned()).zip(values).collect();
    Record { structure: Ok(structure), orbits: None, extra, warnings: Vec::new(), ..record.clone() }
}

fn cells(record: &Record, row: &Result<Relaxed, String>) -> Vec<String> {
    let structure = record.structure.as_ref().ok();
    let formula = structure.and_then(|s| Composition::of_structure(s).ok()).map(|c| c.reduced_formula());
    let atoms = structure.map_or_else(String::new, |s| s.len().to_string());
    let mut cells = vec![record.id.clone(), formula.unwrap_or_default(), atoms];
    let status = match row {
        Ok(relaxed) => {
            cells.extend(results(relaxed));
            match relaxed.converged {
                true => "ok".to_owned(),
                false => format!("not converged within {} steps", relaxed.steps),
            }
        }
        Err(reason) => reason.clone(),
    };
    cells.resize(COLUMNS.len(), String::new());
    cells.push(status);
    cells
}

fn results(relaxed: &Relaxed) -> [String; 9] {
    let atoms = relaxed.structure.len() as f64;
    let group = symmetry(&relaxed.structure, SYMPREC).map(|symmetry| symmetry.group.number().to_string());
    [
        relaxed.converged.to_string(),
        relaxed.steps.to_string(),
        (relaxed.energy / atoms).to_string(),
        ((relaxed.energy - relaxed.start_energy) / atoms).to_string(),
        relaxed.response.largest_force().to_string(),
        relaxed.response.largest_stress().to_string(),
        relaxed.volume_ratio.to_string(),
        relaxed.displacement.to_string(),
        group.unwrap_or_default(),
    ]
}

fn positive(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|x: &f64| x.is_finite() && *x > 0.0).ok_or_else(|| "must be more than 0".into())
}
