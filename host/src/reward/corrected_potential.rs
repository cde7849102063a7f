//! A potential's energies, taken to another scale.

use std::sync::Arc;

use super::{Calculation, Correction, CorrectionError, EnergyScale, Failure, Uncorrected};
use crate::crystal::{Structure, map_ok};
use crate::model::{ModelError, OnnxModel};

/// A potential and the correction of its energies.
#[derive(Clone, Debug)]
pub struct CorrectedPotential {
    model: Arc<OnnxModel>,
    correction: Correction,
}

/// An energy with its correction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CorrectedEnergy {
    /// Before the correction, eV/atom.
    pub uncorrected_per_atom: f64,
    /// What the correction adds, eV per cell.
    pub correction: f64,
    /// Atoms in the cell.
    pub atoms: usize,
}

impl CorrectedEnergy {
    /// The corrected energy, eV/atom.
    pub fn per_atom(&self) -> f64 {
        self.uncorrected_per_atom + self.correction / self.atoms as f64
    }
}

impl CorrectedPotential {
    /// Puts a potential and a correction together. Whether the correction is made for the potential's energies, [`Self::scale`]
    /// says.
    ///
    /// # Errors
    /// [`ModelError::NoQuantity`] for a model that gives no energy.
    pub fn new(model: Arc<OnnxModel>, correction: Correction) -> Result<Self, ModelError> {
        model.quantity(Some("energy"))?;
        Ok(Self { model, correction })
    }

    /// The potential.
    pub fn model(&self) -> &Arc<OnnxModel> {
        &self.model
    }

    /// The correction.
    pub fn correction(&self) -> &Correction {
        &self.correction
    }

    /// The scale of the potential's own energies, if its file states it.
    pub fn uncorrected_scale(&self) -> Option<EnergyScale> {
        self.model.contract().energy_reference.as_deref().map(EnergyScale::named)
    }

    /// The scale of the corrected energies, if the potential's file states its own.
    ///
    /// # Errors
    /// [`CorrectionError::Potential`] or [`CorrectionError::NoReference`] for a correction that is not made for such energies.
    pub fn scale(&self) -> Result<Option<EnergyScale>, CorrectionError> {
        self.correction.scale_of(self.model.contract())
    }

    /// The energies of structures as the Materials Project would compute them, in their order.
    pub fn energies(&self, structures: &[&Structure]) -> Vec<Result<CorrectedEnergy, Failure>> {
        let energies = self.model.evaluate(structures, &["energy"]).into_iter();
        let energies = energies.zip(structures).map(|(row, structure)| Ok((*structure, row?[0]))).collect();
        let calculation = &Calculation::default();
        map_ok(energies, |known: Vec<(&Structure, f64)>| {
            let uncorrected =
                known.into_iter().map(|(structure, energy)| Uncorrected { structure, energy, calculation });
            self.correction.correct(&uncorrected.collect::<Vec<_>>())
        })
    }
}
