//! Figures per space group, and their averages with the space groups of the reference (the paper's figures 4 and 5).

use std::collections::BTreeMap;

use serde::Serialize;

use super::summary::{Figures, stability};
use super::{Proportion, Sample, Stability};
use crate::crystal::CRYSTAL_SYSTEMS;

/// Stability figures of the samples of each space group: the group that was asked for, else the one that was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct GroupFigures(pub BTreeMap<u8, Figures>);

/// An average over space groups.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Weighted {
    /// Sum of the groups' shares times the groups' weights, divided by the weights of the groups that have samples.
    pub value: f64,
    /// 95 % interval: the Wilson intervals of the groups, their halves added in squares (Newcombe, Stat. Med. 17, 873 (1998); Zou and
    /// Donner, Stat. Med. 27, 1693 (2008)).
    pub interval: [f64; 2],
    /// Share of the weights that belongs to groups with samples.
    pub covered: f64,
}

impl GroupFigures {
    /// Of samples whose group is known.
    pub fn new(samples: &[Sample], limits: Stability, known: bool) -> Self {
        let mut groups: BTreeMap<u8, Vec<&Sample>> = BTreeMap::new();
        for sample in samples {
            if let Some(group) = sample.group {
                groups.entry(group.number()).or_default().push(sample);
            }
        }
        let figures = |(group, samples): (u8, Vec<&Sample>)| {
            let of = samples.len();
            let mut figures = stability(&samples, of, limits, known, &|s| s.e_above_hull);
            figures.insert("samples", Proportion::new(of, of));
            (group, figures)
        };
        Self(groups.into_iter().map(figures).collect())
    }

    /// Samples of a group.
    pub fn samples(&self, group: u8) -> usize {
        self.0.get(&group).and_then(|figures| figures.get("samples")).map_or(0, |samples| samples.of)
    }

    /// Each figure averaged with these weights; nothing if no group with samples has one.
    pub fn weighted(&self, weights: &BTreeMap<u8, f64>) -> BTreeMap<&'static str, Weighted> {
        let names = self.0.values().next().into_iter().flat_map(|figures| figures.keys().copied());
        names.filter(|name| *name != "samples").filter_map(|name| Some((name, self.average(name, weights)?))).collect()
    }

    fn average(&self, name: &str, weights: &BTreeMap<u8, f64>) -> Option<Weighted> {
        let all: f64 = weights.values().sum();
        let weighted = self.0.iter().filter_map(|(group, figures)| {
            let share = figures.get(name)?;
            Some((*weights.get(group)?, share.value?, share.interval?))
        });
        let weighted: Vec<(f64, f64, [f64; 2])> = weighted.filter(|(weight, ..)| *weight > 0.0).collect();
        let covered: f64 = weighted.iter().map(|(weight, ..)| weight).sum();
        if covered <= 0.0 {
            return None;
        }
        let (mut value, mut squares) = (0.0, [0.0; 2]);
        for (weight, share, interval) in weighted {
            value += weight / covered * share;
            for (square, end) in squares.iter_mut().zip(interval) {
                *square += (weight / covered * (share - end)).powi(2);
            }
        }
        let [low, high] = squares.map(f64::sqrt);
        let interval = [(value - low).max(0.0), (value + high).min(1.0)];
        Some(Weighted { value, interval, covered: covered / all })
    }

    /// Of each crystal system the two groups with the most samples, in order: fourteen at most, as in the paper's figure 4.
    pub fn two_per_system(&self) -> Vec<u8> {
        two_per_system(self.0.keys().map(|group| (*group, self.samples(*group))))
    }
}

/// Of each crystal system the two groups with the most samples, in order, from the groups and their samples.
pub fn two_per_system(samples: impl Iterator<Item = (u8, usize)>) -> Vec<u8> {
    let samples: BTreeMap<u8, usize> = samples.collect();
    let mut chosen = Vec::new();
    let mut first = 1;
    for (_, last) in CRYSTAL_SYSTEMS {
        let mut groups: Vec<(u8, usize)> = samples.range(first..=last).map(|(group, count)| (*group, *count)).collect();
        groups.sort_by_key(|(group, count)| (std::cmp::Reverse(*count), *group));
        groups.truncate(2);
        groups.sort_unstable();
        chosen.extend(groups.into_iter().map(|(group, _)| group));
        first = last + 1;
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::SpaceGroup;

    fn sample(group: i64, e_above_hull: f64) -> Sample {
        Sample { group: SpaceGroup::new(group).ok(), e_above_hull: Some(e_above_hull), ..Sample::default() }
    }

    #[test]
    fn averages_have_the_weights_of_the_reference() {
        let mut samples = vec![sample(1, 1.0); 8];
        samples.extend(vec![sample(1, -0.1); 2]);
        samples.extend(vec![sample(225, -0.1); 3]);
        samples.push(sample(225, 0.05));
        samples.push(Sample::default());
        let groups = GroupFigures::new(&samples, Stability::default(), false);
        assert_eq!((groups.samples(1), groups.samples(225), groups.samples(2)), (10, 4, 0));
        // Half of the reference has group 2, of which there are no samples.
        let averages = groups.weighted(&BTreeMap::from([(1, 30.0), (225, 10.0), (2, 40.0)]));
        let Weighted { value, interval, covered } = averages["stable"];
        // Wilson's intervals of 2 of 10 and 3 of 4 by SciPy: [0.05668, 0.50984] and [0.30064, 0.95441].
        let (p, q, low, high) = (0.2, 0.75, [0.056_681_5, 0.300_641_8], [0.509_837_5, 0.954_413_5]);
        let side = |[first, second]: [f64; 2]| (0.75 * (first - p)).hypot(0.25 * (second - q));
        assert!((value - 0.3375).abs() < 1e-12 && covered == 0.5);
        assert!((interval[0] - (value - side(low))).abs() < 1e-5, "{interval:?}");
        assert!((interval[1] - (value + side(high))).abs() < 1e-5, "{interval:?}");
        assert_eq!(groups.weighted(&BTreeMap::from([(7, 1.0)])), BTreeMap::new());
    }

    #[test]
    fn two_groups_of_each_system() {
        let counts = [(1, 1), (2, 3), (14, 2), (62, 5), (63, 1), (64, 4), (225, 1), (221, 1), (216, 1)];
        let samples: Vec<Sample> =
            counts.into_iter().flat_map(|(group, count)| vec![sample(group, 0.0); count]).collect();
        let groups = GroupFigures::new(&samples, Stability::default(), false);
        assert_eq!(groups.two_per_system(), [1, 2, 14, 62, 64, 216, 221]);
    }
}
