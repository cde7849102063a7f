//! Whether a crystal is new: its composition, or its structure.

use std::sync::Arc;

use rayon::prelude::*;

use super::{Cost, TermBatch, TermKind};
use crate::crystal::Structure;
use crate::matching::{StructureIndex, StructureMatcher};
use crate::reward::{Failure, KnownCompositions, Outcome};

/// 1 if the reduced composition is not among the known ones, else 0.
#[derive(Clone, Debug)]
pub struct Novelty(Arc<KnownCompositions>);

/// 1 if no known structure is the same crystal, else 0.
#[derive(Clone, Debug)]
pub struct StructureNovelty(Arc<StructureIndex>);

impl Novelty {
    /// Novelty against these compositions.
    pub fn new(known: KnownCompositions) -> Self {
        Self(Arc::new(known))
    }
}

impl StructureNovelty {
    /// Novelty against these structures, which are compared as pymatgen's `StructureMatcher` does by default.
    pub fn new(known: StructureIndex) -> Self {
        Self(Arc::new(known))
    }

    fn value(&self, structure: &Structure) -> Result<f64, Failure> {
        let failed = |error: &dyn std::fmt::Display| Failure::Comparison(error.to_string());
        let reduced = StructureMatcher::default().reduce(structure).map_err(|error| failed(&error))?;
        let found = self.0.find(&reduced).map_err(|error| failed(&error))?;
        Ok(f64::from(u8::from(found.is_none())))
    }
}

impl TermKind for Novelty {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        let novel = |formula: &&str| f64::from(u8::from(!self.0.contains(formula)));
        batch.formulas.iter().map(|formula| Outcome::Value(novel(formula))).collect()
    }
}

impl TermKind for StructureNovelty {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn range(&self) -> [f64; 2] {
        [0.0, 1.0]
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.structures.par_iter().map(|structure| self.value(structure).into()).collect()
    }
}
