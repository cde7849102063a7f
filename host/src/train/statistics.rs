//! The estimators behind the numbers that a step reports.

use std::collections::HashSet;

use super::{STABLE, Sample};
use crate::crystal::Composition;
use crate::reward::RewardTable;

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

fn mean_of(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    values.iter().map(|x| of(*x)).sum::<f64>() / values.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// r - 1 - ln r is 1 - ln 2 at 2, ln 2 - 1/2 at 1/2, 0 at 1.
    #[test]
    fn the_estimator_of_kl() {
        assert!((kl_k3(&[2.0_f64.ln(), 0.5_f64.ln(), 0.0]) - 0.5 / 3.0).abs() < 1e-12);
    }
}
