//! Random streams that belong to what they are for, and the draws that a policy makes from them.
//!
//! A sample's numbers depend on (seed, step, sample index) and on nothing else: not on batch size, threads, ranks, or what other
//! samples drew. The generator is ChaCha8. Its 32-byte key is the seed (little-endian u64) followed by a 24-byte label of the
//! purpose; its 64-bit stream number is `step << 32 | index` for samples.

use std::f64::consts::{PI, TAU};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};

/// Logits at or below this are forbidden: masks subtract 1e10 in the reference, and no network gives such a number by itself.
const FORBIDDEN: f64 = -1e9;

/// Below this concentration a von Mises density differs from the uniform one by less than rounding.
const UNIFORM_KAPPA: f64 = 1e-15;

/// Above this concentration all draws are the location itself, to the last bit.
const POINT_KAPPA: f64 = 1e100;

const SAMPLE: [u8; 24] = *b"temper policy sample v1 ";
const GROUP: [u8; 24] = *b"temper policy group v1  ";
const INITIALISATION: [u8; 24] = *b"temper policy initial v1";

/// Independent random numbers for one purpose.
#[derive(Clone, Debug)]
pub struct SampleStream(ChaCha8Rng);

/// Why nothing can be drawn.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum DrawError {
    /// A logit that is NaN or positive infinity.
    #[error("logit {index} is {value}")]
    Logit {
        /// Class, from 0.
        index: usize,
        /// Its logit.
        value: f64,
    },
    /// No classes, or all of them masked.
    #[error("none of {classes} classes is allowed")]
    NothingAllowed {
        /// Number of classes.
        classes: usize,
    },
    /// A temperature that is not positive and finite.
    #[error("temperature is {0}, but must be positive and finite")]
    Temperature(f64),
    /// A `top_p` outside of [0, 1].
    #[error("top_p is {0}, but must be between 0 and 1")]
    TopP(f64),
    /// A von Mises distribution with impossible parameters.
    #[error("no von Mises distribution has location {loc} and concentration {kappa}")]
    VonMises {
        /// Location, radians.
        loc: f64,
        /// Concentration.
        kappa: f64,
    },
}

/// The generator with the key `seed`, `purpose`, at stream number `stream`.
pub fn keyed_stream(seed: u64, purpose: [u8; 24], stream: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..].copy_from_slice(&purpose);
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(stream);
    generator
}

/// The stream in which parameter tensor `index` finds its initial values.
pub(super) fn initialisation_stream(seed: u64, index: u64) -> SampleStream {
    SampleStream::keyed(seed, INITIALISATION, index)
}

impl SampleStream {
    /// The stream of one sample of one step.
    pub fn new(seed: u64, step: u32, index: u32) -> Self {
        Self::keyed(seed, SAMPLE, u64::from(step) << 32 | u64::from(index))
    }

    /// The stream from which one sample of one step gets its space group.
    pub(super) fn of_group(seed: u64, step: u32, index: u32) -> Self {
        Self::keyed(seed, GROUP, u64::from(step) << 32 | u64::from(index))
    }

    fn keyed(seed: u64, purpose: [u8; 24], stream: u64) -> Self {
        Self(keyed_stream(seed, purpose, stream))
    }

    /// Uniform on [0, 1): a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (0.5f64).powi(53)
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// Standard normal given that it lies within `cut` > 0 of zero, by rejection; not rescaled to unit variance.
    pub fn truncated_normal(&mut self, cut: f64) -> f64 {
        loop {
            let value = self.normal();
            if value.abs() <= cut {
                return value;
            }
        }
    }

    /// A class drawn from [`probabilities`] of the logits.
    ///
    /// # Errors
    /// As [`probabilities`].
    pub fn categorical<T: Copy + Into<f64>>(
        &mut self,
        logits: &[T],
        temperature: f64,
        top_p: f64,
    ) -> Result<usize, DrawError> {
        let probabilities = probabilities(logits, temperature, top_p)?;
        let total: f64 = probabilities.iter().sum();
        let mut left = self.uniform() * total;
        let mut drawn = 0;
        for (class, p) in probabilities.iter().enumerate().filter(|(_, p)| **p > 0.0) {
            drawn = class; // Stays at the last possible class if rounding leaves a remainder.
            left -= p;
            if left < 0.0 {
                break;
            }
        }
        Ok(drawn)
    }

    /// An angle in [-pi, pi) from the von Mises distribution with location `loc` (any real, radians) and concentration `kappa`.
    ///
    /// Rejection from a wrapped Cauchy envelope (Best and Fisher, Appl. Statist. 28 (1979) 152), written in 1 - cos(angle)
    /// so that neither small nor large concentrations cancel. At least 65 % of the proposals are accepted.
    ///
    /// # Errors
    /// [`DrawError::VonMises`] when a parameter is not finite or `kappa` is negative.
    pub fn von_mises(&mut self, loc: f64, kappa: f64) -> Result<f64, DrawError> {
        if !(loc.is_finite() && kappa.is_finite() && kappa >= 0.0) {
            return Err(DrawError::VonMises { loc, kappa });
        }
        if kappa < UNIFORM_KAPPA {
            return Ok(self.uniform() * TAU - PI);
        }
        Ok(wrap(loc + self.centred_von_mises(kappa.min(POINT_KAPPA))))
    }

    fn centred_von_mises(&mut self, kappa: f64) -> f64 {
        let excess = envelope_excess(kappa);
        loop {
            let half_angle = PI / 2.0 * (2.0 * self.uniform() - 1.0);
            let (sin, cos) = half_angle.sin_cos();
            // With s = 1 + excess, z = cos(2 half_angle) and w = (1 + s z) / (s + z), the cosine proposed: 1 - w.
            let one_minus_cos = 2.0 * sin * sin / (1.0 + 2.0 * cos * cos / excess);
            let y = kappa * (excess + one_minus_cos);
            let v = self.uniform();
            if y * (2.0 - y) >= v || (y / v).ln() + 1.0 >= y {
                return 2.0 * (one_minus_cos / 2.0).min(1.0).sqrt().asin().copysign(half_angle);
            }
        }
    }
}

/// s - 1 of Best and Fisher's envelope: s = (1 + rho^2) / (2 rho), tending to 1/kappa for small concentrations.
fn envelope_excess(kappa: f64) -> f64 {
    let root = 1f64.hypot(2.0 * kappa);
    let r = 1.0 + root;
    // rho = (r - sqrt(2 r)) / (2 kappa), and 1 - rho, each without a difference of nearly equal numbers.
    let rho = 2.0 * kappa * r.sqrt() / ((r.sqrt() + 2f64.sqrt()) * r);
    let one_minus_rho =
        if kappa < 1.0 { 1.0 - rho } else { ((2.0 * r).sqrt() - 1.0 - 1.0 / (2.0 * kappa + root)) / (2.0 * kappa) };
    one_minus_rho * one_minus_rho / (2.0 * rho)
}

/// The same angle in [-pi, pi).
fn wrap(angle: f64) -> f64 {
    let wrapped = (angle + PI).rem_euclid(TAU) - PI;
    if wrapped < PI { wrapped } else { -PI }
}

/// Probabilities that [`SampleStream::categorical`] draws with: classes masked by -1e10 (or minus infinity) have none; with
/// `top_p` < 1 the classes, most likely first, are cut off after the cumulative probability exceeds `top_p` (the first always
/// stays), taken at temperature 1; what is left is proportional to exp(logit / temperature).
///
/// # Errors
/// Any [`DrawError`] but `VonMises`.
pub fn probabilities<T: Copy + Into<f64>>(logits: &[T], temperature: f64, top_p: f64) -> Result<Vec<f64>, DrawError> {
    if !(temperature.is_finite() && temperature > 0.0) {
        return Err(DrawError::Temperature(temperature));
    }
    if !(0.0..=1.0).contains(&top_p) {
        return Err(DrawError::TopP(top_p));
    }
    let mut logits: Vec<f64> = logits.iter().map(|logit| (*logit).into()).collect();
    if let Some((index, value)) = logits.iter().enumerate().find(|(_, x)| x.is_nan() || **x == f64::INFINITY) {
        return Err(DrawError::Logit { index, value: *value });
    }
    for logit in logits.iter_mut().filter(|logit| **logit <= FORBIDDEN) {
        *logit = f64::NEG_INFINITY;
    }
    if logits.iter().all(|logit| *logit == f64::NEG_INFINITY) {
        return Err(DrawError::NothingAllowed { classes: logits.len() });
    }
    if top_p < 1.0 {
        keep_nucleus(&mut logits, top_p);
    }
    Ok(softmax(&logits, temperature))
}

/// Forbids the classes outside of the nucleus. Equal logits keep the order of their classes.
fn keep_nucleus(logits: &mut [f64], top_p: f64) {
    let probabilities = softmax(logits, 1.0);
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
    let mut before = 0.0;
    for (rank, class) in order.into_iter().enumerate() {
        if rank > 0 && before > top_p {
            logits[class] = f64::NEG_INFINITY;
        }
        before += probabilities[class];
    }
}

/// exp(logit / temperature), normalised; at least one logit is finite.
fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logits.iter().map(|logit| ((logit - highest) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DRAWS: usize = 100_000;

    /// I1(kappa) / I0(kappa) = E[cos], and E[cos 2t] = 1 - 2 E[cos]/kappa, by the trapezoidal rule on the density itself,
    /// which converges exponentially for a periodic function.
    fn mean_cosines(kappa: f64) -> [f64; 2] {
        let points = 20_000;
        let sum = |f: &dyn Fn(f64) -> f64| -> f64 {
            (0..points)
                .map(|i| {
                    let t = TAU * f64::from(i) / f64::from(points);
                    f(t) * (kappa * (t.cos() - 1.0)).exp()
                })
                .sum()
        };
        let norm = sum(&|_| 1.0);
        [sum(&|t| t.cos()) / norm, sum(&|t| (2.0 * t).cos()) / norm]
    }

    #[test]
    fn von_mises_moments_are_ratios_of_bessel_functions() {
        for kappa in [0.0, 1e-5, 0.01, 0.5, 1.0, 2.0, 10.0, 100.0, 701.0, 2000.0] {
            let mut stream = SampleStream::new(1, 2, 3);
            let angles: Vec<f64> = (0..DRAWS).map(|_| stream.von_mises(0.7, kappa).unwrap() - 0.7).collect();
            for (k, expected) in mean_cosines(kappa).into_iter().enumerate() {
                let values = angles.iter().map(|t| 1.0 - ((k + 1) as f64 * t).cos());
                let (mean, error) = mean_and_error(values);
                assert!((mean - (1.0 - expected)).abs() < 4.5 * error, "kappa {kappa}: {mean} {expected} {error}");
            }
            let (sine, error) = mean_and_error(angles.iter().map(|t| t.sin()));
            assert!(sine.abs() < 4.5 * error, "kappa {kappa} leans: {sine}");
        }
    }

    fn mean_and_error(values: impl Iterator<Item = f64>) -> (f64, f64) {
        let (sum, squares) = values.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
        let n = DRAWS as f64;
        let mean = sum / n;
        (mean, ((squares / n - mean * mean).max(0.0) / n).sqrt())
    }

    /// The textbook form of the envelope in ranges where it is accurate, and its limits elsewhere.
    #[test]
    fn envelope_agrees_with_the_textbook() {
        for kappa in [0.5, 0.999, 1.001, 3.0, 50.0] {
            let r = 1.0 + (1.0 + 4.0_f64 * kappa * kappa).sqrt();
            let rho = (r - (2.0 * r).sqrt()) / (2.0 * kappa);
            let s = (1.0 + rho * rho) / (2.0 * rho);
            assert!((envelope_excess(kappa) - (s - 1.0)).abs() < 1e-12 * s, "{kappa}");
        }
        for kappa in [1e-4, 1e-9, 1e-14] {
            assert!((envelope_excess(kappa) * kappa - 1.0).abs() < 2.0 * kappa);
        }
        for kappa in [1e6, 1e12, 1e50, POINT_KAPPA] {
            assert!((envelope_excess(kappa) * 2.0 * kappa - 1.0).abs() < 4.0 / f64::sqrt(kappa) + 1e-12, "{kappa}");
        }
    }

    /// Histogram against the density; chi-square with 31 degrees of freedom exceeds 66 once in 4000 times.
    #[test]
    fn von_mises_histogram_follows_the_density() {
        let (kappa, bins) = (1.5, 32usize);
        let mut stream = SampleStream::new(5, 0, 0);
        let mut counts = vec![0usize; bins];
        for _ in 0..DRAWS {
            let x = (stream.von_mises(0.0, kappa).unwrap() + PI) / TAU;
            counts[(x * bins as f64) as usize] += 1;
        }
        let fine = 1000;
        let mut masses: Vec<f64> = (0..bins)
            .map(|bin| {
                (0..fine)
                    .map(|i| {
                        log_density(TAU * (bin as f64 + (i as f64 + 0.5) / fine as f64) / bins as f64 - PI, kappa).exp()
                    })
                    .sum()
            })
            .collect();
        let total: f64 = masses.iter().sum();
        masses.iter_mut().for_each(|mass| *mass /= total);
        assert!(chi_square(&counts, &masses) < 66.0);
    }

    /// Not normalised.
    fn log_density(angle: f64, kappa: f64) -> f64 {
        kappa * (angle.cos() - 1.0)
    }

    fn chi_square(counts: &[usize], probabilities: &[f64]) -> f64 {
        let n: usize = counts.iter().sum();
        counts
            .iter()
            .zip(probabilities)
            .filter(|(_, p)| **p > 0.0)
            .map(|(count, p)| (*count as f64 - n as f64 * p).powi(2) / (n as f64 * p))
            .sum()
    }

    proptest! {
        #[test]
        fn von_mises_angles_are_wrapped(seed: u64, loc in -1e6..1e6f64, exponent in -320.0..308.0f64) {
            let angle = SampleStream::new(seed, 0, 0).von_mises(loc, 10f64.powf(exponent)).unwrap();
            prop_assert!((-PI..PI).contains(&angle));
        }
    }

    #[test]
    fn impossible_von_mises_is_refused() {
        let mut stream = SampleStream::new(0, 0, 0);
        for (loc, kappa) in [(f64::NAN, 1.0), (f64::INFINITY, 1.0), (0.0, f64::NAN), (0.0, -1e-9), (0.0, f64::INFINITY)]
        {
            assert!(matches!(stream.von_mises(loc, kappa), Err(DrawError::VonMises { .. })));
        }
        assert!((stream.von_mises(1.25, f64::MAX).unwrap() - 1.25).abs() < 1e-15);
    }

    /// Chi-square with 3 degrees of freedom exceeds 20 once in 5000 times.
    #[test]
    fn categorical_draws_follow_the_probabilities() {
        let weights = [0.1f64, 0.0, 0.2, 0.3, 0.4];
        let logits: Vec<f32> =
            weights.iter().map(|w| if *w > 0.0 { w.ln() as f32 + 3.0 } else { 3.0 - 1e10 }).collect();
        for (temperature, power) in [(1.0, 1.0), (0.5, 2.0), (2.0, 0.5)] {
            let tempered: Vec<f64> = weights.iter().map(|w| w.powf(power)).collect();
            let total: f64 = tempered.iter().sum();
            let expected: Vec<f64> = tempered.iter().map(|w| w / total).collect();
            let mut stream = SampleStream::new(7, 0, 0);
            let mut counts = [0; 5];
            for _ in 0..20_000 {
                counts[stream.categorical(&logits, temperature, 1.0).unwrap()] += 1;
            }
            assert_eq!(counts[1], 0);
            assert!(chi_square(&counts, &expected) < 20.0, "T = {temperature}: {counts:?} {expected:?}");
        }
    }

    /// Cumulative probabilities 1/2, 3/4, 7/8, 1 of classes 2, 0, 3, 1, exact in binary.
    #[test]
    fn top_p_keeps_the_class_that_crosses_the_bound() {
        let logits = [0.25f64.ln(), 0.125f64.ln(), 0.5f64.ln(), 0.125f64.ln() + 1e-9];
        let kept = |top_p: f64| -> Vec<usize> {
            let p = probabilities(&logits, 1.0, top_p).unwrap();
            (0..4).filter(|class| p[*class] > 0.0).collect()
        };
        assert_eq!(kept(0.0), [2]);
        assert_eq!(kept(0.4), [2]);
        assert_eq!(kept(0.6), [0, 2]);
        assert_eq!(kept(0.8), [0, 2, 3]);
        assert_eq!(kept(0.9), [0, 1, 2, 3]);
        assert_eq!(kept(1.0), [0, 1, 2, 3]);
        // Exactly at the bound the next class stays: it is dropped only when the probability before it exceeds top_p.
        let even = [0.0f64; 4];
        assert_eq!(probabilities(&even, 1.0, 0.5).unwrap(), [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0, 0.0]);
        assert_eq!(probabilities(&even, 1.0, 0.49).unwrap(), [0.5, 0.5, 0.0, 0.0]);
        // The cut is made at temperature 1: at temperature 0.1 all weight of class 2 would exceed 0.6 alone.
        let cold = probabilities(&logits, 0.1, 0.6).unwrap();
        assert!((cold[0] - 1.0 / 1025.0).abs() < 1e-12 && cold[1] == 0.0);
    }

    #[test]
    fn unusable_logits_are_refused() {
        let mut stream = SampleStream::new(0, 0, 0);
        assert_eq!(stream.categorical::<f32>(&[], 1.0, 1.0), Err(DrawError::NothingAllowed { classes: 0 }));
        assert_eq!(stream.categorical(&[-1e10f32; 3], 1.0, 1.0), Err(DrawError::NothingAllowed { classes: 3 }));
        assert!(matches!(stream.categorical(&[0.0, f64::NAN], 1.0, 1.0), Err(DrawError::Logit { index: 1, .. })));
        assert!(matches!(stream.categorical(&[f32::INFINITY], 1.0, 1.0), Err(DrawError::Logit { index: 0, .. })));
        for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(stream.categorical(&[0.0], temperature, 1.0), Err(DrawError::Temperature(_))));
        }
        for top_p in [-0.1, 1.1, f64::NAN] {
            assert!(matches!(stream.categorical(&[0.0], 1.0, top_p), Err(DrawError::TopP(_))));
        }
        assert_eq!(stream.categorical(&[f64::NEG_INFINITY, -5e8, -1e10], 1e-300, 0.5), Ok(1));
        assert_eq!(stream.categorical(&[1e10, 0.0], 1e-300, 1.0), Ok(0));
    }

    #[test]
    fn streams_depend_on_seed_step_and_index_alone() {
        let draw = |seed, step, index| -> Vec<f64> {
            let mut stream = SampleStream::new(seed, step, index);
            (0..8).map(|i| if i % 2 == 0 { stream.uniform() } else { stream.normal() }).collect()
        };
        let mut interleaved: Vec<SampleStream> = (0..4).rev().map(|i| SampleStream::new(9, 1, i)).collect();
        let mut rows = vec![Vec::new(); 4];
        for i in 0..8 {
            for (stream, row) in interleaved.iter_mut().zip(&mut rows) {
                row.push(if i % 2 == 0 { stream.uniform() } else { stream.normal() });
            }
        }
        for (index, row) in (0..4).rev().zip(rows) {
            assert_eq!(row, draw(9, 1, index));
        }
        let mut first: Vec<u64> = Vec::new();
        for (seed, step, index) in [(9, 1, 0), (9, 0, 1), (9, 1, 1), (8, 1, 0), (9, u32::MAX, 0), (9, 0, u32::MAX)] {
            first.push(draw(seed, step, index)[0].to_bits());
        }
        first.push(initialisation_stream(9, 1).uniform().to_bits());
        let distinct: std::collections::BTreeSet<u64> = first.iter().copied().collect();
        assert_eq!(distinct.len(), first.len());
    }

    #[test]
    fn normal_and_uniform_have_their_moments() {
        let mut stream = SampleStream::new(11, 0, 0);
        let (mean, error) = mean_and_error((0..DRAWS).map(|_| stream.uniform()));
        assert!((mean - 0.5).abs() < 4.5 * error && (error * (DRAWS as f64 * 12.0).sqrt() - 1.0).abs() < 0.01);
        let (mean, error) = mean_and_error((0..DRAWS).map(|_| stream.normal()));
        assert!(mean.abs() < 4.5 * error && (error * (DRAWS as f64).sqrt() - 1.0).abs() < 0.01);
        let (mean, error) = mean_and_error((0..DRAWS).map(|_| stream.truncated_normal(2.0)));
        // Standard deviation of a normal cut at two sigma.
        assert!(mean.abs() < 4.5 * error && (error * (DRAWS as f64).sqrt() - 0.879_625_66).abs() < 0.01);
    }
}
