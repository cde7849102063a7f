//! How far the atoms of a crystal move when it is relaxed.

use super::{Cost, TermBatch, TermKind};
use crate::reward::{Outcome, Relaxation};

/// Root mean square displacement of the atoms, angstrom.
#[derive(Clone, Debug)]
pub struct DisplacementTerm {
    relaxation: Relaxation,
}

impl DisplacementTerm {
    /// The displacement in a relaxation.
    pub fn new(relaxation: Relaxation) -> Self {
        Self { relaxation }
    }
}

impl TermKind for DisplacementTerm {
    fn relaxation(&self) -> Option<&Relaxation> {
        Some(&self.relaxation)
    }

    fn cost(&self) -> Cost {
        Cost::Relaxation
    }

    fn range(&self) -> [f64; 2] {
        [0.0, f64::INFINITY]
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.displacements.iter().map(|&displacement| Outcome::Value(displacement)).collect()
    }
}
