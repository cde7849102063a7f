//! When a run warns, and when it stops by itself: the `[guards]` table.

use serde::{Deserialize, Serialize};

use super::Problem;

/// The `[guards]` table. It changes no number of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Guards {
    /// Steps in a row from which nothing was learned, after which the run ends.
    pub max_idle_steps: usize,
    /// When fewer than half of the first step's share of different formulas are left.
    pub unique_formulas: Reaction,
    /// When fewer than half of the first step's space groups are left among the scored crystals.
    pub space_groups: Reaction,
    /// When an element is in more than a third of all crystals that was not at the first step.
    pub elements: Reaction,
    /// When more than nine tenths of the ratios are clipped.
    pub clip_fraction: Reaction,
    /// When KL to the base is above `kl_bound`.
    pub kl: Reaction,
    /// Nats; absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl_bound: Option<f64>,
}

/// What happens when an alarm rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// A warning, once.
    Warn,
    /// The run ends, with a checkpoint.
    Stop,
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            max_idle_steps: 5,
            unique_formulas: Reaction::Warn,
            space_groups: Reaction::Warn,
            elements: Reaction::Warn,
            clip_fraction: Reaction::Warn,
            kl: Reaction::Warn,
            kl_bound: None,
        }
    }
}

impl Guards {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let idle = self.max_idle_steps;
        Problem::unless(idle >= 1, "guards.max_idle_steps", idle, "must be at least 1")?;
        let bound = self.kl_bound.unwrap_or(1.0);
        Problem::unless(bound > 0.0 && bound.is_finite(), "guards.kl_bound", bound, "must be more than 0")
    }
}
