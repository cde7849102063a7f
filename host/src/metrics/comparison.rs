//! Values of samples beside those of the same crystals in known data.

use serde::Serialize;

/// Running comparison of pairs of values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[serde(into = "Summary")]
pub struct Comparison {
    pairs: usize,
    sum: f64,
    sum_of_sizes: f64,
}

/// A comparison as it is written.
#[derive(Serialize)]
struct Summary {
    compared: usize,
    mean_difference: Option<f64>,
    mean_absolute_difference: Option<f64>,
}

impl Comparison {
    /// Adds a sample's value and the known one.
    pub fn add(&mut self, own: f64, known: f64) {
        self.pairs += 1;
        self.sum += own - known;
        self.sum_of_sizes += (own - known).abs();
    }
}

impl From<Comparison> for Summary {
    fn from(Comparison { pairs, sum, sum_of_sizes }: Comparison) -> Self {
        let mean = |sum: f64| (pairs > 0).then(|| sum / pairs as f64);
        Self { compared: pairs, mean_difference: mean(sum), mean_absolute_difference: mean(sum_of_sizes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_averaged() {
        let mut comparison = Comparison::default();
        comparison.add(1.0, 2.0);
        comparison.add(5.0, 2.0);
        let written = serde_json::to_value(comparison).unwrap();
        let expected = serde_json::json!({ "compared": 2, "mean_difference": 1.0, "mean_absolute_difference": 2.0 });
        assert_eq!(written, expected);
        assert!(serde_json::to_value(Comparison::default()).unwrap()["mean_difference"].is_null());
    }
}
