//! The best crystals of a run.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::RunError;
use crate::crystal::{
    Composition, Element, Lattice, Orbits, Record, SpaceGroup, Structure, WriteError, write_structures,
};
use crate::train::StepRecord;

/// Candidates kept over a run.
const CANDIDATES: usize = 100;

/// A crystal that was scored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(into = "StoredCandidate", try_from = "StoredCandidate")]
pub struct Candidate {
    id: String,
    formula: String,
    group: u8,
    objective: f64,
    terms: Map<String, Value>,
    structure: Structure,
    /// Absent from the checkpoints of older programs.
    orbits: Option<Orbits>,
    /// What it relaxed to, where a term asked for it.
    relaxed: Option<Structure>,
}

/// A candidate in a checkpoint.
#[derive(Serialize, Deserialize)]
struct StoredCandidate {
    lattice: [[f64; 3]; 3],
    species: Vec<String>,
    frac_coords: Vec<[f64; 3]>,
    id: String,
    formula: String,
    group: u8,
    objective: f64,
    terms: Map<String, Value>,
    /// Wyckoff index of each orbit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wyckoff: Option<Vec<u8>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    relaxed: Option<StoredGeometry>,
}

/// A relaxed candidate in a checkpoint, but for the species.
#[derive(Serialize, Deserialize)]
struct StoredGeometry {
    lattice: [[f64; 3]; 3],
    frac_coords: Vec<[f64; 3]>,
}

/// The crystals with the highest objective: one per reduced formula and space group.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
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
}

/// Writes `NAME.csv` and `NAME.extxyz`, if there is anything to write, and the same of relaxed crystals as `NAME-relaxed`.
pub fn write_candidates(folder: &Path, name: &str, candidates: &[Candidate]) -> Result<(), RunError> {
    write_records(folder, name, candidates.iter().map(Candidate::record).collect())?;
    let relaxed = candidates.iter().filter_map(Candidate::relaxed_record).collect();
    write_records(folder, &format!("{name}-relaxed"), relaxed)
}

fn write_records(folder: &Path, name: &str, records: Vec<Record>) -> Result<(), RunError> {
    if records.is_empty() {
        return Ok(());
    }
    for extension in ["csv", "extxyz"] {
        let path = folder.join(format!("{name}.{extension}"));
        write_structures(&path, &records).map_err(|error| match error {
            WriteError::Create { source, .. } | WriteError::Io(source) => RunError::write(&path)(source),
            error => RunError::write(&path)(io::Error::other(error.to_string())),
        })?;
    }
    Ok(())
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
            orbits: Some(tokens.orbits()),
            relaxed: record.table.relaxed(row).cloned(),
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
        let (id, structure, orbits) = (self.id.clone(), Ok(self.structure.clone()), self.orbits.clone());
        Record { id, line: 0, structure, orbits, extra, warnings: Vec::new() }
    }

    /// The relaxed structure, whose symmetry is near the other's at best.
    fn relaxed_record(&self) -> Option<Record> {
        Some(Record { structure: Ok(self.relaxed.clone()?), orbits: None, ..self.record() })
    }
}

impl From<Candidate> for StoredCandidate {
    fn from(candidate: Candidate) -> Self {
        let Candidate { id, formula, group, objective, terms, structure, orbits, relaxed } = candidate;
        let relaxed = relaxed.map(|s| StoredGeometry { lattice: s.lattice.0, frac_coords: s.frac });
        let species = structure.species.iter().map(|element| element.symbol().to_owned()).collect();
        Self {
            lattice: structure.lattice.0,
            species,
            frac_coords: structure.frac,
            id,
            formula,
            group,
            objective,
            terms,
            wyckoff: orbits.map(|orbits| orbits.wyckoff),
            relaxed,
        }
    }
}

impl TryFrom<StoredCandidate> for Candidate {
    type Error = String;

    fn try_from(stored: StoredCandidate) -> Result<Self, String> {
        let StoredCandidate { lattice, species, frac_coords, id, formula, group, objective, terms, wyckoff, relaxed } =
            stored;
        if let Some((term, value)) = terms.iter().find(|(_, value)| !value.is_number()) {
            return Err(format!("`terms.{term}` = {value}: not a number"));
        }
        let element =
            |symbol: &String| Element::from_symbol(symbol).ok_or_else(|| format!("`{symbol}` is not an element"));
        let species = species.iter().map(element).collect::<Result<Vec<_>, _>>()?;
        let structure = |lattice, frac_coords| {
            Structure::new(Lattice(lattice), species.clone(), frac_coords).map_err(|error| error.to_string())
        };
        let relaxed = relaxed.map(|stored| structure(stored.lattice, stored.frac_coords)).transpose()?;
        let structure = structure(lattice, frac_coords)?;
        let orbits = wyckoff.map(|wyckoff| orbits(group, wyckoff, &structure)).transpose()?;
        Ok(Self { id, formula, group, objective, terms, structure, orbits, relaxed })
    }
}

/// Orbits of this group that the structure can have.
fn orbits(group: u8, wyckoff: Vec<u8>, structure: &Structure) -> Result<Orbits, String> {
    let group = SpaceGroup::new(group.into()).map_err(|error| error.to_string())?;
    let orbits = Orbits { group, wyckoff };
    match orbits.first_atoms(structure) {
        Some(_) => Ok(orbits),
        None => Err(format!("`wyckoff` = {:?}: not the orbits of {} atoms", orbits.wyckoff, structure.len())),
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
        Candidate {
            id: id.into(),
            formula: "Fe".into(),
            group: 221,
            objective: 0.0,
            terms,
            structure,
            orbits: None,
            relaxed: None,
        }
    }

    pub fn id(candidate: &Candidate) -> &str {
        &candidate.id
    }

    #[test]
    fn candidates_keep_their_symmetry_through_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let written = |candidate: &Candidate| {
            write_candidates(folder.path(), "c", std::slice::from_ref(candidate)).unwrap();
            std::fs::read_to_string(folder.path().join("c.csv")).unwrap()
        };
        let orbits = Orbits { group: SpaceGroup::new(221).unwrap(), wyckoff: vec![1] };
        let iron = Candidate { orbits: Some(orbits), ..candidate("a", &[]) };
        let stored = serde_json::to_value(&iron).unwrap();
        let restored: Candidate = serde_json::from_value(stored.clone()).unwrap();
        assert!(written(&restored).contains("'P m -3 m'") && written(&restored).contains("Fe Fe1 1 a 0 0 0 1"));
        let mut old = stored.clone();
        old.as_object_mut().unwrap().remove("wyckoff");
        assert!(written(&serde_json::from_value(old).unwrap()).contains("'P 1'"));
        let mut wrong = stored;
        wrong["wyckoff"] = json!([3]);
        let error = serde_json::from_value::<Candidate>(wrong).unwrap_err().to_string();
        assert_eq!(error, "`wyckoff` = [3]: not the orbits of 1 atoms");
    }
}
