//! Which structures of a list are repetitions.

use std::collections::HashMap;

use rayon::prelude::*;

use super::{ReducedStructure, StructureMatcher};
use crate::crystal::Element;

/// The distinct structures of a list, each with the row in which it occurs first.
///
/// A structure is a repetition if it is the same crystal as one of these; repetitions are not compared with each other, as in
/// pymatgen's `group_structures`.
#[derive(Debug)]
pub struct DistinctStructures {
    matcher: StructureMatcher,
    by_composition: HashMap<Formula, Vec<(usize, ReducedStructure)>>,
}

/// Elements with their amounts in lowest terms.
type Formula = Vec<(Element, usize)>;

impl DistinctStructures {
    /// None yet.
    pub fn new(matcher: StructureMatcher) -> Self {
        Self { matcher, by_composition: HashMap::new() }
    }

    /// The row of the first structure that is the same crystal; if there is none, `structure` is kept as that of `row`.
    pub fn first_or_insert(&mut self, row: usize, structure: ReducedStructure) -> Option<usize> {
        let known = self.by_composition.entry(structure.reduced_composition()).or_default();
        let same = |(_, other): &&(usize, ReducedStructure)| self.matcher.fit(other, &structure);
        if let Some((first, _)) = known.par_iter().find_first(same) {
            return Some(*first);
        }
        known.push((row, structure));
        None
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_composition.values().map(Vec::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_composition.is_empty()
    }
}
