//! The best crystals of a run.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::RunError;
use super::run::structure_json;
use crate::crystal::{Composition, Element, Lattice, Record, Structure, write_structures};
use crate::train::StepRecord;

/// Candidates kept over a run.
const CANDIDATES: usize = 100;

/// A crystal that was scored.
#[derive(Clone, Debug)]
pub struct Candidate {
    id: String,
    formula: String,
    group: u8,
    objective: f64,
    terms: Map<String, Value>,
    structure: Structure,
}

/// The crystals with the highest objective: one per reduced formula and space group.
#[derive(Debug, Default)]
pub struct Candidates(Vec<Candidate>);

impl Candidates {
    pub fn add(&mut self, scored: Vec<Candidate>) {
        self.0.extend(scored);
        // A stable sort keeps the earlier of equals, so that a resumed run keeps the same ones.
        self.0.sort_by(|a, b| b.objective.total_cmp(&a.objective));
        let mut seen = HashSet::new();
        self.0.retain(|c| seen.insert((c.formula.clone(), c.group)));
        self.0.truncate(CANDIDATES);
    }

    pub fn write(&self, folder: &Path) -> Result<(), RunError> {
        write_candidates(folder, "candidates", &self.0)
    }

    pub fn to_json(&self) -> Value {
        Value::Array(self.0.iter().map(Candidate::to_json).collect())
    }

    pub fn from_json(value: Option<&Value>) -> Self {
        Self(candidates_of_json(value))
    }
}

/// Writes `NAME.csv` and `NAME.extxyz`, if there is anything to write.
pub fn write_candidates(folder: &Path, name: &str, candidates: &[Candidate]) -> Result<(), RunError> {
    let records: Vec<Record> = candidates.iter().map(Candidate::record).collect();
    if records.is_empty() {
        return Ok(());
    }
    for extension in ["csv", "extxyz"] {
        let path = folder.join(format!("{name}.{extension}"));
        let failed = |e: crate::crystal::WriteError| io::Error::other(e.to_string());
        write_structures(&path, &records).map_err(|e| RunError::Io { path: path.clone(), source: failed(e) })?;
    }
    Ok(())
}

/// What [`Candidate::to_json`] gave, in its order.
pub fn candidates_of_json(value: Option<&Value>) -> Vec<Candidate> {
    let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Candidate::from_json).collect()
}

impl Candidate {
    /// The crystals of a step for which every term and the objective have a value and that no filter rejects: a row that
    /// failed has an objective too, but nothing that speaks for it.
    pub fn of_step(record: &StepRecord) -> Vec<Self> {
        (0..record.samples.len()).filter_map(|row| Self::of_row(record, row)).collect()
    }

    fn of_row(record: &StepRecord, row: usize) -> Option<Self> {
        let sample = &record.samples[row];
        let (structure, tokens) = (sample.structure.as_ref().ok()?, sample.tokens.as_ref()?);
        if !record.table.complete(row) || sample.not_finite.is_some() {
            return None;
        }
        let names = record.table.columns().iter().map(|column| column.name.clone());
        let values = record.table.row(row).iter().map(|outcome| json!(outcome.value()));
        Some(Self {
            id: format!("step-{}-{row}", record.step),
            formula: Composition::of_structure(structure).ok()?.reduced_formula(),
            group: tokens.group.number(),
            objective: sample.objective?,
            terms: names.zip(values).collect(),
            structure: structure.clone(),
        })
    }

    /// The value of a term.
    pub fn term(&self, name: &str) -> Option<f64> {
        self.terms.get(name)?.as_f64()
    }

    fn record(&self) -> Record {
        let mut extra = Map::new();
        extra.insert("formula".into(), json!(self.formula));
        extra.insert("spacegroup".into(), json!(self.group));
        extra.insert("objective".into(), json!(self.objective));
        extra.extend(self.terms.clone());
        Record { id: self.id.clone(), line: 0, structure: Ok(self.structure.clone()), extra, warnings: Vec::new() }
    }

    pub fn to_json(&self) -> Value {
        let mut map = structure_json(&self.structure);
        map.insert("id".into(), json!(self.id));
        map.insert("formula".into(), json!(self.formula));
        map.insert("group".into(), json!(self.group));
        map.insert("objective".into(), json!(self.objective));
        map.insert("terms".into(), Value::Object(self.terms.clone()));
        Value::Object(map)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let lattice: [[f64; 3]; 3] = serde_json::from_value(value.get("lattice")?.clone()).ok()?;
        let frac: Vec<[f64; 3]> = serde_json::from_value(value.get("frac_coords")?.clone()).ok()?;
        let symbols: Vec<String> = serde_json::from_value(value.get("species")?.clone()).ok()?;
        let species = symbols.iter().map(|s| Element::from_symbol(s)).collect::<Option<Vec<_>>>()?;
        Some(Self {
            id: value.get("id")?.as_str()?.to_owned(),
            formula: value.get("formula")?.as_str()?.to_owned(),
            group: u8::try_from(value.get("group")?.as_u64()?).ok()?,
            objective: value.get("objective")?.as_f64()?,
            terms: value.get("terms")?.as_object()?.clone(),
            structure: Structure::new(Lattice(lattice), species, frac).ok()?,
        })
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Iron with these terms.
    pub fn candidate(id: &str, terms: &[(&str, f64)]) -> Candidate {
        let lattice = Lattice([[2.8, 0.0, 0.0], [0.0, 2.8, 0.0], [0.0, 0.0, 2.8]]);
        let structure = Structure::new(lattice, vec![Element::from_symbol("Fe").unwrap()], vec![[0.0; 3]]).unwrap();
        let terms = terms.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        Candidate { id: id.into(), formula: "Fe".into(), group: 221, objective: 0.0, terms, structure }
    }

    pub fn id(candidate: &Candidate) -> &str {
        &candidate.id
    }
}
