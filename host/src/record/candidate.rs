//! A crystal that is among the best of a run, and tables of such crystals.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::RunError;
use crate::crystal::{
    Composition, Element, Lattice, Orbits, Record, SpaceGroup, Structure, WriteError, write_structures,
};
use crate::train::StepRecord;

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
    /// What computed its terms; absent from the checkpoints of older programs.
    computed_by: Option<Arc<Value>>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    computed_by: Option<Value>,
}

/// A relaxed candidate in a checkpoint, but for the species.
#[derive(Serialize, Deserialize)]
struct StoredGeometry {
    lattice: [[f64; 3]; 3],
    frac_coords: Vec<[f64; 3]>,
}

/// Writes `NAME.csv` and `NAME.extxyz`, if there is anything to write, and the same of relaxed crystals as `NAME-relaxed`. Their
/// ranks are those of their order.
pub fn write_candidates<'a>(
    folder: &Path,
    name: &str,
    candidates: impl Iterator<Item = &'a Candidate> + Clone,
) -> Result<(), RunError> {
    write_records(folder, name, candidates.clone().zip(1..).map(|(c, rank)| c.record(rank)).collect())?;
    let relaxed = candidates.zip(1..).filter_map(|(c, rank)| c.relaxed_record(rank)).collect();
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
    pub fn of_step(record: &StepRecord, computed_by: &Arc<Value>) -> Vec<Self> {
        (0..record.samples.len()).filter_map(|row| Self::of_row(record, row, computed_by)).collect()
    }

    fn of_row(record: &StepRecord, row: usize, computed_by: &Arc<Value>) -> Option<Self> {
        let sample = &record.samples[row];
        let (structure, tokens) = (sample.structure.as_ref().ok()?, sample.tokens.as_ref()?);
        if !is_scored(record, row) {
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
            computed_by: Some(Arc::clone(computed_by)),
        })
    }

    pub fn objective(&self) -> f64 {
        self.objective
    }

    /// Reduced formula and space group.
    pub fn kind(&self) -> (&str, u8) {
        (&self.formula, self.group)
    }

    /// The structure that was scored: what it relaxed to, where a term asked for it.
    pub fn scored_structure(&self) -> &Structure {
        self.relaxed.as_ref().unwrap_or(&self.structure)
    }

    /// The value of a term.
    pub fn term(&self, name: &str) -> Option<f64> {
        self.terms.get(name)?.as_f64()
    }

    fn record(&self, rank: usize) -> Record {
        let mut extra = Map::new();
        extra.insert("rank".into(), json!(rank));
        extra.insert("formula".into(), json!(self.formula));
        extra.insert("spacegroup".into(), json!(self.group));
        extra.insert("objective".into(), json!(self.objective));
        extra.extend(self.terms.clone());
        extra.extend(self.computed_by.as_deref().map(|by| ("computed_by".to_owned(), by.clone())));
        let (id, structure, orbits) = (self.id.clone(), Ok(self.structure.clone()), self.orbits.clone());
        Record { id, line: 0, structure, orbits, extra, warnings: Vec::new() }
    }

    /// The relaxed structure, whose symmetry is near the other's at best.
    fn relaxed_record(&self, rank: usize) -> Option<Record> {
        Some(Record { structure: Ok(self.relaxed.clone()?), orbits: None, ..self.record(rank) })
    }
}

/// Whether every term of a row and the objective have a value, and no filter rejects it.
pub fn is_scored(record: &StepRecord, row: usize) -> bool {
    record.table.complete(row) && record.samples[row].not_finite.is_none()
}

impl From<Candidate> for StoredCandidate {
    fn from(candidate: Candidate) -> Self {
        let Candidate { id, formula, group, objective, terms, structure, orbits, relaxed, computed_by } = candidate;
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
            computed_by: computed_by.map(Arc::unwrap_or_clone),
        }
    }
}

impl TryFrom<StoredCandidate> for Candidate {
    type Error = String;

    fn try_from(stored: StoredCandidate) -> Result<Self, String> {
        let StoredCandidate { lattice, species, frac_coords, id, formula, group, objective, terms, .. } = stored;
        let StoredCandidate { wyckoff, relaxed, computed_by, .. } = stored;
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
        let computed_by = computed_by.map(Arc::new);
        Ok(Self { id, formula, group, objective, terms, structure, orbits, relaxed, computed_by })
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
            computed_by: None,
        }
    }

    /// Iron with these edges of a cell of right angles.
    pub fn cell(id: &str, objective: f64, group: u8, edges: [f64; 3], places: &[[f64; 3]]) -> Candidate {
        let lattice = Lattice([[edges[0], 0.0, 0.0], [0.0, edges[1], 0.0], [0.0, 0.0, edges[2]]]);
        let iron = Element::from_symbol("Fe").unwrap();
        let structure = Structure::new(lattice, vec![iron; places.len()], places.to_vec()).unwrap();
        Candidate { objective, group, structure, ..candidate(id, &[]) }
    }

    pub fn id(candidate: &Candidate) -> &str {
        &candidate.id
    }

    #[test]
    fn candidates_keep_their_symmetry_through_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let written = |candidate: &Candidate| {
            write_candidates(folder.path(), "c", std::iter::once(candidate)).unwrap();
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
