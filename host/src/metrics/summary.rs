//! The figures of a set of samples.

use std::collections::BTreeMap;

use super::{Proportion, Sample, Stability};

/// Shares of samples, by name.
pub type Figures = BTreeMap<&'static str, Proportion>;

/// The figures. Their denominators are all samples that were asked for, whatever became of them, except for those `of_valid`.
///
/// Of samples among `requested`, at least as many as there are. Only what was looked for is in it: no stability without a hull,
/// no novelty without known structures.
pub fn figures(samples: &[Sample], requested: usize, limits: Option<Stability>, known: bool) -> Figures {
    let of = requested.max(samples.len());
    let share = |property: &dyn Fn(&Sample) -> bool| {
        let count = samples.iter().filter(|sample| property(sample)).count();
        Proportion::new(count, of)
    };
    let mut figures = BTreeMap::from([
        ("valid_structure", share(&|s| s.geometry == Some(true))),
        ("valid_composition", share(&|s| s.composition == Some(true))),
        ("valid", share(&Sample::is_valid)),
        ("unique", share(&|s| s.unique == Some(true))),
    ]);
    if samples.iter().any(|sample| sample.group_kept.is_some()) {
        figures.insert("space_group_kept", share(&|s| s.group_kept == Some(true)));
    }
    if known {
        figures.insert("novel", share(&|s| s.novel == Some(true)));
        figures.insert("unique_and_novel", share(&Sample::is_new));
    }
    if let Some(limits) = limits {
        let all: Vec<&Sample> = samples.iter().collect();
        figures.extend(stability(&all, of, limits, known, &|s| s.e_above_hull));
        if known {
            figures.extend(of_valid(samples, limits));
        }
    }
    figures
}

/// Stability figures of samples as shares of `of`, by an energy above hull (eV/atom); S.U.N. only where novelty is known.
pub fn stability(
    samples: &[&Sample],
    of: usize,
    Stability { stable, metastable }: Stability,
    known: bool,
    energy: &dyn Fn(&Sample) -> Option<f64>,
) -> Figures {
    let share = |property: &dyn Fn(&Sample, f64) -> bool| {
        let has = |sample: &&&Sample| energy(sample).is_some_and(|e| property(sample, e));
        Proportion::new(samples.iter().filter(has).count(), of)
    };
    let mut figures =
        BTreeMap::from([("stable", share(&|_, e| e <= stable)), ("metastable", share(&|_, e| e <= metastable))]);
    if known {
        figures.insert("sun", share(&|s, e| e <= stable && s.is_new()));
        figures.insert("msun", share(&|s, e| e <= metastable && s.is_new()));
        figures.insert("msun_exclusive", share(&|s, e| e > stable && e <= metastable && s.is_new()));
    }
    figures
}

/// The convention of LeMat-GenBench: invalid samples are dropped first, and M.S.U.N. excludes S.U.N.
fn of_valid(samples: &[Sample], limits: Stability) -> Figures {
    let valid: Vec<&Sample> = samples.iter().filter(|sample| sample.is_valid()).collect();
    let figures = stability(&valid, valid.len(), limits, true, &|s| s.e_above_hull);
    BTreeMap::from([("sun_of_valid", figures["sun"]), ("msun_of_valid", figures["msun_exclusive"])])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_counts_as_a_no_and_every_request_counts() {
        let good = Sample {
            geometry: Some(true),
            composition: Some(true),
            unique: Some(true),
            novel: Some(true),
            e_above_hull: Some(0.0),
            ..Sample::default()
        };
        let metastable = Sample { e_above_hull: Some(0.1), composition: None, ..good.clone() };
        let valid_too = Sample { e_above_hull: Some(0.05), group_kept: Some(false), ..good.clone() };
        let known = Sample { novel: Some(false), e_above_hull: Some(-0.2), ..good.clone() };
        let nothing = Sample::default();
        let samples = [good, metastable, valid_too, known, nothing];
        let counts = |limits, novelty| {
            let figures = figures(&samples, 10, limits, novelty);
            let of = |name: &str| if name.ends_with("of_valid") { 3 } else { 10 };
            assert!(figures.iter().all(|(name, figure)| figure.of == of(name)));
            figures.into_iter().map(|(name, figure)| (name, figure.count)).collect::<BTreeMap<_, _>>()
        };
        let all = counts(Some(Stability::default()), true);
        let expected = [
            ("metastable", 4),
            ("msun", 3),
            ("msun_exclusive", 2),
            ("msun_of_valid", 1),
            ("novel", 3),
            ("space_group_kept", 0),
            ("stable", 2),
            ("sun", 1),
            ("sun_of_valid", 1),
            ("unique", 4),
            ("unique_and_novel", 3),
            ("valid", 3),
            ("valid_composition", 3),
            ("valid_structure", 4),
        ];
        assert_eq!(all, BTreeMap::from(expected));
        assert_eq!(counts(None, false).len(), 5);
    }
}
