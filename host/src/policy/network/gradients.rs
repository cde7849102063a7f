//! The three likelihood graphs: log p, the gradient of the mean negative log-likelihood, and of the PPO objective.

use ndarray::{ArrayD, IxDyn};

use super::FORM;
use super::layers::{Dropout, Network};
use super::likelihood::{Inputs, LogP, likelihood};
use crate::graph::onnx::ModelProto;
use crate::graph::{Builder, DataType, Dim, GraphError, Tensor, Value};
use crate::policy::Hyperparameters;

/// log p of a batch: outputs `logp_w, logp_xyz, logp_a, logp_l, logp`, float64 (b) each.
///
/// # Errors
/// [`GraphError`] is our mistake: any hyper-parameters that pass their check make a graph.
pub fn logp_graph(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    let mut n = Network::new(hyper);
    let inputs = Inputs::declare(&mut n);
    let logp = likelihood(&mut n, &inputs, None);
    logp.declare(&mut n.b);
    n.b.finish("logp", &[FORM])
}

/// Gradient of `sum(row_weight * -logp)`: the outputs of [`logp_graph`] and `grad/NAME` for every parameter.
///
/// Further inputs: `row_weight` float64 (b); the dropout masks `dropout_attention` (layers, H or 1, T or 1, T or 1) and
/// `dropout_residual` (layers, 2, rows or 1, D or 1), which are [`no_dropout`] when there is none.
///
/// # Errors
/// As [`logp_graph`].
pub fn nll_gradient_graph(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    let mut n = Network::new(hyper);
    let inputs = Inputs::declare(&mut n);
    let row_weight = row_input(&mut n.b, "row_weight");
    let dropout = dropout_inputs(&mut n);
    let logp = likelihood(&mut n, &inputs, Some(dropout));
    let weighted = n.b.mul(logp.total, row_weight);
    let negative = n.b.neg(weighted);
    let loss = n.b.sum_all(negative);
    finish_with_gradients(n, "nll_grad", loss, &logp)
}

/// Gradient of the PPO objective `sum(row_weight * min(r A', clip(r, 1 - eps, 1 + eps) A'))`, to be ascended, with
/// `r = exp(logp - old_logp)` and `A' = advantage - beta (logp - base_logp)` (spec section 8; Schulman et al. 2017, eq. 7).
///
/// `beta = 0` is the paper's form, where the KL term is part of the advantage; `beta = tau` the reference code's.
/// `row_weight`, `old_logp`, `base_logp`, `advantage` float64 (b); `clip` and `beta` float64 scalars.
/// Outputs: `objective` (a scalar), the outputs of [`logp_graph`], `grad/NAME` for every parameter.
///
/// # Errors
/// As [`logp_graph`].
pub fn ppo_gradient_graph(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    let mut n = Network::new(hyper);
    let inputs = Inputs::declare(&mut n);
    let [weight, old, base, advantage] =
        ["row_weight", "old_logp", "base_logp", "advantage"].map(|name| row_input(&mut n.b, name));
    let [clip, beta] = ["clip", "beta"].map(|name| n.b.input(name, DataType::F64, &[]));
    let logp = likelihood(&mut n, &inputs, None);
    let b = &mut n.b;
    let difference = b.sub(logp.total, old);
    let ratio = b.exp(difference);
    let drift = b.sub(logp.total, base);
    let penalty = b.mul(beta, drift);
    let advantage = b.sub(advantage, penalty);
    let one = b.scalar_like(ratio, 1.0);
    let (low, high) = (b.sub(one, clip), b.add(one, clip));
    let clipped = b.max(ratio, low);
    let clipped = b.min(clipped, high);
    let (free, bounded) = (b.mul(ratio, advantage), b.mul(clipped, advantage));
    let surrogate = b.min(free, bounded);
    let weighted = b.mul(surrogate, weight);
    let objective = b.sum_all(weighted);
    b.output("objective", objective);
    finish_with_gradients(n, "ppo_grad", objective, &logp)
}

fn row_input(b: &mut Builder, name: &str) -> Value {
    let crystals = b.symbol("b");
    b.input(name, DataType::F64, &[crystals])
}

fn dropout_inputs(n: &mut Network) -> Dropout {
    let layers = Dim::Known(n.hyper.num_layers as i64);
    let b = &mut n.b;
    let attention = ["heads_or_1", "queries_or_1", "keys_or_1"].map(|name| b.symbol(name));
    let residual = ["rows_or_1", "width_or_1"].map(|name| b.symbol(name));
    let attention = [&[layers], &attention[..]].concat();
    let residual = [&[layers, Dim::Known(2)], &residual[..]].concat();
    Dropout {
        attention: b.input("dropout_attention", DataType::F32, &attention),
        residual: b.input("dropout_residual", DataType::F32, &residual),
    }
}

/// The dropout inputs of [`nll_gradient_graph`] that drop nothing.
pub fn no_dropout(hyper: &Hyperparameters) -> Vec<(&'static str, Tensor)> {
    let layers = hyper.num_layers;
    vec![
        ("dropout_attention", ArrayD::<f32>::ones(IxDyn(&[layers, 1, 1, 1])).into()),
        ("dropout_residual", ArrayD::<f32>::ones(IxDyn(&[layers, 2, 1, 1])).into()),
    ]
}

fn finish_with_gradients(mut n: Network, name: &str, of: Value, logp: &LogP) -> Result<ModelProto, GraphError> {
    logp.declare(&mut n.b);
    let wrt: Vec<Value> = n.ordered.iter().map(|(_, v)| *v).collect();
    let grads = n.b.differentiate(of, &wrt)?;
    let names: Vec<String> = n.ordered.iter().map(|(name, _)| format!("grad/{name}")).collect();
    for (name, grad) in names.iter().zip(grads) {
        n.b.output(name, grad);
    }
    n.b.finish(name, &[FORM])
}

impl LogP {
    fn declare(&self, b: &mut Builder) {
        let parts = [self.w, self.xyz, self.a, self.l, self.total];
        for (name, value) in ["logp_w", "logp_xyz", "logp_a", "logp_l", "logp"].into_iter().zip(parts) {
            b.output(name, value);
        }
    }
}
