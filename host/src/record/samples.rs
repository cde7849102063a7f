//! The samples of each step: JSON lines, compressed, in `samples/step-N.jsonl.gz`.

use std::fs;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::candidate::is_scored;
use super::{RunDirectory, RunError};
use crate::atomic::write_atomically;
use crate::crystal::{Structure, tokens_json};
use crate::reward::Outcome;
use crate::train::StepRecord;

/// Names that lines of samples and tables of candidates have for what is theirs: a term of the same name would take its place.
pub const OWN_NAMES: [&str; 18] = [
    "id",
    "tokens",
    "lattice",
    "species",
    "frac_coords",
    "refused",
    "objective",
    "objective_failed",
    "logp",
    "formula",
    "spacegroup",
    "cif",
    "Lattice",
    "Properties",
    "pbc",
    "forces",
    "rank",
    "computed_by",
];

/// Which samples are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleChoice {
    /// All of every step.
    All,
    /// Of every step those on which every term succeeded and that no filter rejected; all of a step that taught nothing.
    Scored,
    /// All of the first step and of every step whose number is a multiple of this.
    Every(usize),
}

/// The folder of the samples.
#[derive(Debug)]
pub(super) struct SampleFiles {
    folder: PathBuf,
    choice: SampleChoice,
    /// Bytes of all files from which on no more are written.
    limit: u64,
    bytes: u64,
    is_full: bool,
}

impl SampleFiles {
    /// Makes the folder of a run whose checkpoint is of the step `last` (0: a new run), and removes the samples of later steps.
    pub fn open(directory: &RunDirectory, last: u64, choice: SampleChoice, limit: u64) -> Result<Self, RunError> {
        let folder = directory.path().join("samples");
        fs::create_dir_all(&folder).map_err(RunError::write(&folder))?;
        let mut bytes = 0;
        for entry in fs::read_dir(&folder).map_err(RunError::read(&folder))? {
            let entry = entry.map_err(RunError::read(&folder))?;
            match entry.file_name().to_str().and_then(step_of_samples) {
                None => {}
                Some(step) if step > last => fs::remove_file(entry.path()).map_err(RunError::write(&entry.path()))?,
                Some(_) => bytes += entry.metadata().map_err(RunError::read(&entry.path()))?.len(),
            }
        }
        Ok(Self { folder, choice, limit, bytes, is_full: false })
    }

    /// Writes the chosen samples of a step. True if these are the first for which there is no room.
    pub fn write(&mut self, record: &StepRecord) -> Result<bool, RunError> {
        let step = record.step;
        let rows: Vec<usize> = match self.choice {
            SampleChoice::Every(every) if step != 1 && !step.is_multiple_of(every) => return Ok(false),
            SampleChoice::Scored if record.idle.is_none() => {
                (0..record.samples.len()).filter(|row| is_scored(record, *row)).collect()
            }
            _ => (0..record.samples.len()).collect(),
        };
        if self.bytes >= self.limit {
            return Ok(!std::mem::replace(&mut self.is_full, true));
        }
        let lines: String = rows.into_iter().map(|row| sample_line(record, row)).collect();
        let path = self.folder.join(format!("step-{step}.jsonl.gz"));
        write_atomically(&path, lines.as_bytes()).map_err(RunError::write(&path))?;
        self.bytes += fs::metadata(&path).map_err(RunError::read(&path))?.len();
        Ok(false)
    }
}

/// The step of a file of samples, by its name. Earlier versions did not compress.
pub fn step_of_samples(name: &str) -> Option<u64> {
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_prefix("step-")?.strip_suffix(".jsonl")?.parse().ok()
}

/// The line of a row.
fn sample_line(record: &StepRecord, row: usize) -> String {
    let sample = &record.samples[row];
    let mut line = Map::new();
    line.insert("id".into(), json!(format!("step-{}-{row}", record.step)));
    if let Some(tokens) = &sample.tokens {
        line.insert("tokens".into(), tokens_json(tokens));
    }
    match &sample.structure {
        Ok(structure) => line.extend(structure_json(structure)),
        Err(reason) => {
            line.insert("refused".into(), json!(reason));
        }
    }
    for (column, outcome) in record.table.columns().iter().zip(record.table.row(row)) {
        let value = match outcome {
            Outcome::Value(value) => json!(value),
            Outcome::Failed(failure) => json!({ "failed": failure.to_string() }),
            Outcome::Abstained => json!("abstained"),
            Outcome::NotAsked => Value::Null,
        };
        line.insert(column.name.clone(), value);
    }
    line.insert("objective".into(), json!(sample.objective));
    if let Some(reason) = &sample.not_finite {
        line.insert("objective_failed".into(), json!(reason.to_string()));
    }
    line.insert("logp".into(), json!(sample.logp));
    format!("{}\n", Value::Object(line))
}

fn structure_json(structure: &Structure) -> Map<String, Value> {
    let species: Vec<&str> = structure.species.iter().map(|e| e.symbol()).collect();
    let mut map = Map::new();
    map.insert("lattice".into(), json!(structure.lattice.0));
    map.insert("species".into(), json!(species));
    map.insert("frac_coords".into(), json!(structure.frac));
    map
}
