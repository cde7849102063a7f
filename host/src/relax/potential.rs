//! What a relaxation needs to know of a potential.

use crate::crystal::{Repeats, Structure};
use crate::model::{EvaluationError, ForceModel, Response};

/// Energy (eV per cell), forces and stress of a crystal.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// eV per cell.
    pub energy: f64,
    /// Its derivatives.
    pub response: Response,
}

impl Evaluation {
    /// Of a whole cell, from that of the smaller one that it repeats.
    pub(super) fn of_whole(self, repeats: &Repeats) -> Self {
        Self { energy: self.energy * repeats.copies() as f64, response: self.response.of_whole(repeats) }
    }
}

/// Something that evaluates crystals.
pub trait Potential {
    /// One row per crystal. A row does not depend on the others, beyond rounding.
    fn evaluate(&self, crystals: &[&Structure]) -> Vec<Result<Evaluation, EvaluationError>>;
}

impl Potential for ForceModel {
    fn evaluate(&self, crystals: &[&Structure]) -> Vec<Result<Evaluation, EvaluationError>> {
        let rows = Self::evaluate(self, crystals, &["energy"]).into_iter();
        rows.map(|row| row.map(|(energy, response)| Evaluation { energy: energy.into_iter().sum(), response }))
            .collect()
    }
}
