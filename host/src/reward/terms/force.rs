//! How far a crystal is from rest: the size of the forces on its atoms and of the stress on its cell.

use std::sync::Arc;

use super::{Cost, TermBatch, TermKind};
use crate::model::{ForceModel, Response};
use crate::reward::{ModelRequest, Outcome};

/// How forces and stress become one number: `ln(mean |F| + weight * mean |stress|)`, after each |F| (eV/A, one per atom) and each
/// of the six components of the stress (eV/A^3) has been clipped. The defaults are those of CrystalFormer's reference code,
/// which adds the numbers as they are in these units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForceScale {
    /// What the mean stress is multiplied with, A^2.
    pub stress_weight: f64,
    /// Lower and upper end of |F|, eV/A.
    pub force_clip: [f64; 2],
    /// Lower and upper end of a component of the stress, eV/A^3.
    pub stress_clip: [f64; 2],
}

impl Default for ForceScale {
    fn default() -> Self {
        Self { stress_weight: 1.0, force_clip: [0.01, 100.0], stress_clip: [0.01, 100.0] }
    }
}

impl ForceScale {
    /// The term's value for a crystal.
    pub fn value(&self, response: &Response) -> f64 {
        let force = clipped_mean(response.force_magnitudes(), self.force_clip);
        let stress = clipped_mean(response.voigt().into_iter().map(f64::abs), self.stress_clip);
        (force + self.stress_weight * stress).ln()
    }

    /// The largest value: what the reference gives a crystal that its potential cannot evaluate.
    pub fn worst(&self) -> f64 {
        (self.force_clip[1] + self.stress_weight * self.stress_clip[1]).ln()
    }
}

fn clipped_mean(values: impl ExactSizeIterator<Item = f64>, [low, high]: [f64; 2]) -> f64 {
    let count = values.len() as f64;
    values.map(|x| x.max(low).min(high)).sum::<f64>() / count
}

/// A potential with forces, and the scale of the term.
#[derive(Clone, Debug)]
pub struct ForceTerm {
    model: Arc<ForceModel>,
    scale: ForceScale,
}

impl ForceTerm {
    /// Puts them together.
    pub fn new(model: Arc<ForceModel>, scale: ForceScale) -> Self {
        Self { model, scale }
    }
}

impl TermKind for ForceTerm {
    fn request(&self) -> Option<ModelRequest> {
        Some(ModelRequest::Response(Arc::clone(&self.model)))
    }

    fn cost(&self) -> Cost {
        Cost::Forces
    }

    fn range(&self) -> [f64; 2] {
        [f64::NEG_INFINITY, self.scale.worst()]
    }

    fn worst(&self) -> Option<f64> {
        Some(self.scale.worst())
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.responses.iter().map(|response| Outcome::Value(self.scale.value(response))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(forces: &[[f64; 3]], stress: [[f64; 3]; 3]) -> Response {
        Response { forces: forces.to_vec(), stress }
    }

    #[test]
    fn the_value_is_that_of_the_reference_formula() {
        // Worked by hand: |F| = 5, 0 -> 0.01, 300 -> 100; |stress| of xx, yy, zz, yz, xz, xy = 2, 1, 0 -> 0.01, 0.5, 0.25, 0.125.
        let one = response(
            &[[3.0, 0.0, 4.0], [0.0; 3], [0.0, -300.0, 0.0]],
            [[2.0, -0.125, 0.25], [-0.125, -1.0, 0.5], [0.25, 0.5, 0.0]],
        );
        let (force, stress): (f64, f64) = (105.01 / 3.0, 3.885 / 6.0);
        let scale = ForceScale::default();
        assert!((scale.value(&one) - (force + stress).ln()).abs() < 1e-12);
        let heavy = ForceScale { stress_weight: 10.0, ..scale };
        assert!((heavy.value(&one) - (force + 10.0 * stress).ln()).abs() < 1e-12);
    }

    #[test]
    fn values_lie_between_rest_and_the_worst() {
        let scale = ForceScale::default();
        let rest = response(&[[0.0; 3]; 2], [[0.0; 3]; 3]);
        assert!((scale.value(&rest) - 0.02_f64.ln()).abs() < 1e-12);
        let wild = response(&[[1e30; 3]], [[-1e30; 3]; 3]);
        assert_eq!(scale.value(&wild), scale.worst());
        assert!((scale.worst() - 200.0_f64.ln()).abs() < 1e-12);
    }
}
