//! The CrystalFormer as an ONNX graph: embedding of tokens, transformer layers, and the four graphs made of them.
//!
//! Parameters are graph inputs under the reference's names, so that one graph serves every checkpoint. Activations stay two-dimensional,
//! (rows, width), except inside attention: every linear layer is then one matrix product.

mod attention;
mod decode;
mod embedding;
mod gradients;
mod layers;
mod likelihood;
mod names;
#[cfg(test)]
mod table;

pub use decode::{compact_graph, decode_graph};
pub use gradients::{logp_graph, nll_gradient_graph, no_dropout, ppo_gradient_graph};

/// Written into every graph, so that graphs of another form are never taken for ours.
const FORM: (&str, &str) = ("temper.policy_graph", "1");
