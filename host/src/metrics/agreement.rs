//! How far several judges agree on the energies above hull of the same crystals.

use serde::Serialize;

use super::{Proportion, Sample};

/// Two judges, compared on the crystals for which both have an energy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairAgreement {
    /// Which judges, counted from 1.
    pub judges: [usize; 2],
    /// Crystals that both have an energy for.
    pub both: usize,
    /// Spearman's rank correlation of their energies above hull; `None` where there is none (fewer than two crystals, or no spread).
    pub spearman: Option<f64>,
    /// Crystals that both put within the limit, or both above it.
    pub same_verdict: Proportion,
    /// Of the crystals that the first puts within the limit, those that the second does too.
    pub confirmed: Proportion,
}

/// All pairs of judges, in their order, by a limit in eV/atom.
pub fn pair_agreements(samples: &[Sample], judges: usize, limit: f64) -> Vec<PairAgreement> {
    let pairs = (0..judges).flat_map(|first| (first + 1..judges).map(move |second| (first, second)));
    pairs.map(|(first, second)| pair_agreement(samples, first, second, limit)).collect()
}

fn pair_agreement(samples: &[Sample], first: usize, second: usize, limit: f64) -> PairAgreement {
    let energy = |sample: &Sample, judge: usize| sample.by_judge.get(judge).copied().flatten();
    let both = samples.iter().filter_map(|sample| Some((energy(sample, first)?, energy(sample, second)?)));
    let (one, other): (Vec<f64>, Vec<f64>) = both.unzip();
    let verdicts = || one.iter().zip(&other).map(|(x, y)| (*x <= limit, *y <= limit));
    let within = verdicts().filter(|(x, _)| *x).count();
    PairAgreement {
        judges: [first + 1, second + 1],
        both: one.len(),
        spearman: correlation(&ranks(&one), &ranks(&other)),
        same_verdict: Proportion::new(verdicts().filter(|(x, y)| x == y).count(), one.len()),
        confirmed: Proportion::new(verdicts().filter(|(x, y)| *x && *y).count(), within),
    }
}

/// Samples that the first judge puts within the limit, and no other judge that has an energy for them; at least one has.
pub fn only_by_first(samples: &[Sample], limit: f64) -> Vec<usize> {
    let alone = |sample: &Sample| match sample.by_judge.split_first() {
        Some((Some(first), others)) => {
            let mut others = others.iter().flatten().peekable();
            *first <= limit && others.peek().is_some() && others.all(|e| *e > limit)
        }
        _ => false,
    };
    samples.iter().enumerate().filter(|(_, sample)| alone(sample)).map(|(index, _)| index).collect()
}

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let first = order.partition_point(|index| values[*index] < values[equal[0]]);
        equal.iter().for_each(|index| ranks[*index] = first as f64 + (equal.len() + 1) as f64 / 2.0);
    }
    ranks
}

/// Pearson's correlation.
fn correlation(one: &[f64], other: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (x, y) = (mean(one), mean(other));
    let sum = |f: &dyn Fn(f64, f64) -> f64| one.iter().zip(other).map(|(a, b)| f(a - x, b - y)).sum::<f64>();
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    (one.len() > 1 && spread > 0.0).then(|| sum(&|a, b| a * b) / spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(first: &[f64], second: &[f64]) -> Vec<Sample> {
        let known = |energy: f64| Some(energy).filter(|energy| energy.is_finite());
        let sample = |(a, b): (&f64, &f64)| Sample { by_judge: vec![known(*a), known(*b)], ..Sample::default() };
        first.iter().zip(second).map(sample).collect()
    }

    /// SciPy 1.17: `spearmanr([0.1, 0.4, 0.4, -0.2, 0.9, 0.3], [0.2, 0.1, 0.5, -0.1, 0.5, 0.6])`.
    #[test]
    fn correlations_are_scipys() {
        let first = [0.1, 0.4, 0.4, -0.2, 0.9, 0.3, f64::NAN, -1.0];
        let second = [0.2, 0.1, 0.5, -0.1, 0.5, 0.6, 0.0, f64::NAN];
        let found = pair_agreements(&samples(&first, &second), 2, 0.1);
        assert_eq!((found.len(), found[0].judges, found[0].both), (1, [1, 2], 6));
        assert!((found[0].spearman.unwrap() - 0.455_882_352_941_176_46).abs() < 1e-12);
        // Both: the fourth. The first alone: 0.1. The second alone: 0.1 beside 0.4.
        assert_eq!((found[0].same_verdict.count, found[0].confirmed.count, found[0].confirmed.of), (4, 1, 2));
        let flat = pair_agreements(&samples(&[1.0, 1.0], &[0.0, 2.0]), 2, 0.1);
        assert_eq!(flat[0].spearman, None);
        assert_eq!(pair_agreements(&[], 2, 0.1)[0].both, 0);
    }

    #[test]
    fn what_only_the_first_likes_is_named() {
        let first = [0.0, 0.0, 0.0, 0.5, f64::NAN];
        let second = [0.0, 0.3, f64::NAN, 0.0, 0.0];
        assert_eq!(only_by_first(&samples(&first, &second), 0.1), [1]);
    }
}
