//! The best crystals of a run, each once.

use std::path::Path;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::RunError;
use super::candidate::{Candidate, write_candidates};
use crate::matching::{ReducedStructure, StructureMatcher};

/// The different crystals with the highest objective, the best first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Candidate>", into = "Vec<Candidate>")]
pub struct Candidates(Vec<Ranked>);

/// Larger cells take too long to compare with all candidates of their formula.
const MOST_ATOMS: usize = 20;

/// A candidate, and the form in which it is compared with others of its formula, once it has been; `None` where it cannot be.
#[derive(Clone, Debug)]
struct Ranked {
    candidate: Candidate,
    reduced: OnceLock<Option<ReducedStructure>>,
}

impl Candidates {
    /// Adds crystals, of which the `most` best are kept. Of those that are the same crystal, the best stays, and the earlier of
    /// equals, so that a resumed run keeps the same ones.
    pub fn add(&mut self, scored: Vec<Candidate>, most: usize) {
        for candidate in scored {
            let last = most.checked_sub(1).and_then(|last| self.0.get(last)).map(Ranked::objective);
            if last.is_some_and(|last| candidate.objective() <= last) {
                continue;
            }
            let new = Ranked::new(candidate);
            let is_beaten = |kept: &Ranked| kept.objective() >= new.objective() && kept.is_the_same_as(&new);
            if self.0.iter().any(is_beaten) {
                continue;
            }
            self.0.retain(|kept| !kept.is_the_same_as(&new));
            let rank = self.0.partition_point(|kept| kept.objective() >= new.objective());
            self.0.insert(rank, new);
            self.0.truncate(most);
        }
        self.0.truncate(most);
    }

    pub fn write(&self, folder: &Path) -> Result<(), RunError> {
        write_candidates(folder, "candidates", self.0.iter().map(|ranked| &ranked.candidate))
    }
}

impl Ranked {
    fn new(candidate: Candidate) -> Self {
        Self { candidate, reduced: OnceLock::new() }
    }

    fn reduced(&self) -> Option<&ReducedStructure> {
        let structure = self.candidate.scored_structure();
        let reduce = || match structure.len() <= MOST_ATOMS {
            true => StructureMatcher::default().reduce(structure).ok(),
            false => None,
        };
        self.reduced.get_or_init(reduce).as_ref()
    }

    fn objective(&self) -> f64 {
        self.candidate.objective()
    }

    /// Whether the two are one crystal; where that cannot be compared, whether formula and space group are the same.
    fn is_the_same_as(&self, other: &Self) -> bool {
        let ((formula, group), (other_formula, other_group)) = (self.candidate.kind(), other.candidate.kind());
        formula == other_formula
            && match (self.reduced(), other.reduced()) {
                (Some(own), Some(others)) => StructureMatcher::default().fit(own, others),
                _ => group == other_group,
            }
    }
}

impl From<Vec<Candidate>> for Candidates {
    fn from(candidates: Vec<Candidate>) -> Self {
        Self(candidates.into_iter().map(Ranked::new).collect())
    }
}

impl From<Candidates> for Vec<Candidate> {
    fn from(candidates: Candidates) -> Self {
        candidates.0.into_iter().map(|ranked| ranked.candidate).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::candidate::tests::{cell, id};
    use super::*;

    fn ids(candidates: &Candidates) -> Vec<&str> {
        candidates.0.iter().map(|ranked| id(&ranked.candidate)).collect()
    }

    /// Iron in a simple cubic cell, also doubled along an axis and as another group has it, and in a body-centred cell.
    #[test]
    fn of_one_crystal_however_described_the_best_is_kept() {
        let (corner, centre) = ([0.0; 3], [0.5; 3]);
        let mut candidates = Candidates::default();
        candidates.add(vec![cell("simple", 1.0, 221, [2.8; 3], &[corner])], 9);
        candidates.add(vec![cell("again", 1.0, 221, [2.8; 3], &[corner])], 9);
        candidates.add(vec![cell("worse", 0.5, 123, [2.8; 3], &[corner])], 9);
        candidates.add(vec![cell("centred", 0.7, 229, [3.6; 3], &[corner, centre])], 9);
        assert_eq!(ids(&candidates), ["simple", "centred"]);
        let doubled = cell("doubled", 2.0, 123, [2.8, 2.8, 5.6], &[corner, [0.0, 0.0, 0.5]]);
        candidates.add(vec![doubled], 9);
        assert_eq!(ids(&candidates), ["doubled", "centred"]);
        candidates.add(vec![cell("best", 3.0, 229, [3.6; 3], &[corner, centre])], 9);
        assert_eq!(ids(&candidates), ["best", "doubled"]);
        candidates.add(Vec::new(), 1);
        assert_eq!(ids(&candidates), ["best"]);
    }

    #[test]
    fn what_is_stored_is_restored_in_its_order() {
        let mut candidates = Candidates::default();
        let first = cell("a", 1.0, 221, [2.8; 3], &[[0.0; 3]]);
        candidates.add(vec![first, cell("b", 2.0, 229, [3.6; 3], &[[0.0; 3], [0.5; 3]])], 9);
        let stored = serde_json::to_value(&candidates).unwrap();
        let restored: Candidates = serde_json::from_value(stored).unwrap();
        assert_eq!(ids(&restored), ["b", "a"]);
    }
}
