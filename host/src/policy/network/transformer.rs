//! The transformer: layers of two residual blocks each, attention and feed-forward, with a layer norm before each block.

use super::attention::{Attention, Causal};
use super::layers::Network;
use super::names::LayerNames;
use crate::graph::{DataType, Dim, Value};

/// Dropout masks, already scaled by 1 / (1 - rate).
#[derive(Clone, Copy)]
pub(super) struct Dropout {
    /// (layers, heads or 1, T or 1, T or 1): on attention probabilities.
    attention: Value,
    /// (layers, 2, rows or 1, D or 1): on the outputs of attention and of the feed-forward block.
    residual: Value,
}

impl Dropout {
    /// Declares the masks as inputs of the graph.
    pub fn declare(n: &mut Network) -> Self {
        let layers = Dim::Known(n.hyper.num_layers as i64);
        let b = &mut n.b;
        let attention = ["heads_or_1", "queries_or_1", "keys_or_1"].map(|name| b.symbol(name));
        let residual = ["rows_or_1", "width_or_1"].map(|name| b.symbol(name));
        let attention = [&[layers], &attention[..]].concat();
        let residual = [&[layers, Dim::Known(2)], &residual[..]].concat();
        Self {
            attention: b.input("dropout_attention", DataType::F32, &attention),
            residual: b.input("dropout_residual", DataType::F32, &residual),
        }
    }
}

/// All layers, without the final norm. `h` is (rows, D).
pub(super) fn transformer(n: &mut Network, mut h: Value, causal: &Causal, dropout: Option<Dropout>) -> Value {
    let layers = std::mem::take(&mut n.names.layers);
    for (index, names) in layers.iter().enumerate() {
        h = layer(n, h, names, index, causal, dropout);
    }
    n.names.layers = layers;
    h
}

fn layer(
    n: &mut Network,
    h: Value,
    names: &LayerNames,
    index: usize,
    causal: &Causal,
    dropout: Option<Dropout>,
) -> Value {
    let normed = n.norm(&names.attention_norm, h);
    let probabilities = dropout.map(|d| mask(n, d.attention, &[index as i64]));
    let attended = Attention { name: &names.attention, causal, dropout: probabilities }.apply(n, normed);
    let attended = dropped(n, attended, dropout, index, 0);
    let h = n.b.add(h, attended);
    let normed = n.norm(&names.feed_norm, h);
    let fed = n.feed_forward(&names.feed, normed);
    let fed = dropped(n, fed, dropout, index, 1);
    n.b.add(h, fed)
}

/// The output of a block of a layer times its mask.
fn dropped(n: &mut Network, x: Value, dropout: Option<Dropout>, layer: usize, block: i64) -> Value {
    let Some(dropout) = dropout else { return x };
    let mask = mask(n, dropout.residual, &[layer as i64, block]);
    n.b.mul(x, mask)
}

/// The part of a stack of masks at leading indices.
fn mask(n: &mut Network, stack: Value, at: &[i64]) -> Value {
    at.iter().fold(stack, |mask, index| {
        let index = n.b.constant(ndarray::arr0(*index));
        n.b.gather(mask, index, 0)
    })
}
