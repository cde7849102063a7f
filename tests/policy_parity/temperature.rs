//! Temperatures of a policy: one law for what is drawn and what is scored.

use temper::crystal::{SpaceGroup, Tokens};
use temper::policy::{Draws, Hyperparameters, LogProbability, SampleSettings, Sampler, Temperatures};

use crate::evaluate::{crystal, log_probabilities, logp, random_parameters, resources, runtime, small};

/// A part of log p.
type Part = fn(&LogProbability) -> f64;

const SHARP: Temperatures = Temperatures { w: 0.5, a: 0.7, xyz: 0.2, l: 0.3 };

/// With one component, every distribution at temperature T is the power 1/T of the one at 1, normalised: log p at T less log p / T
/// is the same for all outcomes.
#[test]
fn distributions_of_one_component_are_powers() {
    let plain = Hyperparameters { Kx: 1, Kl: 1, ..small(1) };
    let cooled = Hyperparameters { temperature: SHARP, ..plain.clone() };
    let parameters = random_parameters(&plain, 21);
    let letters: Vec<Tokens> = (1..=27).map(|w| crystal(47, &[(w, 8, [0.1; 3])])).collect();
    let elements: Vec<Tokens> = (1..=118).map(|z| crystal(225, &[(2, z, [0.0; 3])])).collect();
    let places: Vec<Tokens> = (0..16).map(|i| crystal(221, &[(5, 8, [f64::from(i) / 16.0, 0.0, 0.0])])).collect();
    let longer = |i: i32| Tokens { lattice: [0.3 * f64::from(i), 1.0, 1.0, 1.0, 1.0, 1.0], ..elements[0].clone() };
    let lattices: Vec<Tokens> = (0..16).map(longer).collect();
    let kinds: [(_, f64, Part); 4] = [
        (letters, SHARP.w, |p| p.w),
        (elements, SHARP.a, |p| p.a),
        (places, SHARP.xyz, |p| p.xyz),
        (lattices, SHARP.l, |p| p.l),
    ];
    for (crystals, temperature, part) in kinds {
        let [one, sharp] = [&plain, &cooled].map(|hyper| log_probabilities(&logp(hyper), &parameters, &crystals));
        let rest: Vec<f64> = one.iter().zip(&sharp).map(|(p, q)| part(q) - part(p) / temperature).collect();
        let spread = rest.iter().copied().fold(f64::MIN, f64::max) - rest.iter().copied().fold(f64::MAX, f64::min);
        let range = one.iter().map(part).fold(f64::MIN, f64::max) - one.iter().map(part).fold(f64::MAX, f64::min);
        assert!(range > 0.1 && spread < 1e-4 * (1.0 + range), "T = {temperature}: {spread} in a range of {range}");
    }
}

/// The mean of p / q over what is drawn from q is 1, if q is what is drawn from and both are normalised.
#[test]
fn what_is_drawn_has_the_density_that_is_scored() {
    // With one component of the lattice: of several, one is drawn for all six numbers, but each is scored by the mixture of all.
    let plain = Hyperparameters { Kl: 1, ..small(3) };
    let flat = Temperatures { w: 1.2, a: 1.4, xyz: 3.0, l: 1.2 };
    let warm = Hyperparameters { temperature: flat, ..plain.clone() };
    let parameters = random_parameters(&plain, 22);
    let sampler = Sampler::load(runtime(), &warm, resources()).unwrap();
    let draws = Draws { seed: 5, step: 0, first: 0 };
    // Of orthorhombic groups, all lattice tokens that are drawn are scored.
    let groups: Vec<SpaceGroup> = (0..4000).map(|i| SpaceGroup::new([16, 47, 62][i % 3]).unwrap()).collect();
    let drawn = sampler.sample(&parameters, &groups, draws, &SampleSettings::of_policy(None)).unwrap();
    let crystals: Vec<Tokens> = drawn.into_iter().map(Result::unwrap).collect();
    let [p, q] = [&plain, &warm].map(|hyper| log_probabilities(&logp(hyper), &parameters, &crystals));
    for part in
        [|p: &LogProbability| p.w, |p: &LogProbability| p.a, |p: &LogProbability| p.xyz, |p: &LogProbability| p.l]
    {
        let ratios: Vec<f64> = p.iter().zip(&q).map(|(p, q)| (part(p) - part(q)).exp()).collect();
        mean_is_one(&ratios);
        assert!(ratios.iter().any(|r| (r - 1.0).abs() > 0.05), "the temperature changes nothing");
    }
    // And the uniform density over that of the coordinates, whatever the temperature does to p.
    let free = |crystal: &Tokens| crystal.positions().unwrap().iter().map(|p| p.free_coordinates()).sum::<usize>();
    let uniform = |crystal: &Tokens| -(free(crystal) as f64) * std::f64::consts::TAU.ln();
    mean_is_one(&crystals.iter().zip(&q).map(|(crystal, q)| (uniform(crystal) - q.xyz).exp()).collect::<Vec<_>>());
}

/// Demands it within four standard errors, which are to be small.
fn mean_is_one(ratios: &[f64]) {
    let n = ratios.len() as f64;
    let mean = ratios.iter().sum::<f64>() / n;
    let error = (ratios.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n).sqrt() / n.sqrt();
    assert!((mean - 1.0).abs() < 4.0 * error && error < 0.05, "{mean} +- {error}");
}
