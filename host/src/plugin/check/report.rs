//! The results of checking a plugin.

use super::super::{Descriptor, Properties};
use crate::conformance::{CheckResult, failed};

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
    pub checks: Vec<CheckResult>,
}

impl PluginReport {
    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        failed(&self.checks)
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
