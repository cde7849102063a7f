//! log p of crystals (spec sections 4.5 and 5).
//!
//! A batch is padded to its longest crystal: s sites, T = 5 s + 1 tokens. Pads are ordinary tokens behind everything that counts, so
//! causality makes them harmless; weights of 0 take their terms out.

use super::attention::Causal;
use super::distributions::{atoms, coordinates, lattice, letters};
use super::embedding::Embedding;
use super::inputs::{Extents, Inputs};
use super::layers::Network;
use super::transformer::{Dropout, transformer};
use crate::graph::{Attributes, Builder, Dim, Value};

/// Log-probabilities of b crystals, float64 (b) each: they are sums of hundreds, and ratios are made of their differences.
pub(super) struct LogP {
    pub w: Value,
    pub xyz: Value,
    pub a: Value,
    pub l: Value,
    pub total: Value,
}

impl LogP {
    /// Makes them outputs of the graph.
    pub fn declare(&self, b: &mut Builder) {
        let parts = [self.w, self.xyz, self.a, self.l, self.total];
        for (name, value) in ["logp_w", "logp_xyz", "logp_a", "logp_l", "logp"].into_iter().zip(parts) {
            b.output(name, value);
        }
    }
}

/// The likelihood of a batch.
pub(super) fn likelihood(n: &mut Network, inputs: &Inputs, dropout: Option<Dropout>) -> LogP {
    let extents = inputs.extents;
    let layout = TokenLayout::new(&mut n.b, inputs);
    let tokens = layout.tokens(n, inputs);
    let causal = Causal::new(
        &mut n.b,
        n.hyper.key_size,
        layout.crystals_and_tokens,
        [extents.crystals, extents.tokens, extents.rows],
    );
    let hidden = transformer(n, tokens, &causal, dropout);
    let normed = n.final_norm(hidden);
    let at = layout.by_kind(n, normed);
    let w = letters(n, inputs, layout.group, at.z);
    let a = atoms(n, inputs, at.sites);
    let xyz = coordinates(n, inputs, at.axy);
    let slots = layout.by_kind(n, hidden).slots;
    let l = lattice(n, inputs, slots);
    let b = &mut n.b;
    let sites = b.add(w, a);
    let rest = b.add(xyz, l);
    let total = b.add(sites, rest);
    LogP { w, xyz, a, l, total }
}

/// Run-time extents and what follows from them.
struct TokenLayout {
    extents: Extents,
    /// int64 [b, T].
    crystals_and_tokens: Value,
    /// int64 [b], [s], [T - 1] and [1].
    crystals: Value,
    sites: Value,
    site_tokens: Value,
    one: Value,
    /// int64 (b): row of the group's embedding.
    group: Value,
}

/// Hidden vectors by the token that they were computed at.
struct ByToken {
    /// (b, s, D): W tokens of the sites, which predict elements.
    sites: Value,
    /// (b, s + 1, D): W tokens of all slots, one of which predicts the lattice.
    slots: Value,
    /// (b, s, 3, D): A, X, Y tokens, which predict X, Y, Z.
    axy: Value,
    /// (b, s, D): Z tokens, which predict the next letter.
    z: Value,
}

impl TokenLayout {
    fn new(b: &mut Builder, inputs: &Inputs) -> Self {
        let shape = b.shape_of(inputs.atoms);
        let (crystals, sites) = (b.slice(shape, 0, 0, 1), b.slice(shape, 0, 1, 2));
        let (one, five) = (b.ints(&[1]), b.ints(&[5]));
        let site_tokens = b.mul(sites, five);
        let tokens = b.add(site_tokens, one);
        let crystals_and_tokens = b.concat(&[crystals, tokens], 0);
        let unit = b.constant(ndarray::arr0(1i64));
        let group = b.sub(inputs.group, unit);
        Self { extents: inputs.extents, crystals_and_tokens, crystals, sites, site_tokens, one, group }
    }

    /// Embedded tokens W A X Y Z W A ... W, (rows, D).
    fn tokens(&self, n: &mut Network, inputs: &Inputs) -> Value {
        let e = self.extents;
        let (width, frequencies) = (Dim::Known(n.hyper.model_size as i64), n.hyper.Nf);
        let embedding = Embedding::new(n);
        let b = &mut n.b;
        // Letters and multiplicities are cut before the look-up: integers need no derivative.
        let (letters, last_letter) = self.cut_last(b, inputs.letters);
        let (multiplicities, last_multiplicity) = self.cut_last(b, inputs.multiplicities);
        let one_site = Dim::Known(1);
        let letter = |b: &mut Builder, letters, multiplicities, sites| {
            let multiplicities = b.unsqueeze(multiplicities, &[2]);
            b.assume_shape(multiplicities, &[e.crystals, sites, Dim::Known(1)]);
            let own = embedding.letter(b, letters, multiplicities);
            with_group(b, &embedding, 0, self.group, own, [e.crystals, sites, width])
        };
        let w = letter(b, letters, multiplicities, e.sites);
        let last = letter(b, last_letter, last_multiplicity, one_site);
        let own = embedding.atom(b, inputs.atoms);
        let a = with_group(b, &embedding, 1, self.group, own, [e.crystals, e.sites, width]);
        let axis = |b: &mut Builder, axis: usize| {
            let x = b.slice(inputs.coordinates, 2, axis as i64, axis as i64 + 1);
            b.assume_shape(x, &[e.crystals, e.sites, Dim::Known(1)]);
            let own = embedding.coordinate(b, frequencies, axis, x);
            with_group(b, &embedding, 2 + axis, self.group, own, [e.crystals, e.sites, width])
        };
        let kinds = [w, a, axis(b, 0), axis(b, 1), axis(b, 2)];
        let kinds = kinds.map(|k| b.unsqueeze(k, &[2]));
        let sites = b.concat(&kinds, 2);
        let width_number = n.hyper.model_size as i64;
        let body = b.reshape(sites, &[0, -1, width_number]);
        let all = b.concat(&[body, last], 1);
        let flat = b.reshape(all, &[-1, width_number]);
        b.assume_shape(flat, &[e.rows, width])
    }

    /// (b, s + 1) as (b, s) and (b, 1).
    fn cut_last(&self, b: &mut Builder, x: Value) -> (Value, Value) {
        let e = self.extents;
        let sizes = b.concat(&[self.sites, self.one], 0);
        let parts = b.node_with("Split", &[Some(x), Some(sizes)], 2, Attributes::none().int("axis", 1));
        b.assume_shape(parts[0], &[e.crystals, e.sites]);
        b.assume_shape(parts[1], &[e.crystals, Dim::Known(1)]);
        (parts[0], parts[1])
    }

    fn by_kind(&self, n: &mut Network, hidden: Value) -> ByToken {
        let (e, width) = (self.extents, n.hyper.model_size as i64);
        let d = Dim::Known(width);
        let b = &mut n.b;
        let tail = b.ints(&[width]);
        let shape = b.concat(&[self.crystals_and_tokens, tail], 0);
        let hidden = b.reshape_to(hidden, shape);
        let sizes = b.concat(&[self.site_tokens, self.one], 0);
        let parts = b.node_with("Split", &[Some(hidden), Some(sizes)], 2, Attributes::none().int("axis", 1));
        b.assume_shape(parts[1], &[e.crystals, Dim::Known(1), d]);
        let five = b.ints(&[5, width]);
        let shape = b.concat(&[self.crystals, self.sites, five], 0);
        let sites = b.reshape_to(parts[0], shape);
        b.assume_shape(sites, &[e.crystals, e.sites, Dim::Known(5), d]);
        let kinds = b.split(sites, 2, &[1, 3, 1]);
        let site_letters = b.squeeze(kinds[0], &[2]);
        let slots = b.concat(&[site_letters, parts[1]], 1);
        b.assume_shape(slots, &[e.crystals, e.slots, d]);
        let z = b.squeeze(kinds[2], &[2]);
        ByToken { sites: site_letters, slots, axy: kinds[1], z }
    }
}

/// Adds the space group's part to tokens (b, sites, D).
fn with_group(b: &mut Builder, embedding: &Embedding, kind: usize, group: Value, own: Value, shape: [Dim; 3]) -> Value {
    let part = embedding.group(b, kind, group);
    let part = b.unsqueeze(part, &[1]);
    let sum = b.add(own, part);
    b.assume_shape(sum, &shape)
}
