//! What a loss is to the policy: its gradient can be had for any function of log p.

use ndarray::{ArrayD, IxDyn};

use super::Hyperparameters;
use crate::graph::{Builder, DataType, Tensor, Value};

/// A loss, or an objective: a number that depends on the parameters through log p of the crystals of a batch alone.
///
/// It must be a sum over the crystals, because a batch is cut into groups whose gradients are added. A mean is a sum with weights.
pub trait Loss: Sync {
    /// Name of its gradient graph.
    const GRAPH: &'static str;
    /// Whether the network has dropout masks as inputs.
    const DROPOUT: bool;

    /// Adds the loss, a float64 scalar, to a graph. `logp` is log p of b crystals, float64 (b), in nats; what else it reads is
    /// declared with [`row_input`] and [`scalar_input`].
    fn build(b: &mut Builder, logp: Value) -> Value;

    /// Names of the row inputs that [`Loss::build`] declares, with a number for each crystal of the batch.
    fn row_inputs(&self) -> Vec<(&'static str, &[f64])>;

    /// Names of the scalar inputs that [`Loss::build`] declares, with their numbers.
    fn scalar_inputs(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }
}

/// Declares an input with a number for each crystal, float64 (b).
pub fn row_input(b: &mut Builder, name: &str) -> Value {
    let crystals = b.symbol("b");
    b.input(name, DataType::F64, &[crystals])
}

/// Declares an input that is one float64.
pub fn scalar_input(b: &mut Builder, name: &str) -> Value {
    b.input(name, DataType::F64, &[])
}

/// Factors on a network's activations in training: 0 for those that are dropped, else 1 / (1 - rate).
#[derive(Clone, Debug, PartialEq)]
pub struct DropoutMasks {
    /// (layers, heads or 1, T or 1, T or 1): on attention probabilities.
    pub attention: ArrayD<f32>,
    /// (layers, 2, crystals * T or 1, D or 1): on the outputs of attention and feed-forward block.
    pub residual: ArrayD<f32>,
}

impl DropoutMasks {
    /// Masks that drop nothing.
    pub fn none(hyper: &Hyperparameters) -> Self {
        let ones = |shape: [usize; 4]| ArrayD::ones(IxDyn(&shape));
        let layers = hyper.num_layers;
        Self { attention: ones([layers, 1, 1, 1]), residual: ones([layers, 2, 1, 1]) }
    }

    /// As inputs of a gradient graph.
    pub fn into_inputs(self) -> [(&'static str, Tensor); 2] {
        [("dropout_attention", self.attention.into()), ("dropout_residual", self.residual.into())]
    }
}
