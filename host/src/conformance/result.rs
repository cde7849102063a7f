//! How a check ended, in numbers.

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// As it must be.
    Pass,
    /// Not as it must be.
    Fail,
    /// It could not be made, or nothing is claimed.
    Skipped,
}

impl CheckStatus {
    /// `pass`, `fail` or `skipped`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skipped => "skipped",
        }
    }
}

/// What one check found.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckResult {
    /// What was checked.
    pub name: &'static str,
    /// The output of a model that was checked; empty where all are meant.
    pub output: String,
    /// How it ended.
    pub status: CheckStatus,
    /// What was measured: the largest deviation, a count, a time, a rate. Infinite where there was no number to compare.
    pub number: Option<f64>,
    /// The largest `number` that passes; a rate has none.
    pub tolerance: Option<f64>,
    /// Unit of both.
    pub unit: &'static str,
    /// Where the number comes from, or why there is none.
    pub note: String,
}

impl CheckResult {
    /// It was not made, and why.
    pub fn skipped(name: &'static str, note: impl Into<String>) -> Self {
        let (output, note) = (String::new(), note.into());
        Self { name, output, status: CheckStatus::Skipped, number: None, tolerance: None, unit: "", note }
    }

    /// It passed without a number.
    pub fn passed(name: &'static str, note: impl Into<String>) -> Self {
        Self { status: CheckStatus::Pass, ..Self::skipped(name, note) }
    }

    /// It failed without a number.
    pub fn broken(name: &'static str, note: impl ToString) -> Self {
        Self { status: CheckStatus::Fail, ..Self::skipped(name, note.to_string()) }
    }

    /// A check that nothing is wrong: `wrong` lists what is.
    pub fn count(name: &'static str, wrong: &[String], unit: &'static str) -> Self {
        let note = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        Self { note, ..Self::measured(name, wrong.len() as f64, 0.0, unit) }
    }

    /// A number that must not be above its tolerance; NaN is.
    pub fn measured(name: &'static str, number: f64, tolerance: f64, unit: &'static str) -> Self {
        let status = if number <= tolerance { CheckStatus::Pass } else { CheckStatus::Fail };
        Self { status, number: Some(number), tolerance: Some(tolerance), unit, ..Self::skipped(name, "") }
    }

    /// The same for one output of a model.
    #[must_use]
    pub fn of(self, output: &str) -> Self {
        Self { output: output.to_owned(), ..self }
    }

    /// The same with a note.
    #[must_use]
    pub fn noting(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

/// The checks that failed.
pub fn failed(checks: &[CheckResult]) -> impl Iterator<Item = &CheckResult> {
    checks.iter().filter(|check| check.status == CheckStatus::Fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_number_within_its_tolerance_passes() {
        let status = |number| CheckResult::measured("x", number, 0.5, "eV").status;
        assert_eq!(
            [0.5, 0.6, f64::NAN, f64::INFINITY].map(status).map(CheckStatus::name),
            ["pass", "fail", "fail", "fail"]
        );
        let counts =
            [vec![], vec!["a".to_owned(), "b".to_owned()]].map(|wrong| CheckResult::count("x", &wrong, "rows"));
        assert_eq!(counts[1].note, "a; b");
        assert_eq!(failed(&counts).collect::<Vec<_>>(), [&counts[1]]);
    }
}
