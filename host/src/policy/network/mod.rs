//! The CrystalFormer as an ONNX graph: embedding of tokens, transformer layers, distributions, and the graphs made of them.
//!
//! Parameters are graph inputs under the reference's names, so that one graph serves every checkpoint. Activations stay two-dimensional,
//! (rows, width), except inside attention: every linear layer is then one matrix product.

mod attention;
mod decode;
mod distributions;
mod embedding;
mod gradients;
mod inputs;
mod layers;
mod likelihood;
mod names;
mod transformer;

pub use decode::{compact_graph, decode_graph};
pub use gradients::{
    logp_graph, loss_gradient_graph, masked_logp_graph, masked_loss_gradient_graph, summed_loss_gradient_graph,
};
pub use inputs::ElementMask;
