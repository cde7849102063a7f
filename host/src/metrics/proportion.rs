//! A share of a number of samples, with its interval.

use serde::{Deserialize, Serialize};

/// 97.5 % quantile of the normal distribution.
const QUANTILE: f64 = 1.959_963_984_540_054;

/// How many of a number of samples have a property.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Samples that have it.
    pub count: usize,
    /// Samples in all.
    pub of: usize,
    /// `count / of`; `None` of no samples.
    pub value: Option<f64>,
    /// 95 % interval of Wilson (1927), which is sound for small counts too.
    pub interval: Option<[f64; 2]>,
}

impl Proportion {
    /// `count` of `of` samples.
    pub fn new(count: usize, of: usize) -> Self {
        if of == 0 {
            return Self { count, of, value: None, interval: None };
        }
        let (n, p, square) = (of as f64, count as f64 / of as f64, QUANTILE * QUANTILE);
        let centre = (p + square / (2.0 * n)) / (1.0 + square / n);
        let half = QUANTILE / (1.0 + square / n) * (p * (1.0 - p) / n + square / (4.0 * n * n)).sqrt();
        let interval = [(centre - half).max(0.0), (centre + half).min(1.0)];
        Self { count, of, value: Some(p), interval: Some(interval) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From SciPy, `binomtest(count, of).proportion_ci(0.95, "wilson")`.
    #[test]
    fn intervals_are_wilsons() {
        let expected =
            [(0, 10, [0.0, 0.277_532_8]), (10, 10, [0.722_467_2, 1.0]), (227, 1000, [0.202_110_624, 0.253_978_786])];
        for (count, of, [low, high]) in expected {
            let found = Proportion::new(count, of).interval.unwrap();
            assert!((found[0] - low).abs() < 1e-6 && (found[1] - high).abs() < 1e-6, "{count} of {of}: {found:?}");
        }
        assert_eq!(Proportion::new(0, 0).interval, None);
    }
}
