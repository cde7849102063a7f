//! How rare a composition is in its batch.

use super::{Cost, TermBatch, TermKind};
use crate::reward::Outcome;

/// 1 / n where n rows of the batch have the reduced composition, rows that a filter rejects included.
#[derive(Clone, Copy, Debug)]
pub struct Uniqueness;

impl TermKind for Uniqueness {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn needs_sane(&self) -> bool {
        false
    }

    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.copies.iter().map(|&copies| Outcome::Value(1.0 / copies as f64)).collect()
    }
}
