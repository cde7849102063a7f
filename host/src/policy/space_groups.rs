//! The distribution that space groups are drawn from: a policy is conditional on the group.

use std::collections::BTreeMap;

use super::{Draws, Restriction, SampleStream};
use crate::crystal::SpaceGroup;

/// Space groups and their probabilities.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceGroupDistribution {
    groups: Vec<SpaceGroup>,
    /// Running sums of the weights.
    cumulative: Vec<f64>,
}

impl SpaceGroupDistribution {
    /// Weights by number 1..=230, not normalised. `None` if there is no positive weight, or a number or weight out of range.
    pub fn new(weights: &BTreeMap<u8, f64>) -> Option<Self> {
        let (mut groups, mut cumulative, mut sum) = (Vec::new(), Vec::new(), 0.0);
        for (number, weight) in weights {
            if !(weight.is_finite() && *weight >= 0.0) {
                return None;
            }
            if *weight > 0.0 {
                sum += weight;
                groups.push(SpaceGroup::new(i64::from(*number)).ok()?);
                cumulative.push(sum);
            }
        }
        (sum > 0.0 && sum.is_finite()).then_some(Self { groups, cumulative })
    }

    /// All groups alike: for a policy that does not know its training frequencies.
    pub fn uniform() -> Self {
        let groups: Vec<SpaceGroup> = SpaceGroup::all().collect();
        let cumulative = (1..=groups.len()).map(|n| n as f64).collect();
        Self { groups, cumulative }
    }

    /// The distribution over the groups that have a wanted crystal, in the same proportions, and the groups that are left out;
    /// `None` in place of the former if no group has one.
    pub fn restricted(&self, restriction: &Restriction) -> (Option<Self>, Vec<SpaceGroup>) {
        let mut before = 0.0;
        let mut kept = Self { groups: Vec::new(), cumulative: Vec::new() };
        let (mut sum, mut left_out) = (0.0, Vec::new());
        for (group, cumulative) in self.groups.iter().zip(&self.cumulative) {
            let weight = cumulative - before;
            before = *cumulative;
            if restriction.allows(*group) {
                sum += weight;
                kept.groups.push(*group);
                kept.cumulative.push(sum);
            } else {
                left_out.push(*group);
            }
        }
        match left_out.is_empty() {
            // The very same numbers: a sum of differences may differ in the last bit.
            true => (Some(self.clone()), left_out),
            false => ((sum > 0.0).then_some(kept), left_out),
        }
    }

    /// The groups of samples `first..first + count`; each has a stream of its own.
    pub fn draw(&self, draws: Draws, count: usize) -> Vec<SpaceGroup> {
        let total = self.cumulative.last().copied().unwrap_or(0.0);
        let one = |i: usize| {
            let x = SampleStream::of_group(draws.seed, draws.step, draws.first + i as u32).uniform() * total;
            let at = self.cumulative.partition_point(|sum| *sum <= x).min(self.groups.len() - 1);
            self.groups[at]
        };
        (0..count).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frequencies_come_out_and_batches_do_not_matter() {
        let weights = BTreeMap::from([(1, 1.0), (225, 3.0), (62, 0.0)]);
        let distribution = SpaceGroupDistribution::new(&weights).unwrap();
        let draws = Draws { seed: 3, step: 1, first: 0 };
        let all = distribution.draw(draws, 20_000);
        let cubic = all.iter().filter(|g| g.number() == 225).count() as f64 / 20_000.0;
        // Standard deviation 0.003.
        assert!((cubic - 0.75).abs() < 0.012, "{cubic}");
        assert!(all.iter().all(|g| g.number() != 62));
        assert_eq!(distribution.draw(Draws { first: 7, ..draws }, 5), all[7..12]);
    }

    #[test]
    fn impossible_weights_are_refused() {
        for weights in [vec![], vec![(1, 0.0)], vec![(231, 1.0)], vec![(1, -1.0), (2, 3.0)], vec![(1, f64::NAN)]] {
            assert!(SpaceGroupDistribution::new(&weights.into_iter().collect()).is_none());
        }
    }
}
