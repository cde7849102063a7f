//! One token of autoregressive decoding with a key/value cache.

use super::attention::{Output, Rotation};
use super::distributions::first_letter;
use super::embedding::Embedding;
use super::layers::{FORM, Network};
use super::names::LayerNames;
use crate::graph::onnx::ModelProto;
use crate::graph::{Attributes, Builder, DataType, Dim, GraphError, Value};
use crate::policy::Hyperparameters;

/// The graph that appends one token of one kind to b crystals, which all have the same number of tokens.
///
/// Inputs besides the parameters: `G` int64 (b); `kind` int64 scalar, 0..=4 for W, A, X, Y, Z; `position` int64 (1), of the token;
/// `type` int64 (b), the letter (kind 0) or element (kind 1), else 0; `M` float32 (b, 1), the multiplicity (kind 0);
/// `x` float64 (b, 1), the coordinate (kinds 2 to 4); for each layer i, `k_i` float32 (n, b, H, K), keys,
/// and `x_i` float32 (n, b, D), what all heads mix, of the tokens so far, with room for the new one at the end: n = position + 1.
/// Outputs: `raw` float32 (b, O), the output layer's row; `first` float32 (b, NW), logits of the first letter, which depend on
/// G alone; `k_out_i`, `x_out_i`, the same with the new token written. They may lie where the inputs do.
///
/// # Errors
/// [`GraphError`] is our mistake: any hyper-parameters that pass their check make a graph.
pub fn decode_graph(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    let mut n = Network::new(hyper);
    let crystals = n.b.symbol("b");
    let one = Dim::Known(1);
    let b = &mut n.b;
    let group = b.input("G", DataType::I64, &[crystals]);
    let kind = b.input("kind", DataType::I64, &[]);
    let position = b.input("position", DataType::I64, &[one]);
    let class = b.input("type", DataType::I64, &[crystals]);
    let multiplicity = b.input("M", DataType::F32, &[crystals, one]);
    let x = b.input("x", DataType::F64, &[crystals, one]);
    let unit = b.constant(ndarray::arr0(1i64));
    let group = b.sub(group, unit);
    let first = first_letter(&mut n, group);
    let mut h = token(&mut n, group, kind, class, multiplicity, x);
    let b = &mut n.b;
    let place = b.unsqueeze(position, &[1]);
    let position = b.cast(position, DataType::F32);
    let rotation = Rotation::new(b, hyper.key_size, position);
    let layers = std::mem::take(&mut n.names.layers);
    for (index, names) in layers.iter().enumerate() {
        h = layer(&mut n, h, names, index, place, rotation);
    }
    n.names.layers = layers;
    let h = n.final_norm(h);
    let output = n.names.output.clone();
    let raw = n.linear(&output, h);
    n.b.output("raw", raw);
    n.b.output("first", first);
    n.finish("decode")
}

/// (b, D): the embedded token of the asked kind. All five are cheap, so all are made and one is taken.
fn token(n: &mut Network, group: Value, kind: Value, class: Value, multiplicity: Value, x: Value) -> Value {
    let embedding = Embedding::new(n);
    let frequencies = n.hyper.Nf;
    let (letters, elements) = (n.hyper.wyck_types, n.hyper.atom_types);
    let b = &mut n.b;
    let within = |b: &mut Builder, classes: usize| {
        let last = b.constant(ndarray::arr0(classes as i64 - 1));
        b.min(class, last)
    };
    let (letter, element) = (within(b, letters), within(b, elements));
    let own = [
        embedding.letter(b, letter, multiplicity),
        embedding.atom(b, element),
        embedding.coordinate(b, frequencies, 0, x),
        embedding.coordinate(b, frequencies, 1, x),
        embedding.coordinate(b, frequencies, 2, x),
    ];
    let mut kinds = Vec::with_capacity(5);
    for (i, own) in own.into_iter().enumerate() {
        let part = embedding.group(b, i, group);
        let sum = b.add(own, part);
        kinds.push(b.unsqueeze(sum, &[0]));
    }
    let all = b.concat(&kinds, 0);
    b.gather(all, kind, 0)
}

fn layer(n: &mut Network, h: Value, names: &LayerNames, index: usize, place: Value, rotation: Rotation) -> Value {
    let normed = n.norm(&names.attention_norm, h);
    let attended = cached_attention(n, normed, &names.attention, index, place, rotation);
    let h = n.b.add(h, attended);
    let normed = n.norm(&names.feed_norm, h);
    let fed = n.feed_forward(&names.feed, normed);
    n.b.add(h, fed)
}

/// Attention of one new token to the cache and itself. Tokens are the first axis of the caches: those so far then lie together,
/// whatever room there is, and a product reads them as they lie.
fn cached_attention(n: &mut Network, x: Value, name: &str, index: usize, place: Value, rotation: Rotation) -> Value {
    let (heads, key) = (n.hyper.num_heads as i64, n.hyper.key_size as i64);
    let width = n.hyper.model_size as i64;
    let (crystals, tokens) = (n.b.symbol("b"), n.b.symbol("n"));
    let output = Output::new(n, name);
    let both = n.linears(name, &["query", "key"], x);
    let b = &mut n.b;
    let both = b.reshape(both, &[-1, 2 * heads, 1, key]);
    let both = rotation.apply(b, both);
    let parts = b.split(both, 1, &[heads, heads]);
    let own_key = b.reshape(parts[1], &[1, -1, heads, key]);
    let keys = b.input(&format!("k_{index}"), DataType::F32, &[tokens, crystals, Dim::Known(heads), Dim::Known(key)]);
    let keys = written(b, keys, place, own_key, &format!("k_out_{index}"));
    let own_vector = b.unsqueeze(x, &[0]);
    let vectors = b.input(&format!("x_{index}"), DataType::F32, &[tokens, crystals, Dim::Known(width)]);
    let vectors = written(b, vectors, place, own_vector, &format!("x_out_{index}"));
    let by_crystal = Attributes::none().int("transBatchB", 1);
    let scores = b.node("com.microsoft.FusedMatMul", &[parts[0], keys], by_crystal.clone().int("transB", 1));
    b.assume_shape(scores, &[crystals, Dim::Known(heads), Dim::Known(1), tokens]);
    let weights = b.softmax(scores, -1);
    let weights = b.squeeze(weights, &[2]);
    let mixed = b.node("com.microsoft.FusedMatMul", &[weights, vectors], by_crystal);
    b.assume_shape(mixed, &[crystals, Dim::Known(heads), Dim::Known(width)]);
    let flat = b.reshape(mixed, &[-1, heads * width]);
    let product = output.part(b, flat, &(0..n.hyper.num_heads));
    output.biased(&mut n.b, product, None)
}

/// A cache with the new token at its place, which is an output.
fn written(b: &mut Builder, cache: Value, place: Value, token: Value, output: &str) -> Value {
    let cache = b.node("ScatterND", &[cache, place, token], Attributes::none());
    b.output(output, cache);
    cache
}

/// The graph that keeps some rows of every cache: inputs `keep` int64 (rows kept) and `k_i`, `x_i`; outputs `k_out_i`, `x_out_i`.
///
/// # Errors
/// As [`decode_graph`].
pub fn compact_graph(hyper: &Hyperparameters) -> Result<ModelProto, GraphError> {
    let mut b = Builder::new();
    let (crystals, kept, past) = (b.symbol("b"), b.symbol("kept"), b.symbol("t"));
    let keys = [past, crystals, Dim::Known(hyper.num_heads as i64), Dim::Known(hyper.key_size as i64)];
    let vectors = [past, crystals, Dim::Known(hyper.model_size as i64)];
    let keep = b.input("keep", DataType::I64, &[kept]);
    for index in 0..hyper.num_layers {
        for (cache, shape) in [("k", &keys[..]), ("x", &vectors[..])] {
            let rows = b.input(&format!("{cache}_{index}"), DataType::F32, shape);
            let rows = b.gather(rows, keep, 1);
            b.output(&format!("{cache}_out_{index}"), rows);
        }
    }
    b.finish("compact", &[FORM])
}
