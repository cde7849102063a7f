//! The results of checking a plugin.

use super::super::{Descriptor, Properties};

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckStatus {
    /// As it must be.
    Pass,
    /// Not as it must be.
    Fail,
    /// It could not be asked, or nothing is claimed.
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

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct PluginCheck {
    /// What was checked.
    pub name: &'static str,
    /// How it ended.
    pub status: CheckStatus,
    /// What was measured: the largest deviation, a count, a time. Infinite where there was no number.
    pub number: Option<f64>,
    /// The largest `number` that passes.
    pub tolerance: Option<f64>,
    /// Unit of both.
    pub unit: &'static str,
    /// Where the number comes from, or why there is none.
    pub note: String,
}

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct PluginReport {
    /// What the plugin says of itself; `None` if it never did.
    pub descriptor: Option<Descriptor>,
    /// The interface that was checked.
    pub interface: String,
    /// The seed of the random crystals.
    pub seed: u64,
    /// Crystals that it was checked on.
    pub crystals: usize,
    /// The checks in order.
    pub checks: Vec<PluginCheck>,
}

impl PluginReport {
    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &PluginCheck> {
        self.checks.iter().filter(|check| check.status == CheckStatus::Fail)
    }

    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    /// What the plugin claims about the interface that was checked.
    pub fn properties(&self) -> Option<&Properties> {
        Some(&self.descriptor.as_ref()?.interface(&self.interface)?.properties)
    }
}

impl PluginCheck {
    pub(super) fn skipped(name: &'static str, note: &str) -> Self {
        let note = note.to_owned();
        Self { name, status: CheckStatus::Skipped, number: None, tolerance: None, unit: "", note }
    }

    pub(super) fn passed(name: &'static str, note: impl Into<String>) -> Self {
        Self { status: CheckStatus::Pass, note: note.into(), ..Self::skipped(name, "") }
    }

    /// It failed without a number.
    pub(super) fn broken(name: &'static str, note: impl ToString) -> Self {
        Self { status: CheckStatus::Fail, note: note.to_string(), ..Self::skipped(name, "") }
    }

    /// A check that nothing is wrong: `wrong` lists what is.
    pub(super) fn count(name: &'static str, wrong: &[String], unit: &'static str) -> Self {
        let note = wrong.iter().take(3).cloned().collect::<Vec<_>>().join("; ");
        Self { note, ..Self::measured(name, wrong.len() as f64, 0.0, unit) }
    }

    /// A number that must not be above its tolerance.
    pub(super) fn measured(name: &'static str, number: f64, tolerance: f64, unit: &'static str) -> Self {
        let status = if number <= tolerance { CheckStatus::Pass } else { CheckStatus::Fail };
        Self { status, number: Some(number), tolerance: Some(tolerance), unit, ..Self::skipped(name, "") }
    }
}
