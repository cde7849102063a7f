//! `temper evaluate`: what the field measures of generated crystals.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use rayon::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::known::known_structures;
use super::match_pairs::MatcherOptions;
use super::score::open_hull;
use super::structures::{Structures, format_named};
use super::{Context, Failure, Output, Search, Table};
use crate::crystal::{Composition, Format, Record, Structure, for_each_chunk, map_ok};
use crate::matching::{DistinctStructures, ReducedStructure, StructureIndex, StructureMatcher};
use crate::metrics::{Sample, Stability, Summary, has_sound_geometry};
use crate::reward::{Builtin, Failure as Failed, HullTerm, Sanity, Stability as HullStability, Tables};

/// Measure the validity, stability, uniqueness and novelty of generated crystals.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  temper evaluate samples.jsonl --reference train.csv.gz --model models/chgnet-0.3.0 \
    --hull models/hulls/mp-chgnet.hull -o evaluation\n\n\
    The folder receives structures.csv, with one row per sample, and metrics.json: every figure as a count, the number of samples \
    that were asked for, their ratio and its 95 % interval (Wilson). Structures are judged as they are, not relaxed."
)]
pub struct Evaluate {
    /// Samples: .cif, .csv with a cif column, .jsonl, .extxyz, POSCAR, each also with .gz; a folder of them, a pattern in
    /// quotes, or - for standard input
    #[arg(value_name = "SAMPLES")]
    samples: PathBuf,
    /// Format of the samples, whatever their names: cif, csv, jsonl, extxyz, poscar
    #[arg(long, value_name = "FORMAT", value_parser = format_named)]
    format: Option<Format>,
    /// Known structures, or an index of them as `temper index build` makes; may be repeated
    #[arg(long, value_name = "DATA")]
    reference: Vec<PathBuf>,
    /// The potential: an ONNX file or its folder
    #[arg(long, value_name = "MODEL", requires = "hull")]
    model: Option<PathBuf>,
    /// A hull on the potential's energy scale
    #[arg(long, value_name = "HULL", requires = "model")]
    hull: Option<PathBuf>,
    /// Correction that takes the potential's energies to the scale of the hull: none, mp2020, mp2020-as-crystalformer or a plugin
    #[arg(long, value_name = "NAME", requires = "hull", default_value = "none")]
    correction: String,
    /// Energy above hull up to which a crystal is stable, eV/atom
    #[arg(long, value_name = "EV", default_value_t = Stability::default().stable, allow_negative_numbers = true, value_parser = finite)]
    stable: f64,
    /// Energy above hull up to which a crystal is metastable, eV/atom
    #[arg(long, value_name = "EV", default_value_t = Stability::default().metastable, allow_negative_numbers = true, value_parser = finite)]
    metastable: f64,
    /// SMACT's table of oxidation states: 2.2.1 or 3.2.0
    #[arg(long, value_name = "VERSION", default_value = "2.2.1", value_parser = ["2.2.1", "3.2.0"])]
    smact: String,
    /// Samples that were asked for, where the file has only those that became crystals
    #[arg(long, value_name = "N")]
    requested: Option<usize>,
    #[command(flatten)]
    matcher: MatcherOptions,
    /// Folder that receives the results
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
}

const COLUMNS: [&str; 10] = [
    "id",
    "formula",
    "n_atoms",
    "valid_structure",
    "valid_composition",
    "duplicate_of",
    "match",
    "e_hull",
    "sun",
    "status",
];

/// What the samples are judged by.
struct Judge {
    matcher: StructureMatcher,
    /// SMACT's rule.
    neutrality: Builtin,
    known: Vec<StructureIndex>,
    hull: Option<HullTerm>,
}

/// A sample with what the table says of it besides.
#[derive(Default)]
struct Row {
    sample: Sample,
    reduced: Option<ReducedStructure>,
    duplicate_of: Option<String>,
    known_as: Option<String>,
    /// Why something could not be found out.
    reasons: Vec<String>,
}

impl Evaluate {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        let failed = |path: &Path, e: &io::Error| Failure::user(format!("{}: {e}", path.display()));
        std::fs::create_dir_all(&self.out).map_err(|e| failed(&self.out, &e))?;
        let records = Structures::open(context, &self.samples, self.format)?;
        let judge = self.judge(context)?;
        let mut table = Table::create(&self.out.join("structures.csv"), &COLUMNS)?;
        let mut distinct = DistinctStructures::new(judge.matcher.clone());
        let (mut ids, mut samples) = (Vec::<String>::new(), Vec::new());
        let limits = Stability { stable: self.stable, metastable: self.metastable };
        let progress = context.progress("samples", 0);
        for_each_chunk(records, |chunk: Vec<Record>| -> Result<(), Failure> {
            for (record, mut row) in chunk.iter().zip(judge.rows(&chunk)?) {
                if let Some(reduced) = row.reduced.take() {
                    let first = distinct.first_or_insert(ids.len(), reduced);
                    row.sample.unique = Some(first.is_none());
                    row.duplicate_of = first.map(|first| ids[first].clone());
                }
                ids.push(record.id.clone());
                table.row(&cells(record, &row, limits))?;
                samples.push(row.sample);
            }
            progress.advance(chunk.len() as u64);
            Ok(())
        })?;
        drop(progress);
        if samples.is_empty() {
            return Err(Failure::user(format!("{}: there are no samples", self.samples.display())));
        }
        table.finish()?;
        let requested = self.requested(samples.len())?;
        let summary =
            Summary::new(&samples, requested, judge.hull.is_some().then_some(limits), !judge.known.is_empty());
        self.write(context, &summary, samples.len(), requested)
    }

    fn requested(&self, samples: usize) -> Result<usize, Failure> {
        match self.requested {
            Some(fewer) if fewer < samples => Err(Failure::user(format!(
                "--requested is {fewer}, but {} has {samples} samples",
                self.samples.display()
            ))),
            asked => Ok(asked.unwrap_or(samples)),
        }
    }

    fn judge(&self, context: &Context) -> Result<Judge, Failure> {
        let matcher = self.matcher.matcher();
        let known = self.reference.iter().map(|path| known_structures(path, &matcher, context));
        let known = known.collect::<Result<_, _>>()?;
        let hull = match (&self.model, &self.hull) {
            (Some(model), Some(hull)) => {
                let search = Search::new(None);
                let correction = context.correction(&self.correction)?;
                let model = Arc::new(context.open_model(&search.find("--model", model)?)?);
                Some(open_hull(&search.find("--hull", hull)?, &model, correction, context)?)
            }
            _ => None,
        };
        let tables = if self.smact == "2.2.1" { Tables::Smact2 } else { Tables::Smact3 };
        Ok(Judge { matcher, neutrality: Builtin::ChargeNeutral(tables), known, hull })
    }

    /// Writes metrics.json and says the figures.
    fn write(&self, context: &Context, summary: &Summary, samples: usize, requested: usize) -> Result<(), Failure> {
        let protocol = self.protocol()?;
        let id: String =
            Sha256::digest(protocol.to_string()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let all = json!({
            "protocol_id": id, "protocol": protocol, "samples": samples, "requested": requested, "metrics": summary,
        });
        let path = self.out.join("metrics.json");
        let mut file = Output::create(&path)?;
        writeln!(file, "{all:#}").map_err(|e| file.failed(&e))?;
        file.finish()?;
        for (name, figure) in &summary.0 {
            if let (Some(value), Some([low, high])) = (figure.value, figure.interval) {
                let percent = |x: f64| format!("{:.1}", 100.0 * x);
                let (count, of) = (figure.count, figure.of);
                let (value, low, high) = (percent(value), percent(low), percent(high));
                context.say(&format!("{name:<18} {value:>5} % [{low}, {high}]  {count} of {of}"));
            }
        }
        context.say(&format!("{} samples evaluated: {}", samples, self.out.display()));
        Ok(())
    }

    /// Every setting and the contents of every file that the figures depend on, the samples aside.
    fn protocol(&self) -> Result<Value, Failure> {
        let search = Search::new(None);
        let find = |flag, path: &Option<PathBuf>| path.as_ref().map(|path| search.find(flag, path)).transpose();
        let contents = |path: PathBuf| contents(&path).map_err(|e| Failure::user(format!("{}: {e}", path.display())));
        let (model, hull) = (find("--model", &self.model)?, find("--hull", &self.hull)?);
        let StructureMatcher { ltol, stol, angle_tol, primitive, scale } = self.matcher.matcher();
        Ok(json!({
            "matcher": { "ltol": ltol, "stol": stol, "angle_tol": angle_tol, "primitive": primitive, "scale": scale },
            "smact": self.smact, "stable": self.stable, "metastable": self.metastable, "relaxed": false,
            "correction": self.correction,
            "model": model.map(contents).transpose()?, "hull": hull.map(contents).transpose()?,
            "reference": self.reference.iter().cloned().map(contents).collect::<Result<Vec<_>, _>>()?,
        }))
    }
}

/// SHA-256 of a file, or of the files of a folder in the order of their names.
fn contents(path: &Path) -> io::Result<String> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = path.read_dir()?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        files.sort();
    }
    let mut hash = Sha256::new();
    let mut block = vec![0; 1 << 16];
    for file in files.iter().filter(|file| file.is_file()) {
        let mut file = File::open(file)?;
        while let length @ 1.. = file.read(&mut block)? {
            hash.update(&block[..length]);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Judge {
    /// One row per record; what concerns other samples is left open.
    fn rows(&self, records: &[Record]) -> Result<Vec<Row>, Failure> {
        let mut rows = records.par_iter().map(|record| self.row(record)).collect::<Result<Vec<Row>, Failure>>()?;
        if let Some(hull) = &self.hull {
            // The energies of what is no crystal mean nothing; with the bounds of a reward, a stable crystal is one there, too.
            let sanity = Sanity::default();
            let sound = |(record, row): (&'_ Record, &Row)| match (&record.structure, row.sample.geometry) {
                (Ok(structure), Some(true)) => {
                    sanity.check(structure).map(|()| structure.clone()).map_err(|e| e.to_string())
                }
                _ => Err(String::new()),
            };
            let sound: Vec<Result<Structure, String>> = records.iter().zip(&rows).map(sound).collect();
            let found = map_ok(sound, |structures: Vec<Structure>| {
                let structures: Vec<&Structure> = structures.iter().collect();
                let believed = |row: Result<HullStability, Failed>| sanity.believe(row?.above.e_above_hull);
                hull.stabilities(&structures).into_iter().map(|row| believed(row).map_err(|e| e.to_string())).collect()
            });
            for (row, found) in rows.iter_mut().zip(found) {
                match found {
                    Ok(e_above_hull) => row.sample.e_above_hull = Some(e_above_hull),
                    Err(reason) if !reason.is_empty() => row.reasons.push(reason),
                    Err(_) => {}
                }
            }
        }
        Ok(rows)
    }

    fn row(&self, record: &Record) -> Result<Row, Failure> {
        let mut row = Row::default();
        let structure = match &record.structure {
            Ok(structure) => structure,
            Err(error) => {
                row.reasons.push(error.to_string());
                return Ok(row);
            }
        };
        match has_sound_geometry(structure) {
            Ok(sound) => row.sample.geometry = Some(sound),
            Err(error) => row.reasons.push(error.to_string()),
        }
        match self.neutrality.value(structure) {
            Ok(value) => row.sample.composition = Some(value == 1.0),
            Err(failure) => row.reasons.push(failure.to_string()),
        }
        match self.matcher.reduce(structure) {
            Ok(reduced) => {
                let found = self.known.iter().find_map(|index| index.find(&reduced).transpose()).transpose()?;
                row.sample.novel = (!self.known.is_empty()).then_some(found.is_none());
                row.known_as = found;
                row.reduced = Some(reduced);
            }
            Err(error) => row.reasons.push(error.to_string()),
        }
        Ok(row)
    }
}

fn cells(record: &Record, row: &Row, limits: Stability) -> [String; 10] {
    let structure = record.structure.as_ref().ok();
    let formula = structure.and_then(|s| Composition::of_structure(s).ok()).map(|c| c.reduced_formula());
    let flag = |flag: Option<bool>| flag.map_or_else(String::new, |flag| flag.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    [
        record.id.clone(),
        formula.unwrap_or_default(),
        structure.map_or_else(String::new, |s| s.len().to_string()),
        flag(row.sample.geometry),
        flag(row.sample.composition),
        text(&row.duplicate_of),
        text(&row.known_as),
        row.sample.e_above_hull.map_or_else(String::new, |e| e.to_string()),
        row.sample.is_sun(limits.stable).to_string(),
        if row.reasons.is_empty() { "ok".into() } else { row.reasons.join("; ") },
    ]
}

fn finite(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(|| "not a finite number".into())
}
