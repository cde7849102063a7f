//! The likelihood graphs: log p, and the gradient of any loss over it.

use super::inputs::{ElementMask, Inputs};
use super::layers::Network;
use super::likelihood::likelihood;
use super::transformer::Dropout;
use crate::graph::onnx::ModelProto;
use crate::graph::{DataType, Dim, GraphError, Value};
use crate::policy::{Hyperparameters, Loss};

/// log p of a batch: outputs `logp_w, logp_xyz, logp_a, logp_l, logp`, float64 (b) each.
///
/// # Errors
/// [`GraphError`] is our mistake: any hyper-parameters that pass their check make a graph.
pub fn logp_graph(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    masked_logp_graph(hyper, ElementMask::OfPolicy)
}

/// The same with a mask of elements in the form that a restriction needs.
///
/// # Errors
/// As [`logp_graph`].
pub fn masked_logp_graph(hyper: &Hyperparameters, mask: ElementMask) -> Result<ModelProto, GraphError> {
    let mut n = Network::new(hyper);
    let inputs = Inputs::declare(&mut n, mask);
    let logp = likelihood(&mut n, &inputs, None);
    logp.declare(&mut n.b);
    n.finish("logp")
}

/// The gradient of a loss: its own outputs, those of [`logp_graph`], and `grad/NAME` for every parameter.
///
/// Further inputs: those that the loss declares, and for a loss with dropout the masks `dropout_attention` float32 (layers, H
/// or 1, T or 1, T or 1) and `dropout_residual` float32 (layers, 2, rows or 1, D or 1).
///
/// # Errors
/// As [`logp_graph`], or a loss that cannot be built or differentiated.
pub fn loss_gradient_graph<L: Loss>(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    masked_loss_gradient_graph::<L>(hyper, ElementMask::OfPolicy)
}

/// The same with a mask of elements in the form that a restriction needs.
///
/// # Errors
/// As [`loss_gradient_graph`].
pub fn masked_loss_gradient_graph<L: Loss>(
    hyper: &Hyperparameters,
    mask: ElementMask,
) -> Result<ModelProto, GraphError> {
    let (mut n, gradients) = differentiated::<L>(hyper, mask)?;
    for (name, gradient) in gradients {
        n.b.output(&format!("grad/{name}"), gradient);
    }
    n.finish(L::GRAPH)
}

/// The same for batches that are cut into groups on a device that keeps the sum of their gradients: every `grad/NAME` is the group's
/// gradient added to the input `before/NAME`, which is of that shape, or of one element.
///
/// # Errors
/// As [`loss_gradient_graph`].
pub fn summed_loss_gradient_graph<L: Loss>(
    hyper: &Hyperparameters,
    mask: ElementMask,
) -> Result<ModelProto, GraphError> {
    let (mut n, gradients) = differentiated::<L>(hyper, mask)?;
    let b = &mut n.b;
    for (name, gradient) in gradients {
        let rank = b.facts(gradient).rank().unwrap_or(0);
        let extents: Vec<Dim> = (0..rank).map(|axis| b.symbol(&format!("before/{name}/{axis}"))).collect();
        let before = b.input(&format!("before/{name}"), DataType::F32, &extents);
        let sum = b.add(before, gradient);
        b.output(&format!("grad/{name}"), sum);
    }
    n.finish(L::GRAPH)
}

/// The network with a loss, and the loss's derivative by each parameter.
fn differentiated<L: Loss>(
    hyper: &Hyperparameters,
    mask: ElementMask,
) -> Result<(Network<'_>, Vec<(String, Value)>), GraphError> {
    let mut n = Network::new(hyper);
    let inputs = Inputs::declare(&mut n, mask);
    let dropout = L::DROPOUT.then(|| Dropout::declare(&mut n));
    let logp = likelihood(&mut n, &inputs, dropout);
    let loss = L::build(&mut n.b, logp.total);
    logp.declare(&mut n.b);
    let (names, parameters): (Vec<String>, Vec<Value>) = n.parameters.iter().cloned().unzip();
    let gradients = n.b.differentiate(loss, &parameters)?;
    Ok((n, names.into_iter().zip(gradients).collect()))
}
