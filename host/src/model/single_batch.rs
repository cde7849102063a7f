//! Evaluates a batch as it is and returns every output in full, for the checks of a model.

use super::graph_inputs::AtomGraph;
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
    /// The error of the first crystal that the model cannot take, or of the whole batch.
    pub fn evaluate_single_batch(
        &self,
        structures: &[&Structure],
        poisoned: Option<usize>,
    ) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let graph = |structure: &&Structure| AtomGraph::new(structure, &self.contract, LARGEST_LIST);
        let mut batch: Vec<AtomGraph> = structures.iter().map(graph).collect::<Result<_, _>>()?;
        if let Some(crystal) = poisoned.and_then(|index| batch.get_mut(index)) {
            crystal.poison();
        }
        self.every_output(&batch)
    }

    /// As [`Self::evaluate_single_batch`], but crystals with atoms that have no neighbour, which are errors everywhere else, are
    /// given to the model as well.
    ///
    /// # Errors
    /// The same.
    pub fn evaluate_with_isolated_atoms(
        &self,
        structures: &[&Structure],
    ) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let graph = |structure: &&Structure| AtomGraph::with_isolated_atoms(structure, &self.contract, LARGEST_LIST);
        let batch: Vec<AtomGraph> = structures.iter().map(graph).collect::<Result<_, _>>()?;
        self.every_output(&batch)
    }

    /// Every output for one crystal with neighbours up to another distance than the file's cutoff, angstrom.
    ///
    /// # Errors
    /// As [`Self::evaluate_single_batch`].
    pub(super) fn evaluate_with_cutoff(
        &self,
        structure: &Structure,
        cutoff: f64,
    ) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let mut contract = self.contract.clone();
        contract.cutoff = Some(cutoff);
        let graph = AtomGraph::new(structure, &contract, LARGEST_LIST)?;
        self.every_output(&[graph])
    }

    fn every_output(&self, batch: &[AtomGraph]) -> Result<Vec<CrystalOutputs>, EvaluationError> {
        let outputs: Vec<&ModelOutput> = self.contract.outputs.iter().collect();
        self.run(&self.engine, batch, &outputs)
    }
}
