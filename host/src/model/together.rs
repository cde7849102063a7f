//! Evaluates a batch as it is and returns every output in full, for the checks of a model.

use super::feed::{self, Prepared};
use super::{EvaluationError, LARGEST_LIST, ModelOutput, OnnxModel};
use crate::crystal::Structure;

/// What a model gives for one crystal: the numbers of every output, in the contract's order and in our units. Energies are
/// of the cell, forces `[n, 3]` and stress `[3, 3]` in row-major order.
pub type CrystalOutputs = Vec<Vec<f64>>;

impl OnnxModel {
    /// Every output for crystals that are run as one batch: none is set aside, nothing is repeated, and numbers that are not
    /// finite are returned as they come. The crystal `poisoned` gets NaN for positions.
    ///
    /// # Errors
    /// The failure of the first crystal that cannot be fed, or of the whole batch.
    pub fn evaluate_together(
        &self,
        structures: &[&Structure],
        poisoned: Option<usize>,
    ) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let prepare = |structure: &&Structure| feed::prepare(structure, &self.contract, LARGEST_LIST);
        let mut batch: Vec<Prepared> = structures.iter().map(prepare).collect::<Result<_, _>>()?;
        if let Some(crystal) = poisoned.and_then(|index| batch.get_mut(index)) {
            crystal.poison();
        }
        self.every_output(&batch)
    }

    /// As [`Self::evaluate_together`], but crystals with atoms that have no neighbour, which are failures everywhere else, are
    /// given to the model as well.
    ///
    /// # Errors
    /// The same.
    pub fn evaluate_bare(&self, structures: &[&Structure]) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let prepare = |structure: &&Structure| feed::prepare_bare(structure, &self.contract, LARGEST_LIST);
        let batch: Vec<Prepared> = structures.iter().map(prepare).collect::<Result<_, _>>()?;
        self.every_output(&batch)
    }

    fn every_output(&self, batch: &[Prepared]) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let outputs: Vec<&ModelOutput> = self.contract.outputs.iter().collect();
        self.run(&self.engine, batch, &outputs)
    }
}
