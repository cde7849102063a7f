//! How rare a crystal is in its batch: its composition, or its structure.

use rayon::prelude::*;

use super::{Cost, TermBatch, TermKind};
use crate::matching::{DistinctStructures, StructureMatcher};
use crate::reward::{Failure, Outcome};

/// 1 / n where n rows of the batch have the reduced composition, rows that a filter rejects included.
#[derive(Clone, Copy, Debug)]
pub struct Uniqueness;

/// 1 / n where n rows of the batch are the same crystal, rows that a filter rejects included.
#[derive(Clone, Copy, Debug)]
pub struct StructureUniqueness;

impl TermKind for Uniqueness {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.copies.iter().map(|&copies| Outcome::Value(1.0 / copies as f64)).collect()
    }
}

impl TermKind for StructureUniqueness {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        let matcher = StructureMatcher::default();
        let reduced: Vec<_> = batch.all.par_iter().map(|(structure, _)| matcher.reduce(structure)).collect();
        let mut distinct = DistinctStructures::new(matcher);
        // The crystal that each is the same as, and how many rows each crystal has.
        let mut same_as = Vec::with_capacity(reduced.len());
        let mut rows = vec![0; reduced.len()];
        for (place, (reduced, (_, copies))) in reduced.into_iter().zip(batch.all).enumerate() {
            let first = reduced.map(|structure| distinct.first_or_insert(place, structure).unwrap_or(place));
            if let Ok(first) = first {
                rows[first] += copies;
            }
            same_as.push(first);
        }
        let value = |place: &usize| match &same_as[*place] {
            Ok(first) => Outcome::Value(1.0 / rows[*first] as f64),
            Err(error) => Outcome::Failed(Failure::Comparison(error.to_string())),
        };
        batch.places.iter().map(value).collect()
    }
}
