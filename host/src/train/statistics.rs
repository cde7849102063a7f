//! The estimators behind the numbers that a step reports.

use std::collections::{BTreeMap, HashSet};

use super::{Gap, STABLE, Sample, Spread};
use crate::crystal::{Composition, Element};
use crate::reward::{Outcome, RewardTable};

/// The arithmetic mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    mean_of(values, |x| x)
}

/// The standard deviation of the population.
pub fn standard_deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    mean_of(values, |x| (x - mean).powi(2)).sqrt()
}

/// Share of ratios outside of `1 - clip ..= 1 + clip`, from their logarithms.
pub fn clip_fraction(log_ratios: &[f64], clip: f64) -> f64 {
    mean_of(log_ratios, |log_ratio| f64::from((log_ratio.exp() - 1.0).abs() > clip))
}

/// KL(old || new) in nats, from ln r = ln p(new) - ln p(old) of crystals drawn by the old policy: the mean of r - 1 - ln r, which
/// is never negative (the estimator k3 of Schulman 2020, "Approximating KL divergence").
pub fn kl_k3(log_ratios: &[f64]) -> f64 {
    mean_of(log_ratios, |log_ratio| log_ratio.exp_m1() - log_ratio)
}

/// Rows whose energy above hull lies below [`STABLE`], over all rows: failures count against it.
pub fn stable_fraction(table: &RewardTable, term: usize) -> f64 {
    let stable = |row: &usize| table.row(*row)[term].value().is_some_and(|e| e < STABLE);
    (0..table.rows()).filter(stable).count() as f64 / table.rows().max(1) as f64
}

/// Distinct reduced formulas over all rows.
pub fn unique_formulas(samples: &[Sample]) -> f64 {
    let formula = |s: &Sample| {
        let composition = Composition::of_structure(s.structure.as_ref().ok()?).ok()?;
        Some(composition.reduced_formula())
    };
    let formulas: HashSet<String> = samples.iter().filter_map(formula).collect();
    formulas.len() as f64 / samples.len().max(1) as f64
}

/// Distinct space groups of the rows that `count`.
pub fn space_groups(samples: &[Sample], count: impl Fn(usize) -> bool) -> usize {
    let tokens =
        samples.iter().enumerate().filter(|(row, _)| count(*row)).filter_map(|(_, sample)| sample.tokens.as_ref());
    tokens.map(|tokens| tokens.group.number()).collect::<HashSet<u8>>().len()
}

/// The element that is in the most crystals, and its share of them.
pub fn top_element(samples: &[Sample]) -> Option<(Element, f64)> {
    let crystals: Vec<_> = samples.iter().filter_map(|sample| sample.structure.as_ref().ok()).collect();
    let mut counts = BTreeMap::new();
    for crystal in &crystals {
        for number in crystal.species.iter().map(|element| element.number()).collect::<HashSet<u8>>() {
            *counts.entry(number).or_insert(0_usize) += 1;
        }
    }
    let (number, count) = counts.into_iter().max_by_key(|(number, count)| (*count, std::cmp::Reverse(*number)))?;
    Some((Element::from_number(number)?, count as f64 / crystals.len() as f64))
}

/// What the first term of `other` says above what a term of `own` says, over the rows for which both have a value.
pub fn gap(own: &RewardTable, term: usize, other: &RewardTable) -> Option<Gap> {
    let both = |row: usize| Some(other.row(row).first()?.value()? - own.row(row).get(term)?.value()?);
    let gaps: Vec<f64> = (0..own.rows()).filter_map(both).collect();
    let found = (!gaps.is_empty()).then(|| Gap { mean: mean(&gaps), spread: standard_deviation(&gaps) });
    found.filter(|gap| gap.mean.is_finite() && gap.spread.is_finite())
}

/// How values are distributed: each percentile is the least value that so many of them do not exceed.
pub fn spread(values: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let at = |share: f64| values[((share * values.len() as f64).ceil() as usize).saturating_sub(1).min(last)];
    Some(Spread { low: at(0.05), median: at(0.5), high: at(0.95) })
}

/// The first distinct reasons for which rows have no crystal or no value.
pub fn first_reasons(samples: &[Sample], table: &RewardTable) -> Vec<String> {
    const REASONS: usize = 3;
    let mut reasons = Vec::new();
    for (row, sample) in samples.iter().enumerate() {
        let failed = table.row(row).iter().find_map(|outcome| match outcome {
            Outcome::Failed(failure) => Some(failure.to_string()),
            _ => None,
        });
        let reason = sample.structure.as_ref().err().cloned().or(failed);
        let reason = reason.or_else(|| sample.not_finite.as_ref().map(ToString::to_string));
        reasons.extend(reason.filter(|reason| !reasons.contains(reason)));
        if reasons.len() == REASONS {
            break;
        }
    }
    reasons
}

fn mean_of(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|x| of(*x)).sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::{Column, NO_LIMITS, OnFailure};

    #[test]
    fn means_and_deviations() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]), 3.0);
        // Squares of -2, -1 and 3 over three.
        assert!((standard_deviation(&[1.0, 2.0, 6.0]) - (14.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert_eq!(mean(&[]), 0.0);
    }

    #[test]
    fn ratios_on_either_side_are_clipped() {
        let log_ratios = [1.0_f64, 1.19, 1.21, 0.81, 0.79].map(f64::ln);
        assert!((clip_fraction(&log_ratios, 0.2) - 0.4).abs() < 1e-12);
        assert!((clip_fraction(&log_ratios, 0.195) - 0.4).abs() < 1e-12);
        assert!((clip_fraction(&log_ratios, 0.15) - 0.8).abs() < 1e-12);
    }

    /// Nearest rank (Hyndman and Fan 1996, definition 1): of 1 to 20 the first, the tenth and the nineteenth.
    #[test]
    fn percentiles_are_values_that_occur() {
        let found = spread((1..=20).rev().map(f64::from));
        assert_eq!(found, Some(Spread { low: 1.0, median: 10.0, high: 19.0 }));
        assert_eq!(spread([7.0].into_iter()), Some(Spread { low: 7.0, median: 7.0, high: 7.0 }));
        assert_eq!(spread(std::iter::empty()), None);
    }

    /// 0.5 - 0.25 and 1.5 - 0.5 where both have a value: 0.625 on average.
    #[test]
    fn the_gap_counts_where_both_have_a_value() {
        let column = |name: &str| Column {
            name: name.into(),
            on_failure: OnFailure::Worst,
            worst: None,
            bound: None,
            limits: NO_LIMITS,
        };
        let mut own = RewardTable::new(vec![column("density"), column("hull")], 4);
        let mut judge = RewardTable::new(vec![column("e_hull")], 4);
        for (row, (hull, other)) in
            [(Some(0.25), Some(0.5)), (None, Some(9.0)), (Some(7.0), None), (Some(0.5), Some(1.5))]
                .into_iter()
                .enumerate()
        {
            hull.into_iter().for_each(|x| own.set(row, 1, Outcome::Value(x)));
            other.into_iter().for_each(|x| judge.set(row, 0, Outcome::Value(x)));
        }
        // 0.25 and 1 are 0.375 from their mean.
        assert_eq!(gap(&own, 1, &judge), Some(Gap { mean: 0.625, spread: 0.375 }));
        assert_eq!(gap(&own, 0, &judge), None);
    }

    #[test]
    fn the_top_element_is_in_the_most_crystals_however_often() {
        use crate::crystal::{Lattice, Structure};
        let sample = |symbols: &[&str]| {
            let species: Vec<Element> = symbols.iter().map(|s| Element::from_symbol(s).unwrap()).collect();
            let places = (0..species.len()).map(|i| [0.1 * i as f64, 0.0, 0.0]).collect();
            let lattice = Lattice([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]);
            let structure = Structure::new(lattice, species, places).map_err(|e| e.to_string());
            Sample { tokens: None, structure, objective: None, not_finite: None, logp: None }
        };
        let lost =
            Sample { tokens: None, structure: Err("lost".into()), objective: None, not_finite: None, logp: None };
        let samples = [sample(&["O", "O", "O"]), sample(&["Hg"]), sample(&["Hg", "O"]), sample(&["Hg"]), lost];
        assert_eq!(top_element(&samples), Some((Element::from_symbol("Hg").unwrap(), 0.75)));
        assert_eq!(top_element(&samples[4..]), None);
    }

    /// r - 1 - ln r is 1 - ln 2 at 2, ln 2 - 1/2 at 1/2, 0 at 1.
    #[test]
    fn the_estimator_of_kl() {
        assert!((kl_k3(&[2.0_f64.ln(), 0.5_f64.ln(), 0.0]) - 0.5 / 3.0).abs() < 1e-12);
    }
}
