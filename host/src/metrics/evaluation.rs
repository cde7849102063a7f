//! Everything that is computed of a set of samples.

use std::collections::BTreeMap;

use serde::Serialize;

use super::summary::{Figures, figures, stability};
use super::{
    Distances, GroupFigures, Histogram, Nearest, PairAgreement, Sample, Stability, Tally, Weighted, only_by_first,
    pair_agreements,
};

/// What a set of samples is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Measure<'a> {
    /// Samples that were asked for.
    pub requested: usize,
    /// Bounds of stability.
    pub limits: Stability,
    /// Number of judges; without one there is no stability.
    pub judges: usize,
    /// The known structures; without them there is no novelty.
    pub known: Option<&'a Tally>,
}

/// The figures of a set of samples: as they are, or relaxed.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// Shares of all samples.
    pub metrics: Figures,
    /// Energies above hull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e_hull: Option<Histogram>,
    /// Stability by space group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space_groups: Option<GroupFigures>,
    /// Of each crystal system the two groups with the most samples.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub two_per_system: Vec<u8>,
    /// Averages over space groups with the weights of the known structures.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weighted: BTreeMap<&'static str, Weighted>,
    /// Distances to the distributions of the known structures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distances: Option<Distances>,
    /// Average minimum distances to the nearest known structure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest_known: Option<Nearest>,
    /// What several judges say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judges: Option<Judges>,
}

/// What several judges say of the same samples.
#[derive(Clone, Debug, Serialize)]
pub struct Judges {
    /// By each judge alone, in their order.
    pub by_each: Vec<Figures>,
    /// What every judge agrees on: a sample counts if each has an energy for it and puts it within the bound.
    pub by_all: Figures,
    /// By at least one judge.
    pub by_any: Figures,
    /// Each pair, by the bound of metastability.
    pub pairs: Vec<PairAgreement>,
    /// Samples, counted from 0, that the first judge alone puts within the bound of metastability.
    #[serde(skip)]
    pub only_by_first: Vec<usize>,
}

impl Evaluation {
    /// Of samples, and what those of them are like whose geometry is sound.
    pub fn new(samples: &[Sample], tally: &Tally, measure: Measure<'_>) -> Self {
        let Measure { requested, limits, judges, known } = measure;
        let is_judged = judges > 0;
        let metrics = figures(samples, requested, is_judged.then_some(limits), known.is_some());
        let groups = is_judged.then(|| GroupFigures::new(samples, limits, known.is_some()));
        let groups = groups.filter(|groups| !groups.0.is_empty());
        let weights = known.map(Tally::space_groups).unwrap_or_default();
        Self {
            metrics,
            e_hull: is_judged.then(|| Histogram::new(samples.iter().map(|sample| sample.e_above_hull))),
            two_per_system: groups.as_ref().map(GroupFigures::two_per_system).unwrap_or_default(),
            weighted: groups.as_ref().map(|groups| groups.weighted(&weights)).unwrap_or_default(),
            space_groups: groups,
            distances: known.and_then(|known| tally.distances(known)),
            nearest_known: Nearest::new(samples.iter().filter_map(|sample| sample.nearest)),
            judges: (judges > 1).then(|| Judges::new(samples, measure)),
        }
    }
}

impl Judges {
    fn new(samples: &[Sample], Measure { requested, limits, judges, known }: Measure<'_>) -> Self {
        let all: Vec<&Sample> = samples.iter().collect();
        let of = requested.max(samples.len());
        let by = |energy: &dyn Fn(&Sample) -> Option<f64>| stability(&all, of, limits, known.is_some(), energy);
        Self {
            by_each: (0..judges).map(|judge| by(&|s| s.by_judge.get(judge).copied().flatten())).collect(),
            by_all: by(&Sample::highest),
            by_any: by(&Sample::lowest),
            pairs: pair_agreements(samples, judges, limits.metastable),
            only_by_first: only_by_first(samples, limits.metastable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_all_is_within_by_each_and_that_within_by_any() {
        let judged = [(0.0, 0.0), (0.05, 0.3), (0.3, -0.1), (1.0, 1.0)];
        let sample = |(one, other): (f64, f64)| Sample {
            unique: Some(true),
            novel: Some(true),
            e_above_hull: Some(one),
            by_judge: vec![Some(one), Some(other)],
            ..Sample::default()
        };
        let samples: Vec<Sample> = judged.into_iter().map(sample).collect();
        let tally = Tally::default();
        let measure = Measure { requested: 10, limits: Stability::default(), judges: 2, known: Some(&tally) };
        let found = Evaluation::new(&samples, &tally, measure);
        assert!(found.distances.is_none() && found.space_groups.is_none() && found.weighted.is_empty());
        let judges = found.judges.unwrap();
        let count = |figures: &Figures| (figures["msun"].count, figures["sun"].count, figures["msun"].of);
        assert_eq!((count(&judges.by_each[0]), count(&judges.by_each[1])), ((2, 1, 10), (2, 2, 10)));
        assert_eq!((count(&judges.by_all), count(&judges.by_any)), ((1, 1, 10), (3, 2, 10)));
        assert_eq!(judges.only_by_first, [1]);
        assert_eq!(found.metrics["sun"].count, 1);
        let alone = Evaluation::new(&samples, &tally, Measure { judges: 1, ..measure });
        assert!(alone.judges.is_none() && alone.e_hull.is_some());
    }
}
