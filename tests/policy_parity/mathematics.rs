//! What holds for every likelihood, whoever computes it.

use std::collections::BTreeMap;

use ndarray::{ArrayD, Axis, IxDyn};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::crystal::{SpaceGroup, Tokens, wyckoff_positions};
use temper::graph::{Tensor, encode};
use temper::policy::{DropoutMasks, Features, Hyperparameters, LogProbability, Parameters, logp_graph};
use temper::runtime::{Device, Input, Session, SessionOptions};
use temper::train::{NegativeLogLikelihood, PpoSurrogate};

use crate::evaluate::{
    crystal, distance, gradient, gradient_of, log_probabilities, logp, mean_weight, random_parameters, runtime, small,
    some_crystals, totals,
};

/// Rounding of a float32 log-probability.
const ROUNDING: f64 = 1e-5;

/// Every tensor, along its gradient and a random direction at once, so that a part of the gradient that is missing shows too.
#[test]
fn the_nll_gradient_is_the_slope_of_log_p() {
    let (hyper, crystals) = (small(6), some_crystals());
    let parameters = random_parameters(&hyper, 1);
    let loss = NegativeLogLikelihood::mean(crystals.len());
    let gradient = gradient(&gradient_of(&hyper), &parameters, &crystals, &loss).gradient;
    let graph = logp(&hyper);
    let loss = |parameters: &Parameters| -mean(&totals(&log_probabilities(&graph, parameters, &crystals)));
    let mut random = ChaCha8Rng::seed_from_u64(2);
    for (i, gradient) in gradient.iter().enumerate() {
        let aside = unit(&ArrayD::from_shape_simple_fn(gradient.raw_dim(), || random.random_range(-1.0_f32..1.0)));
        let direction = unit(gradient) + aside;
        let slope = |step: f32| {
            let at = |step: f32| loss(&moved(&hyper, &parameters, i, &direction, step));
            (at(step) - at(-step)) / (2.0 * f64::from(step))
        };
        // Two central differences, extrapolated to a step of zero.
        let difference = (4.0 * slope(0.01) - slope(0.02)) / 3.0;
        let expected: f64 = gradient.iter().zip(&direction).map(|(g, d)| f64::from(*g) * f64::from(*d)).sum();
        let name = parameters.iter().nth(i).unwrap().0;

        assert!((difference - expected).abs() <= 1e-4 * (1.0 + expected.abs()), "{name}: {difference} but {expected}");
    }
}

/// A head whose probabilities are all dropped gives what it gives when its rows of the output weights are zero.
#[test]
fn a_head_that_is_dropped_is_as_good_as_gone() {
    let (hyper, crystals) = (small(6), some_crystals());
    let (parameters, graph) = (random_parameters(&hyper, 9), gradient_of(&hyper));
    let loss = NegativeLogLikelihood::mean(crystals.len());
    let (layers, heads, key) = (hyper.num_layers, hyper.num_heads, hyper.key_size);
    for head in [0, heads - 1] {
        let mut gone: BTreeMap<_, _> = parameters.iter().map(|(name, p)| (name.to_owned(), p.clone())).collect();
        for name in ["multi_head_attention/linear/w", "multi_head_attention_1/linear/w"] {
            let rows = head as isize * key as isize..(head + 1) as isize * key as isize;
            gone.get_mut(name).unwrap().slice_axis_mut(Axis(0), rows.into()).fill(0.0);
        }
        let gone = Parameters::assemble(gone, &hyper, "gone".as_ref()).unwrap();
        let mut mask = ArrayD::<f32>::ones(IxDyn(&[layers, heads, 1, 1]));
        mask.index_axis_mut(Axis(1), head).fill(0.0);
        let dropout =
            |_: usize, _: usize, _: usize| DropoutMasks { attention: mask.clone(), ..DropoutMasks::none(&hyper) };
        let refs: Vec<&Tokens> = crystals.iter().collect();
        let dropped = totals(&graph.gradient_with_dropout(&parameters, &refs, &loss, &dropout).unwrap().logp);
        let absent = totals(&gradient(&graph, &gone, &crystals, &loss).logp);
        let whole = totals(&gradient(&graph, &parameters, &crystals, &loss).logp);
        for ((dropped, absent), whole) in dropped.iter().zip(absent).zip(whole) {
            assert!((dropped - absent).abs() < ROUNDING * (1.0 + absent.abs()), "{dropped} but {absent}");
            assert!((dropped - whole).abs() > 1e-3, "head {head} must matter");
        }
    }
}

/// The objective is a function of log p, so its gradient is that of a weighted log p: with r = exp(log p - old) and
/// A' = A - beta (log p - base), d min(r A', clip(r) A') / d log p is r A' - beta r where r counts, -beta clip(r) where the
/// clipped ratio does.
#[test]
fn the_ppo_gradient_is_that_of_weighted_log_p() {
    let (hyper, crystals) = (small(6), some_crystals());
    let parameters = random_parameters(&hyper, 3);
    let (nll, ppo) = (gradient_of(&hyper), gradient_of(&hyper));
    let now = totals(&log_probabilities(&logp(&hyper), &parameters, &crystals));
    let advantage = vec![1.5, -0.7, 0.4, -2.0, 0.9];
    // Ratio 1; then beyond the clip range on either side with either sign of the advantage, and one inside.
    for (shift, beta) in [([0.0; 5], 0.0), ([0.0; 5], 0.1), ([0.4, 0.4, -0.5, -0.5, 0.1], 0.1)] {
        let old_logp: Vec<f64> = now.iter().zip(shift).map(|(now, shift)| now - shift).collect();
        let base_logp: Vec<f64> = now.iter().map(|now| now + 0.3).collect();
        let row_weight = mean_weight(crystals.len());
        let loss = PpoSurrogate { row_weight, old_logp, base_logp, advantage: advantage.clone(), clip: 0.2, beta };
        let found = gradient(&ppo, &parameters, &crystals, &loss).gradient;
        let slope = |(shift, advantage): (f64, f64)| {
            let (ratio, advantage) = (shift.exp(), advantage + 0.3 * beta);
            let clipped = ratio.clamp(0.8, 1.2);
            if ratio * advantage <= clipped * advantage { ratio * (advantage - beta) } else { -beta * clipped }
        };
        let pairs = shift.into_iter().zip(advantage.iter().copied());
        let weighted = NegativeLogLikelihood { row_weight: pairs.map(|pair| -slope(pair) / 5.0).collect() };
        let expected = gradient(&nll, &parameters, &crystals, &weighted).gradient;
        for ((name, _), (found, expected)) in parameters.iter().zip(found.iter().zip(&expected)) {
            let apart = distance(found, expected);
            assert!(apart <= 1e-4, "{name}: relative distance {apart:e} at shifts {shift:?} and beta {beta}");
        }
    }
}

#[test]
fn neighbours_in_a_batch_change_nothing() {
    let (hyper, crystals) = (small(4), some_crystals());
    let parameters = random_parameters(&hyper, 4);
    let graph = logp(&hyper);
    // Lengths 1 and 4 in one run of the graph; the second fills all slots.
    let features = Features::new(&[&crystals[2], &crystals[3]], &hyper).unwrap();
    assert_eq!(features.tokens(), 21);
    let together = run_as_one(&hyper, &parameters, &features);
    for (crystal, together) in crystals[2..4].iter().zip(together) {
        let alone = log_probabilities(&graph, &parameters, std::slice::from_ref(crystal))[0];
        close(alone, together);
    }
    // And as the program cuts a batch into groups.
    for (crystal, together) in crystals.iter().zip(log_probabilities(&graph, &parameters, &crystals)) {
        close(log_probabilities(&graph, &parameters, std::slice::from_ref(crystal))[0], together);
    }
}

#[test]
fn first_letters_and_elements_sum_to_one() {
    let hyper = small(1);
    let parameters = random_parameters(&hyper, 5);
    let graph = logp(&hyper);
    // With one slot there is no stop, so that logp_w is that of the letter. Group 47 has all 27 letters.
    for group in [1, 47, 225] {
        let letters: Vec<Tokens> = letters(group).map(|w| crystal(group, &[(w, 8, [0.1; 3])])).collect();
        one(log_probabilities(&graph, &parameters, &letters).iter().map(|p| p.w));
    }
    let elements: Vec<Tokens> = (1..=118).map(|z| crystal(225, &[(2, z, [0.0; 3])])).collect();
    one(log_probabilities(&graph, &parameters, &elements).iter().map(|p| p.a));
}

/// After a first letter: the stop, or a letter that does not descend, nor repeat without a free coordinate. A crystal that
/// fills all slots needs no stop.
#[test]
fn second_letters_and_the_stop_sum_to_one() {
    let hyper = small(2);
    let parameters = random_parameters(&hyper, 6);
    let first_only = logp(&small(1));
    let graph = logp(&hyper);
    for (group, first) in [(47, 3_u8), (47, 26), (225, 6), (1, 1)] {
        let site = (first, 8, [0.1, 0.2, 0.3]);
        let first_alone = log_probabilities(&first_only, &parameters, &[crystal(group, &[site])])[0];
        let mut crystals = vec![crystal(group, &[site])];
        crystals.extend(letters(group).filter(|w| *w >= first).map(|w| crystal(group, &[site, (w, 8, [0.1; 3])])));
        crystals.retain(|crystal| crystal.check().is_ok());
        let all = log_probabilities(&graph, &parameters, &crystals);
        one(all.iter().map(|p| p.w - first_alone.w));
        // What was there before is as probable as ever.
        assert!((all[0].xyz - first_alone.xyz).abs() < ROUNDING && (all[0].a - first_alone.a).abs() < ROUNDING);
    }
}

#[test]
fn coordinates_integrate_to_one() {
    let hyper = small(2);
    let parameters = random_parameters(&hyper, 7);
    let points = 256;
    // 6e of group 221 is x,0,0: one free coordinate. The rule of equal weights is exact for smooth periodic functions.
    let grid: Vec<Tokens> =
        (0..points).map(|i| crystal(221, &[(5, 8, [f64::from(i) / f64::from(points), 0.0, 0.0])])).collect();
    let radians = 2.0 * std::f64::consts::PI / f64::from(points);
    one(log_probabilities(&logp(&hyper), &parameters, &grid).iter().map(|p| p.xyz + radians.ln()));
}

/// Each lattice parameter has its density; group 225 has one that is free.
#[test]
fn lattice_lengths_integrate_to_one() {
    let hyper = small(2);
    let parameters = random_parameters(&hyper, 8);
    let (points, width) = (4000, 0.01);
    let at = |i: i32| Tokens {
        lattice: [width * f64::from(i), 1.0, 1.0, 1.0, 1.0, 1.0],
        ..crystal(225, &[(1, 8, [0.0; 3])])
    };
    let grid: Vec<Tokens> = (-points / 2..points / 2).map(at).collect();
    one(log_probabilities(&logp(&hyper), &parameters, &grid).iter().map(|p| p.l + width.ln()));
}

fn letters(group: i64) -> impl Iterator<Item = u8> {
    wyckoff_positions(SpaceGroup::new(group).unwrap()).iter().map(|position| position.index)
}

/// Demands that probabilities sum to one.
fn one(log_p: impl Iterator<Item = f64>) {
    let sum: f64 = log_p.map(f64::exp).sum();
    assert!((sum - 1.0).abs() < 1e-5, "the sum is {sum}");
}

fn close(a: LogProbability, b: LogProbability) {
    for (a, b) in [(a.w, b.w), (a.xyz, b.xyz), (a.a, b.a), (a.l, b.l)] {
        assert!((a - b).abs() <= ROUNDING * (1.0 + a.abs()), "{a} is not {b}");
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn unit(tensor: &ArrayD<f32>) -> ArrayD<f32> {
    let norm = tensor.iter().map(|x| x * x).sum::<f32>().sqrt();
    if norm > 0.0 { tensor / norm } else { tensor.clone() }
}

/// log p of some crystals in one run of the graph, whatever their lengths.
fn run_as_one(hyper: &Hyperparameters, parameters: &Parameters, features: &Features) -> Vec<LogProbability> {
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    let bytes = encode(&logp_graph(hyper).unwrap());
    let mut session = Session::from_bytes(runtime(), "logp", &bytes, &options).unwrap();
    let mut inputs: Vec<(&str, Input<'_>)> = parameters.iter().map(|(name, p)| (name, Input::F32(p))).collect();
    inputs.extend(features.inputs().iter().map(|(name, tensor)| (*name, tensor.into())));
    let outputs = session.run(&inputs, &["logp_w", "logp_xyz", "logp_a", "logp_l"]).unwrap();
    let number = |part: usize, row: usize| match &outputs[part] {
        Tensor::F64(values) => values[row],
        other => panic!("{other:?}"),
    };
    let row = |i| LogProbability { w: number(0, i), xyz: number(1, i), a: number(2, i), l: number(3, i) };
    (0..features.crystals()).map(row).collect()
}

/// The parameters with one tensor moved.
fn moved(hyper: &Hyperparameters, from: &Parameters, index: usize, direction: &ArrayD<f32>, step: f32) -> Parameters {
    let mut tensors: BTreeMap<_, _> = from.iter().map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
    let name = from.iter().nth(index).unwrap().0;
    tensors.insert(name.to_owned(), from.get(name).unwrap() + &(direction * step));
    Parameters::assemble(tensors, hyper, "moved".as_ref()).unwrap()
}
