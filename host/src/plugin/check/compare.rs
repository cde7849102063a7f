//! Compares outcomes with the expected ones.

use super::super::{Outcome, PluginError};
use crate::conformance::CheckResult;

/// Deviation that float32 allows, of 1 + |value|: as for property models.
pub(super) const TOLERANCE: f64 = 2e-4;
const UNIT: &str = "of 1 + |value|";

/// The largest deviation in a check.
#[derive(Default)]
pub(super) struct Comparison {
    number: f64,
    compared: usize,
    note: String,
}

impl Comparison {
    /// Compares the outcomes of a batch; `names` are those of its crystals.
    pub fn batch(&mut self, expected: &[&Outcome], found: &Result<Vec<Outcome>, PluginError>, names: &[&str]) {
        match found {
            Ok(found) => {
                let rows = expected.iter().zip(found).zip(names);
                rows.for_each(|((expected, found), name)| self.row(expected, found, name));
            }
            Err(error) => self.fail(error, "a batch"),
        }
    }

    /// Compares the outcomes of a crystal.
    pub fn row(&mut self, expected: &Outcome, found: &Outcome, name: &str) {
        self.compared += 1;
        let deviation = deviation(expected, found);
        if deviation > self.number {
            self.number = deviation;
            self.note = format!("{name}: {} instead of {}", shown(found), shown(expected));
        }
    }

    /// There is nothing to compare.
    pub fn fail(&mut self, error: &PluginError, at: &str) {
        self.compared += 1;
        if self.number < f64::INFINITY {
            (self.number, self.note) = (f64::INFINITY, format!("{at}: {error}"));
        }
    }

    /// The largest deviation so far.
    pub fn largest(&self) -> f64 {
        self.number
    }

    pub fn check(self, name: &'static str, tolerance: f64) -> CheckResult {
        if self.compared == 0 {
            return CheckResult::skipped(name, "nothing to compare");
        }
        CheckResult { note: self.note, ..CheckResult::measured(name, self.number, tolerance, UNIT) }
    }
}

/// Of 1 + |value|; infinite between different kinds of outcomes, 0 between two that have no value.
fn deviation(expected: &Outcome, found: &Outcome) -> f64 {
    match (expected, found) {
        (Outcome::Value(a), Outcome::Value(b)) if a == b || a.is_nan() && b.is_nan() => 0.0,
        (Outcome::Value(a), Outcome::Value(b)) => {
            let deviation = (a - b).abs() / (1.0 + a.abs());
            if deviation.is_nan() { f64::INFINITY } else { deviation }
        }
        (Outcome::Abstain, Outcome::Abstain) | (Outcome::Failed(_), Outcome::Failed(_)) => 0.0,
        _ => f64::INFINITY,
    }
}

/// An outcome in a few words.
pub(super) fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Value(value) => format!("{value:?}"),
        Outcome::Abstain => "no opinion".to_owned(),
        Outcome::Failed(reason) => format!("a failure ({reason})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_relative_and_kinds_do_not_mix() {
        let (value, failed) = (Outcome::Value, || Outcome::failed("x"));
        assert_eq!(deviation(&value(-3.0), &value(-2.0)), 0.25);
        assert_eq!(deviation(&value(f64::NAN), &value(f64::NAN)), 0.0);
        assert_eq!(deviation(&value(f64::INFINITY), &value(f64::INFINITY)), 0.0);
        assert_eq!(deviation(&failed(), &Outcome::failed("y")), 0.0);
        for other in [value(f64::NAN), value(f64::INFINITY), Outcome::Abstain, failed()] {
            assert_eq!(deviation(&value(1.0), &other), f64::INFINITY);
            assert_eq!(deviation(&other, &value(1.0)), f64::INFINITY);
        }
    }
}
