//! The best crystals of a run, and their cells.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::Value;

use super::periodic_table::period;
use crate::crystal::{Element, Record, Structure, read_structures};
use crate::figures::{Sphere, box_of_spheres};
use crate::matching::{ReducedStructure, StructureMatcher};

/// Crystals that are read of each run.
const MOST: usize = 100;
/// Spheres of a picture: beyond that, it would show none of them.
const MOST_SPHERES: usize = 300;
/// Atoms of the cells that are compared: larger ones take too long.
const MOST_COMPARED: usize = 100;
/// How near to a face of the cell an atom is shown on the other side too, fractional.
const AT_FACE: f64 = 0.01;

/// A crystal of `candidates.extxyz`.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its name in the run.
    pub id: String,
    /// Reduced formula, as the file has it.
    pub formula: String,
    /// Space group, as the file has it.
    pub group: String,
    /// What it counts as.
    pub objective: Option<f64>,
    /// What else the file says of it.
    pub others: Vec<(String, String)>,
    /// The crystal.
    pub structure: Structure,
    /// The form in which it is compared with others, once it has been; `None` where it cannot be.
    reduced: OnceLock<Option<ReducedStructure>>,
}

/// The candidates of a run, the best first.
pub fn read_candidates(run: &Path, notes: &mut Vec<String>) -> Vec<Candidate> {
    let path = run.join("candidates.extxyz");
    if !path.exists() {
        return Vec::new();
    }
    let records = match read_structures(&path) {
        Ok(records) => records,
        Err(error) => {
            notes.push(error.to_string());
            return Vec::new();
        }
    };
    let mut candidates = Vec::new();
    for record in records.take(MOST) {
        let candidate = record.map_err(|error| error.to_string()).and_then(candidate);
        match candidate {
            Ok(candidate) => candidates.push(candidate),
            Err(error) => notes.push(format!("{}: {error}", path.display())),
        }
    }
    candidates
}

fn candidate(mut record: Record) -> Result<Candidate, String> {
    let structure = record.structure.map_err(|error| format!("{}: {error}", record.id))?;
    let mut text = |key: &str| record.extra.shift_remove(key).map(|value| words(&value));
    let (formula, group) = (text("formula").unwrap_or_default(), text("spacegroup").unwrap_or_default());
    // The order says the one, and the page the other.
    drop((text("rank"), text("computed_by")));
    let objective = text("objective").and_then(|text| text.parse().ok()).filter(|x: &f64| x.is_finite());
    let others = record.extra.iter().map(|(key, value)| (key.clone(), words(value))).collect();
    Ok(Candidate { id: record.id, formula, group, objective, others, structure, reduced: OnceLock::new() })
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Candidate {
    /// Whether the two are one crystal; where that cannot be compared, whether formula and space group are the same.
    pub fn is_the_same_as(&self, other: &Self) -> bool {
        self.formula == other.formula
            && match (self.reduced(), other.reduced()) {
                (Some(own), Some(others)) => StructureMatcher::default().fit(own, others),
                _ => self.group == other.group,
            }
    }

    fn reduced(&self) -> Option<&ReducedStructure> {
        let is_small = self.structure.len() <= MOST_COMPARED;
        let reduce = || is_small.then(|| StructureMatcher::default().reduce(&self.structure).ok()).flatten();
        self.reduced.get_or_init(reduce).as_ref()
    }

    /// A picture of its cell, if it is not too full for one.
    pub fn cell(&self) -> Option<String> {
        let mut kinds: Vec<Element> = Vec::new();
        for element in &self.structure.species {
            if !kinds.contains(element) {
                kinds.push(*element);
            }
        }
        let mut spheres = Vec::new();
        for (element, frac) in self.structure.species.iter().zip(&self.structure.frac) {
            let kind = kinds.iter().position(|other| other == element).unwrap_or(0);
            // Atoms have no size; heavier ones are drawn larger.
            let radius = 0.35 + 0.07 * period(*element) as f64;
            let sphere = |frac| Sphere { centre: self.structure.lattice.cartesian(frac), radius, kind };
            spheres.extend(with_images(*frac).into_iter().map(sphere));
        }
        let names: Vec<String> = kinds.iter().map(|element| element.symbol().to_owned()).collect();
        (spheres.len() <= MOST_SPHERES).then(|| box_of_spheres(self.structure.lattice.0, &spheres, &names))
    }
}

/// A point in the cell, and its images on the faces opposite.
fn with_images(frac: [f64; 3]) -> Vec<[f64; 3]> {
    let mut images = vec![frac.map(|x| if x.rem_euclid(1.0) > 1.0 - AT_FACE { 0.0 } else { x.rem_euclid(1.0) })];
    for axis in 0..3 {
        let at_face: Vec<[f64; 3]> = images.iter().copied().filter(|image| image[axis] < AT_FACE).collect();
        images.extend(at_face.into_iter().map(|mut image| {
            image[axis] += 1.0;
            image
        }));
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atoms_at_the_faces_are_shown_on_both_sides() {
        assert_eq!(with_images([0.0; 3]).len(), 8);
        assert_eq!(with_images([0.5, 0.5, 0.999]), [[0.5, 0.5, 0.0], [0.5, 0.5, 1.0]]);
        assert_eq!(with_images([0.25, -0.25, 1.5]), [[0.25, 0.75, 0.5]]);
    }
}
