//! The distributions of the next token that hidden vectors stand for, and log p of what was drawn from them (spec sections 4.5
//! and 5).

use super::inputs::Inputs;
use super::layers::Network;
use crate::graph::{Builder, DataType, Dim, Value};
use crate::policy::head::SIGMA_MIN;

const LN_2PI: f64 = 1.837_877_066_409_345_6;

/// The output layer restricted to columns `from..to`.
fn head(n: &mut Network, hidden: Value, from: usize, to: usize) -> Value {
    let (w, bias) = n.weights(&n.names.output.clone());
    let (w, bias) = (n.b.slice(w, 1, from as i64, to as i64), n.b.slice(bias, 0, from as i64, to as i64));
    let (w, bias) = (n.b.cast_like(w, hidden), n.b.cast_like(bias, hidden));
    let product = n.b.matmul(hidden, w);
    n.b.add(product, bias)
}

/// Logits of the first letter, (b, NW), for group indices 0..230.
pub(super) fn first_letter(n: &mut Network, group: Value) -> Value {
    match n.names.first.clone() {
        None => {
            let table = n.parameter("~/w_params");
            n.b.gather(table, group, 0)
        }
        Some(modules) => {
            let table = n.parameter("~/g_embeddings");
            let embedded = n.b.gather(table, group, 0);
            n.feed_forward(&modules, embedded)
        }
    }
}

/// log p of the letters and of the stop, (b).
pub(super) fn letters(n: &mut Network, inputs: &Inputs, group: Value, hidden: Value) -> Value {
    let types = n.hyper.wyck_types;
    let e = inputs.extents;
    let first = first_letter(n, group);
    let first = n.b.unsqueeze(first, &[1]);
    let next = head(n, hidden, 0, types);
    let temperature = n.hyper.temperature.w;
    let b = &mut n.b;
    let logits = b.concat(&[first, next], 1);
    let logits = divided(b, logits, temperature);
    b.assume_shape(logits, &[e.crystals, e.slots, Dim::Known(types as i64)]);
    let masked = b.add(logits, inputs.letter_mask);
    picked(b, masked, inputs.letters, inputs.letter_weight)
}

/// log p of the elements, (b).
pub(super) fn atoms(n: &mut Network, inputs: &Inputs, hidden: Value) -> Value {
    let types = n.hyper.atom_types;
    let logits = head(n, hidden, 0, types);
    let temperature = n.hyper.temperature.a;
    let b = &mut n.b;
    let logits = divided(b, logits, temperature);
    let masked = b.add(logits, inputs.atom_mask);
    picked(b, masked, inputs.atoms, inputs.atom_weight)
}

/// Weighted sum over slots of the log-softmax of `logits` (b, slots, classes) at `chosen` (b, slots).
fn picked(b: &mut Builder, logits: Value, chosen: Value, weight: Value) -> Value {
    let log_p = b.log_softmax(logits, -1);
    let chosen = b.unsqueeze(chosen, &[2]);
    let terms = b.gather_elements(log_p, chosen, 2);
    let terms = b.squeeze(terms, &[2]);
    let weighted = b.mul(terms, weight);
    let weighted = b.cast(weighted, DataType::F64);
    b.reduce_sum(weighted, &[1], false)
}

/// log p of the coordinates, (b): mixtures of von Mises densities, per radian.
pub(super) fn coordinates(n: &mut Network, inputs: &Inputs, hidden: Value) -> Value {
    let (k, temperature) = (n.hyper.Kx, n.hyper.temperature.xyz);
    let raw = head(n, hidden, 0, 3 * k);
    let b = &mut n.b;
    let parts = b.split(raw, -1, &[k as i64; 3]);
    let mixture = divided(b, parts[0], temperature);
    let mixture = b.log_softmax(mixture, -1);
    let kappa = softplus(b, parts[2]);
    let kappa = divided(b, kappa, temperature);
    let centred = b.add_scalar(inputs.coordinates, -0.5);
    let angle = b.mul_scalar(centred, 2.0 * std::f64::consts::PI);
    let angle = b.cast(angle, DataType::F32);
    let angle = b.unsqueeze(angle, &[3]);
    let difference = b.sub(angle, parts[1]);
    let cosine = b.cos(difference);
    let cosine = b.add_scalar(cosine, -1.0);
    let exponent = b.mul(kappa, cosine);
    let normaliser = log_i0e(b, kappa);
    let density = b.sub(exponent, normaliser);
    let density = b.add_scalar(density, -LN_2PI);
    let terms = b.add(mixture, density);
    let terms = log_sum_exp(b, terms, -1);
    let weighted = b.mul(terms, inputs.coordinate_weight);
    let weighted = b.cast(weighted, DataType::F64);
    b.reduce_sum(weighted, &[1, 2], false)
}

/// log p of the lattice, (b): mixtures of Gaussians, one per lattice parameter, that share their weights. In float64: they are
/// few, and widths of 1e-3 magnify rounding.
pub(super) fn lattice(n: &mut Network, inputs: &Inputs, slots: Value) -> Value {
    let (k, atoms, temperature) = (n.hyper.Kl as i64, n.hyper.atom_types, n.hyper.temperature.l);
    let crystals = inputs.extents.crystals;
    let width = Dim::Known(n.hyper.model_size as i64);
    let chosen = n.b.unsqueeze(inputs.lattice_slot, &[1]);
    let hidden = n.b.matmul(chosen, slots);
    let hidden = n.b.squeeze(hidden, &[1]);
    n.b.assume_shape(hidden, &[crystals, width]);
    let hidden = n.b.cast(hidden, DataType::F64);
    let hidden = n.final_norm(hidden);
    let raw = head(n, hidden, atoms, atoms + 13 * k as usize);
    let b = &mut n.b;
    let parts = b.split(raw, -1, &[k, 6 * k, 6 * k]);
    let mixture = divided(b, parts[0], temperature);
    let mixture = b.log_softmax(mixture, -1);
    let mixture = b.unsqueeze(mixture, &[2]);
    let six = |b: &mut Builder, x: Value| {
        let apart = b.reshape(x, &[-1, k, 6]);
        b.assume_shape(apart, &[crystals, Dim::Known(k), Dim::Known(6)])
    };
    let mu = six(b, parts[1]);
    let sigma = softplus(b, parts[2]);
    let sigma = b.add_scalar(sigma, SIGMA_MIN);
    let sigma = divided(b, sigma, 1.0 / temperature.sqrt());
    let sigma = six(b, sigma);
    let observed = b.unsqueeze(inputs.lattice, &[1]);
    let deviation = b.sub(observed, mu);
    let scaled = b.div(deviation, sigma);
    let square = b.mul(scaled, scaled);
    let exponent = b.mul_scalar(square, -0.5);
    let log_sigma = b.log(sigma);
    let density = b.sub(exponent, log_sigma);
    let density = b.add_scalar(density, -0.5 * LN_2PI);
    let terms = b.add(mixture, density);
    let terms = log_sum_exp(b, terms, 1);
    let weight = b.cast(inputs.lattice_weight, DataType::F64);
    let weighted = b.mul(terms, weight);
    let sum = b.reduce_sum(weighted, &[1], false);
    without_gradient_when_full(b, inputs, sum)
}

/// The reference reads the lattice of a crystal that fills all slots at an index behind the last one. Reading clamps it, but the
/// derivative of that look-up drops it: such a crystal's lattice counts without a gradient. Kept for parity.
fn without_gradient_when_full(b: &mut Builder, inputs: &Inputs, logp_l: Value) -> Value {
    let slots = b.reduce_sum(inputs.letter_weight, &[1], false);
    let sites = b.reduce_sum(inputs.atom_weight, &[1], false);
    let has_stop = b.sub(slots, sites);
    let has_stop = b.cast(has_stop, DataType::F64);
    let one = b.scalar_like(has_stop, 1.0);
    let full = b.sub(one, has_stop);
    let fixed = b.stop_gradient(logp_l);
    let (free, fixed) = (b.mul(logp_l, has_stop), b.mul(fixed, full));
    b.add(free, fixed)
}

/// `x` over a temperature; nothing is done at temperature 1.
fn divided(b: &mut Builder, x: Value, temperature: f64) -> Value {
    if temperature == 1.0 { x } else { b.mul_scalar(x, 1.0 / temperature) }
}

/// log(1 + e^x) as max(x, 0) + log(1 + e^-|x|): ten times faster than the operator Softplus.
fn softplus(b: &mut Builder, x: Value) -> Value {
    let positive = b.relu(x);
    let size = b.abs(x);
    let negative = b.neg(size);
    let decayed = b.exp(negative);
    let one_more = b.add_scalar(decayed, 1.0);
    let log = b.log(one_more);
    b.add(positive, log)
}

/// log sum exp over an axis, which is removed. Faster than the operator ReduceLogSumExp, and safe against overflow.
fn log_sum_exp(b: &mut Builder, x: Value, axis: i64) -> Value {
    let top = b.reduce_max(x, &[axis], true);
    let top = b.stop_gradient(top);
    let shifted = b.sub(x, top);
    let powers = b.exp(shifted);
    let total = b.reduce_sum(powers, &[axis], false);
    let log = b.log(total);
    let top = b.squeeze(top, &[axis]);
    b.add(log, top)
}

/// log(e^-k I0(k)) for k >= 0, by the polynomials 9.8.1 and 9.8.2 of Abramowitz and Stegun (relative error below 4.8e-7).
fn log_i0e(b: &mut Builder, k: Value) -> Value {
    const SMALL: [f64; 7] = [1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813];
    const LARGE: [f64; 9] =
        [0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633, 0.00392377];
    const SEAM: f64 = 3.75;
    let seam = b.scalar_like(k, SEAM);
    // Each branch sees only arguments of its own side, so that neither makes an infinity whose derivative would leak.
    let (low, high) = (b.min(k, seam), b.max(k, seam));
    let ratio = b.mul_scalar(low, 1.0 / SEAM);
    let square = b.mul(ratio, ratio);
    let series = horner(b, square, &SMALL);
    let series = b.log(series);
    let small = b.sub(series, low);
    let inverse = b.div(seam, high);
    let tail = horner(b, inverse, &LARGE);
    let tail = b.log(tail);
    let log_k = b.log(high);
    let half = b.mul_scalar(log_k, 0.5);
    let large = b.sub(tail, half);
    let below = b.less(k, seam);
    b.where_(below, small, large)
}

fn horner(b: &mut Builder, x: Value, coefficients: &[f64]) -> Value {
    let mut rest = coefficients.iter().rev();
    let top = rest.next().copied().unwrap_or(0.0);
    let mut sum = b.scalar_like(x, top);
    for (i, c) in rest.enumerate() {
        sum = if i == 0 { b.mul_scalar(x, top) } else { b.mul(sum, x) };
        sum = b.add_scalar(sum, *c);
    }
    sum
}
