//! When a run warns, and when it stops by itself: the `[guards]` table.

use serde::{Deserialize, Serialize};

use super::Problem;

/// The `[guards]` table. It changes no number of a run, unless a reaction lowers the learning rate.
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
    /// When the entropy is more than 8 nats lower than at the first step; absent, as in the other reactions below: a warning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy: Option<Reaction>,
    /// When the smallest distance of half of the scored crystals is beyond that of nine tenths of the first step's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Reaction>,
    /// The same of their density.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub density: Option<Reaction>,
    /// When the judge's gap is larger than at its first verdict by more than `judge_gap_bound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge_gap: Option<Reaction>,
    /// In the unit of the term; absent: how the gaps of single crystals scattered at the first verdict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge_gap_bound: Option<f64>,
    /// When KL of the elements' frequencies to the base's is above `composition_bound`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composition: Option<Reaction>,
    /// Nats; absent: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composition_bound: Option<f64>,
    /// When the mean objective of ten steps has not grown for `plateau_steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plateau: Option<Reaction>,
    /// Steps; absent: it is not watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plateau_steps: Option<usize>,
    /// What the learning rate is multiplied with by an alarm that lowers it; absent: 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub learning_rate_factor: Option<f64>,
}

/// What happens when an alarm rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// A warning, once.
    Warn,
    /// The run ends, with a checkpoint.
    Stop,
    /// A warning, and the learning rate is lowered from the next step on.
    LowerLearningRate,
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
            entropy: None,
            distance: None,
            density: None,
            judge_gap: None,
            judge_gap_bound: None,
            composition: None,
            composition_bound: None,
            plateau: None,
            plateau_steps: None,
            learning_rate_factor: None,
        }
    }
}

impl Guards {
    /// What to do about the alarms that configs of earlier versions do not have.
    pub const UNSTATED: Reaction = Reaction::Warn;

    /// What the learning rate is multiplied with by an alarm that lowers it.
    pub fn learning_rate_factor(&self) -> f64 {
        self.learning_rate_factor.unwrap_or(0.1)
    }

    /// Whether the frequencies of the elements are to be counted.
    pub fn watch_composition(&self) -> bool {
        self.composition_bound.is_some() && self.composition != Some(Reaction::Ignore)
    }

    /// Whether a reaction changes the numbers of a run.
    pub(super) fn change_numbers(&self) -> bool {
        let stated = [self.unique_formulas, self.space_groups, self.elements, self.clip_fraction, self.kl];
        let unstated = [self.entropy, self.distance, self.density, self.judge_gap, self.composition, self.plateau]
            .into_iter()
            .flatten();
        stated.into_iter().chain(unstated).any(|reaction| reaction == Reaction::LowerLearningRate)
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        let idle = self.max_idle_steps;
        Problem::unless(idle >= 1, "guards.max_idle_steps", idle, "must be at least 1")?;
        let bounds = [
            ("guards.kl_bound", self.kl_bound),
            ("guards.judge_gap_bound", self.judge_gap_bound),
            ("guards.composition_bound", self.composition_bound),
        ];
        for (key, bound) in bounds {
            let bound = bound.unwrap_or(1.0);
            Problem::unless(bound > 0.0 && bound.is_finite(), key, bound, "must be more than 0")?;
        }
        let steps = self.plateau_steps.unwrap_or(1);
        Problem::unless(steps >= 1, "guards.plateau_steps", steps, "must be at least 1")?;
        let numbers = [
            ("guards.composition", self.composition, "guards.composition_bound", self.composition_bound.is_some()),
            ("guards.plateau", self.plateau, "guards.plateau_steps", self.plateau_steps.is_some()),
        ];
        for (key, reaction, number, is_given) in numbers {
            let can_ring = is_given || reaction.is_none_or(|reaction| reaction == Reaction::Ignore);
            if !can_ring {
                return Err(Problem::new(key, format!("`{key}` can never ring without `{number}`")));
            }
        }
        let factor = self.learning_rate_factor();
        let is_less = factor > 0.0 && factor < 1.0;
        Problem::unless(is_less, "guards.learning_rate_factor", factor, "must be between 0 and 1")
    }
}
