//! Whether a composition is new.

use std::sync::Arc;

use super::{Cost, TermBatch, TermKind};
use crate::reward::{KnownCompositions, Outcome};

/// 1 if the reduced composition is not among the known ones, else 0.
#[derive(Clone, Debug)]
pub struct Novelty(Arc<KnownCompositions>);

impl Novelty {
    /// Novelty against these compositions.
    pub fn new(known: KnownCompositions) -> Self {
        Self(Arc::new(known))
    }
}

impl TermKind for Novelty {
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
        let novel = |formula: &&str| f64::from(u8::from(!self.0.contains(formula)));
        batch.formulas.iter().map(|formula| Outcome::Value(novel(formula))).collect()
    }
}
