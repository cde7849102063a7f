//! One batch as it is, with every output whole: what a check of the model needs to see.

use super::feed::{self, Prepared};
use super::{LARGEST_LIST, OnnxModel, scalars};
use crate::crystal::Structure;
use crate::graph::Tensor;
use crate::reward::{Failure, ModelOutput, OutputKind};

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
    ) -> Result<Vec<CrystalOutputs>, Failure> {
        let prepare = |structure: &&Structure| feed::prepare(structure, &self.contract, LARGEST_LIST);
        let mut batch: Vec<Prepared> = structures.iter().map(prepare).collect::<Result<_, _>>()?;
        if let Some(crystal) = poisoned.and_then(|index| batch.get_mut(index)) {
            crystal.poison();
        }
        let outputs: Vec<&ModelOutput> = self.contract.outputs.iter().collect();
        let tensors = self.run_tensors(&batch, &outputs).map_err(Failure::Model)?;
        let mut rows: Vec<CrystalOutputs> = vec![Vec::with_capacity(outputs.len()); batch.len()];
        for (output, tensor) in outputs.iter().zip(&tensors) {
            let values = split(output, tensor, &batch).map_err(Failure::Model)?;
            rows.iter_mut().zip(values).for_each(|(row, values)| row.push(values));
        }
        Ok(rows)
    }
}

/// The numbers of one output, crystal by crystal.
fn split(output: &ModelOutput, tensor: &Tensor, batch: &[Prepared]) -> Result<Vec<Vec<f64>>, String> {
    let lengths: Vec<usize> = match output.kind {
        OutputKind::Forces => batch.iter().map(|crystal| 3 * crystal.atoms()).collect(),
        OutputKind::Magmoms => batch.iter().map(Prepared::atoms).collect(),
        OutputKind::Stress => vec![9; batch.len()],
        _ => return Ok(scalars(output, tensor, batch)?.into_iter().map(|value| vec![value]).collect()),
    };
    let values: Vec<f64> = match tensor {
        Tensor::F32(values) => values.iter().map(|x| f64::from(*x) * output.factor).collect(),
        Tensor::F64(values) => values.iter().map(|x| x * output.factor).collect(),
        other => return Err(format!("output `{}` has the element type {}", output.name, other.data_type())),
    };
    if values.len() != lengths.iter().sum::<usize>() {
        let (shape, atoms) = (tensor.shape(), batch.iter().map(Prepared::atoms).sum::<usize>());
        let crystals = batch.len();
        return Err(format!(
            "output `{}` has the shape {shape:?} for {crystals} crystals of {atoms} atoms",
            output.name
        ));
    }
    let mut rest = &values[..];
    let take = |length| {
        let (taken, left) = rest.split_at(length);
        rest = left;
        taken.to_vec()
    };
    Ok(lengths.into_iter().map(take).collect())
}
