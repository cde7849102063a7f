//! What a relaxation needs to know of a potential.

use crate::crystal::Structure;
use crate::model::{EvaluationError, ForceModel, Response};

/// Energy (eV per cell), forces and stress of a crystal.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// eV per cell.
    pub energy: f64,
    /// Its derivatives.
    pub response: Response,
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
