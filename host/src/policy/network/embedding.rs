//! Tokens as vectors (spec section 4.2).
//!
//! A token's input layer acts on a concatenation such as [g | w | M]. The product is taken part by part: each embedding table is
//! multiplied with its rows of the layer once, so that a token costs a look-up instead of a product.

use ndarray::Array1;

use super::layers::Network;
use crate::graph::{Attributes, Builder, DataType, Value};

/// Projected embedding tables and what is left of the input layers.
pub(super) struct Embedding {
    /// (230, D) each: the space group's part of the tokens W, A, X, Y, Z, biases included.
    group: [Value; 5],
    /// (NW, D).
    letter: Value,
    /// (1, D): multiplies the multiplicity.
    multiplicity: Value,
    /// (NA, D).
    atom: Value,
    /// (2 Nf, D) each, rows [sin 1..Nf, cos 1..Nf].
    axes: [Value; 3],
}

impl Embedding {
    pub fn new(n: &mut Network) -> Self {
        let embed = n.hyper.embed_size as i64;
        let (letter_w, _) = n.weights(&n.names.letter.clone());
        let (atom_w, _) = n.weights(&n.names.atom.clone());
        let modules = [
            n.names.letter.clone(),
            n.names.atom.clone(),
            n.names.axes[0].clone(),
            n.names.axes[1].clone(),
            n.names.axes[2].clone(),
        ];
        let group = modules.map(|module| {
            let (w, bias) = n.weights(&module);
            let table = n.parameter("~/g_embeddings");
            let rows = n.b.slice(w, 0, 0, embed);
            let projected = n.b.matmul(table, rows);
            n.b.add(projected, bias)
        });
        let mut table = |name: &str, w: Value| {
            let table = n.parameter(name);
            let rows = n.b.slice(w, 0, embed, 2 * embed);
            n.b.matmul(table, rows)
        };
        let letter = table("~/w_embeddings", letter_w);
        let atom = table("~/a_embeddings", atom_w);
        let multiplicity = n.b.slice(letter_w, 0, 2 * embed, 2 * embed + 1);
        let axes = n.names.axes.clone().map(|module| fourier_rows(n, &module));
        Self { group, letter, multiplicity, atom, axes }
    }

    /// The group's part of a kind of token, for int64 indices 0..230 of any shape.
    pub fn group(&self, b: &mut Builder, kind: usize, group: Value) -> Value {
        b.gather(self.group[kind], group, 0)
    }

    /// Letters (...) and multiplicities (..., 1), without the group's part.
    pub fn letter(&self, b: &mut Builder, letter: Value, multiplicity: Value) -> Value {
        let own = b.gather(self.letter, letter, 0);
        let weighted = b.mul(multiplicity, self.multiplicity);
        b.add(own, weighted)
    }

    /// Elements (...), without the group's part.
    pub fn atom(&self, b: &mut Builder, atom: Value) -> Value {
        b.gather(self.atom, atom, 0)
    }

    /// Fractional coordinates (..., 1), float64, along an axis, without the group's part. Whole turns are taken
    /// off before float32 sees the angle: at 2 pi Nf its rounding would be the largest error of the network.
    pub fn coordinate(&self, b: &mut Builder, frequencies: usize, axis: usize, x: Value) -> Value {
        let turns = b.constant(Array1::from_shape_fn(frequencies, |f| (f + 1) as f64));
        let turns = b.mul(x, turns);
        let whole = b.node("Round", &[turns], Attributes::none());
        let part = b.sub(turns, whole);
        let part = b.cast(part, DataType::F32);
        let angles = b.mul_scalar(part, 2.0 * std::f64::consts::PI);
        let (sin, cos) = (b.sin(angles), b.cos(angles));
        let features = b.concat(&[sin, cos], -1);
        b.matmul(features, self.axes[axis])
    }
}

/// The rows of a coordinate's input layer, from [sin 1, cos 1, sin 2, cos 2, ...] to [sin 1..Nf, cos 1..Nf].
fn fourier_rows(n: &mut Network, module: &str) -> Value {
    let (embed, frequencies) = (n.hyper.embed_size as i64, n.hyper.Nf as i64);
    let width = n.hyper.model_size as i64;
    let (w, _) = n.weights(module);
    let rows = n.b.slice(w, 0, embed, embed + 2 * frequencies);
    let pairs = n.b.reshape(rows, &[frequencies, 2, width]);
    let turned = n.b.transpose(pairs, &[1, 0, 2]);
    n.b.reshape(turned, &[2 * frequencies, width])
}
