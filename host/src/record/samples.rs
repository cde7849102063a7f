//! Crystals as JSON, and the lines of `samples/step-N.jsonl`.

use serde_json::{Map, Value, json};

use crate::crystal::{Structure, tokens_json};
use crate::reward::Outcome;
use crate::train::{Sample, StepRecord};

/// Names that lines of samples and tables of candidates have for what is theirs: a term of the same name would take its place.
pub const OWN_NAMES: [&str; 16] = [
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
];

/// A line of `samples/step-N.jsonl`.
pub fn sample_line(record: &StepRecord, row: usize, sample: &Sample) -> String {
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
