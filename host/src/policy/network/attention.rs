//! Causal multi-head attention with rotary positions (spec section 4.3; Su et al. 2021 for the rotation).
//!
//! Values are never projected: `sum_h P_h (x Wv_h) Wo_h = sum_h (P_h x) (Wv_h Wo_h)`, where all heads mix the same x (rows, D), and
//! the products of the weights do not depend on the batch. That saves a quarter of the arithmetic, and a decoder caches D numbers
//! a token instead of H K.

use std::ops::Range;

use ndarray::{Array1, Array3, arr1};

use super::layers::Network;
use crate::graph::{Attributes, Builder, DataType, Dim, Value};

/// Heads that are computed at a time: what four of them make of a group of crystals is small enough for a core's cache, and the
/// sum over all heads of their parts of a vector is taken part by part, which rounds less.
const HEADS_PER_GROUP: usize = 4;

/// What all layers share: the rotation, the mask, and the run-time extents of the layouts.
pub(super) struct Causal {
    rotation: Rotation,
    /// (T, T): 0 where key <= query, -1e30 elsewhere.
    mask: Value,
    /// int64 [b, T].
    batch_and_length: Value,
    /// int64 [b, -1, T].
    stacked: Value,
    /// Symbols of crystals, tokens, and their product.
    dims: [Dim; 3],
}

impl Causal {
    /// Tables for token positions 0..T of `rows = b * T` rows.
    pub fn new(b: &mut Builder, key_size: usize, batch_and_length: Value, dims: [Dim; 3]) -> Self {
        let index = b.constant(ndarray::arr0(1i64));
        let length = b.gather(batch_and_length, index, 0);
        let positions = b.positions(length);
        b.assume_shape(positions, &[dims[1]]);
        let (queries, keys) = (b.unsqueeze(positions, &[1]), b.unsqueeze(positions, &[0]));
        let later = b.greater(keys, queries);
        let (none, hidden) = (b.scalar(0.0), b.scalar(-1e30));
        let mask = b.where_(later, hidden, none);
        let positions = b.cast(positions, DataType::F32);
        let rotation = Rotation::new(b, key_size, positions);
        let (crystals, any) = (b.slice(batch_and_length, 0, 0, 1), b.ints(&[-1]));
        let length = b.slice(batch_and_length, 0, 1, 2);
        let stacked = b.concat(&[crystals, any, length], 0);
        Self { rotation, mask, batch_and_length, stacked, dims }
    }
}

/// The rotation of queries and keys by their positions.
#[derive(Clone, Copy)]
pub(super) struct Rotation {
    /// int64 [0]: row of the tables of the first token.
    start: Value,
    /// (T, K/2): cosines of `position * 10000^(-2c/K)` times K^(-1/4), so that scores come out divided by sqrt(K).
    cos: Value,
    /// (T, K/2): sines, scaled likewise.
    sin: Value,
}

impl Rotation {
    /// For float32 positions (T). Angles are float32, as the reference makes them.
    pub fn new(b: &mut Builder, key_size: usize, positions: Value) -> Self {
        let half = key_size / 2;
        let frequency = |c: usize| 10000f64.powf(-(c as f64) / half as f64) as f32;
        let frequencies = b.constant(Array1::from_shape_fn(half, frequency));
        let positions = b.unsqueeze(positions, &[1]);
        let angles = b.mul(positions, frequencies);
        let scale = (key_size as f64).powf(-0.25);
        let (cos, sin) = (b.cos(angles), b.sin(angles));
        let (cos, sin) = (b.mul_scalar(cos, scale), b.mul_scalar(sin, scale));
        Self { start: b.constant(arr1(&[0i64])), cos, sin }
    }

    /// Rotates (b, heads, T, K).
    pub fn apply(&self, b: &mut Builder, x: Value) -> Value {
        let inputs = [x, self.start, self.cos, self.sin];
        b.node("com.microsoft.RotaryEmbedding", &inputs, Attributes::none().int("interleaved", 0))
    }
}

/// Values and output layer in one, for a mixture of the layer's normed inputs by each head.
pub(super) struct Output {
    /// (H D, D): `Wv_h Wo_h` of all heads below each other.
    weight: Value,
    /// (H, D): `bv_h Wo_h`, which counts as often as the head's probabilities sum up to.
    head_bias: Value,
    /// (D).
    bias: Value,
    /// D.
    width: i64,
}

impl Output {
    /// The product of the weights is taken in float64: its rounding would be among the largest of the layer, and it is small.
    pub fn new(n: &mut Network, name: &str) -> Self {
        let (heads, key) = (n.hyper.num_heads as i64, n.hyper.key_size as i64);
        let width = n.hyper.model_size as i64;
        let (values, value_bias) = n.weights(&format!("{name}/value"));
        let (output, bias) = n.weights(&format!("{name}/linear"));
        let b = &mut n.b;
        let [values, value_bias, output] = [values, value_bias, output].map(|w| b.cast(w, DataType::F64));
        let values = b.reshape(values, &[width, heads, key]);
        let values = b.transpose(values, &[1, 0, 2]);
        let output = b.reshape(output, &[heads, key, width]);
        let weight = b.matmul(values, output);
        let weight = b.reshape(weight, &[heads * width, width]);
        let value_bias = b.reshape(value_bias, &[heads, 1, key]);
        let head_bias = b.matmul(value_bias, output);
        let head_bias = b.reshape(head_bias, &[heads, width]);
        let [weight, head_bias] = [weight, head_bias].map(|w| b.cast(w, DataType::F32));
        Self { weight, head_bias, bias, width }
    }

    /// What some heads add, (rows, heads D) -> (rows, D), without any bias.
    pub fn part(&self, b: &mut Builder, mixed: Value, heads: &Range<usize>) -> Value {
        let weight = b.slice(self.weight, 0, heads.start as i64 * self.width, heads.end as i64 * self.width);
        b.matmul(mixed, weight)
    }

    /// Adds the biases to the sum of the parts, for probabilities whose sums (rows, H) are given, or are one.
    pub fn biased(&self, b: &mut Builder, parts: Value, sums: Option<Value>) -> Value {
        let share = match sums {
            Some(sums) => b.matmul(sums, self.head_bias),
            None => b.reduce_sum(self.head_bias, &[0], false),
        };
        let bias = b.add(share, self.bias);
        b.add(parts, bias)
    }
}

/// One attention block of a layer.
pub(super) struct Attention<'a> {
    pub name: &'a str,
    pub causal: &'a Causal,
    /// (heads or 1, T or 1, T or 1), multiplied onto the probabilities.
    pub dropout: Option<Value>,
}

impl Attention<'_> {
    /// (rows, D) -> (rows, D).
    pub fn apply(&self, n: &mut Network, x: Value) -> Value {
        let output = Output::new(n, self.name);
        let width = n.hyper.model_size as i64;
        let [crystals, tokens, _] = self.causal.dims;
        let by_crystal = self.shape(&mut n.b, &[width]);
        let vectors = n.b.reshape_to(x, by_crystal);
        n.b.assume_shape(vectors, &[crystals, tokens, Dim::Known(width)]);
        let mask = self.dropout.map(|mask| for_each_head(n, mask));
        let (mut parts, mut sums) = (Vec::new(), Vec::new());
        for heads in head_groups(n.hyper.num_heads) {
            let mut weights = self.probabilities(n, x, &heads);
            if let Some(mask) = mask {
                weights = self.dropped(&mut n.b, weights, mask, &heads);
                sums.push(self.sums(&mut n.b, weights, heads.len() as i64));
            }
            let mixed = self.mixed(&mut n.b, weights, vectors, heads.len() as i64, width);
            parts.push(output.part(&mut n.b, mixed, &heads));
        }
        let b = &mut n.b;
        let sums = mask.map(|_| b.concat(&sums, 1));
        let parts = total(b, &parts);
        output.biased(b, parts, sums)
    }

    /// (b, heads, T, T): how much of each earlier token goes into each.
    fn probabilities(&self, n: &mut Network, x: Value, heads: &Range<usize>) -> Value {
        let (queries, keys) = (self.rotated(n, x, "query", heads), self.rotated(n, x, "key", heads));
        let b = &mut n.b;
        let keys = b.transpose(keys, &[0, 1, 3, 2]);
        let scores = b.matmul(queries, keys);
        let scores = b.add(scores, self.causal.mask);
        b.softmax(scores, -1)
    }

    /// Probabilities times some heads' part of the mask.
    fn dropped(&self, b: &mut Builder, weights: Value, mask: Value, heads: &Range<usize>) -> Value {
        let [crystals, tokens, _] = self.causal.dims;
        let mask = b.slice(mask, 0, heads.start as i64, heads.end as i64);
        let weights = b.mul(weights, mask);
        b.assume_shape(weights, &[crystals, Dim::Known(heads.len() as i64), tokens, tokens])
    }

    /// (rows, heads): sums of the probabilities.
    fn sums(&self, b: &mut Builder, weights: Value, heads: i64) -> Value {
        let total = b.reduce_sum(weights, &[3], false);
        let total = b.transpose(total, &[0, 2, 1]);
        let total = b.reshape(total, &[-1, heads]);
        b.assume_shape(total, &[self.causal.dims[2], Dim::Known(heads)])
    }

    /// (rows, heads D): the vectors (b, T, D), mixed. All heads mix the same: one product per crystal, of (heads T, T) and (T, D).
    fn mixed(&self, b: &mut Builder, weights: Value, vectors: Value, heads: i64, width: i64) -> Value {
        let [crystals, tokens, rows] = self.causal.dims;
        let stacked = b.symbol("heads_and_queries");
        let weights = b.reshape_to(weights, self.causal.stacked);
        b.assume_shape(weights, &[crystals, stacked, tokens]);
        let mixed = b.matmul(weights, vectors);
        let mixed = b.reshape(mixed, &[0, heads, -1, width]);
        b.assume_shape(mixed, &[crystals, Dim::Known(heads), tokens, Dim::Known(width)]);
        let mixed = b.transpose(mixed, &[0, 2, 1, 3]);
        let mixed = b.reshape(mixed, &[-1, heads * width]);
        b.assume_shape(mixed, &[rows, Dim::Known(heads * width)])
    }

    /// Queries or keys of some heads, (b, heads, T, K).
    fn rotated(&self, n: &mut Network, x: Value, part: &str, heads: &Range<usize>) -> Value {
        let key = n.hyper.key_size;
        let [crystals, tokens, _] = self.causal.dims;
        let flat = n.linear_columns(&format!("{}/{part}", self.name), x, heads.start * key..heads.end * key);
        let (heads, key) = (heads.len() as i64, key as i64);
        let b = &mut n.b;
        let shape = self.shape(b, &[heads, key]);
        let apart = b.reshape_to(flat, shape);
        b.assume_shape(apart, &[crystals, tokens, Dim::Known(heads), Dim::Known(key)]);
        let turned = b.transpose(apart, &[0, 2, 1, 3]);
        self.causal.rotation.apply(b, turned)
    }

    /// int64 [b, T, tail...].
    fn shape(&self, b: &mut Builder, tail: &[i64]) -> Value {
        let tail = b.ints(tail);
        b.concat(&[self.causal.batch_and_length, tail], 0)
    }
}

/// The heads in groups that are computed at a time.
fn head_groups(heads: usize) -> impl Iterator<Item = Range<usize>> {
    (0..heads).step_by(HEADS_PER_GROUP).map(move |first| first..heads.min(first + HEADS_PER_GROUP))
}

/// A mask with as many heads as the network, where it may have one for all.
fn for_each_head(n: &mut Network, mask: Value) -> Value {
    let ones = n.b.constant(Array3::<f32>::ones((n.hyper.num_heads, 1, 1)));
    n.b.mul(mask, ones)
}

/// The sum of one value or more.
fn total(b: &mut Builder, parts: &[Value]) -> Value {
    parts[1..].iter().fold(parts[0], |sum, part| b.add(sum, *part))
}
