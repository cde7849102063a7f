//! What is reported of a step of fine-tuning.

use serde::{Deserialize, Serialize};

use crate::crystal::{Element, Structure, Tokens};
use crate::policy::Refusal;
use crate::reward::{NotFinite, RewardTable};

/// Energy above hull below which a crystal counts as stable, eV/atom.
pub const STABLE: f64 = 0.1;

/// One sampled crystal and what became of it.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What was drawn; `None` when the draw itself failed.
    pub tokens: Option<Tokens>,
    /// The crystal, or why there is none.
    pub structure: Result<Structure, String>,
    /// Its objective; `None` when the row left the batch.
    pub objective: Option<f64>,
    /// Why the expression has no value of its own here, where its terms have.
    pub not_finite: Option<NotFinite>,
    /// log p under the policy that drew it.
    pub logp: Option<f64>,
}

impl Sample {
    /// A crystal that has not been scored, or why none was drawn.
    pub(super) fn new(drawn: Result<Tokens, Refusal>) -> Self {
        let (tokens, structure) = match drawn {
            Ok(tokens) => {
                let structure = tokens.to_structure().map_err(|e| e.to_string());
                (Some(tokens), structure)
            }
            Err(refusal) => (None, Err(refusal.to_string())),
        };
        Self { tokens, structure, objective: None, not_finite: None, logp: None }
    }

    /// Whether it has tokens and an objective.
    pub(super) fn is_trainable(&self) -> bool {
        self.tokens.is_some() && self.objective.is_some()
    }
}

/// Seconds per stage.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct StageTimes {
    /// Sampling and decoding.
    pub sample: f64,
    /// Reward terms.
    pub reward: f64,
    /// Log-probabilities under the policy and the base.
    pub likelihood: f64,
    /// Gradients.
    pub gradient: f64,
    /// Clipping and Adam.
    pub optimiser: f64,
    /// The whole step, with what lies between the stages.
    pub step: f64,
}

impl StageTimes {
    /// What the step took besides its stages.
    pub fn rest(&self) -> f64 {
        self.step - self.sample - self.reward - self.update()
    }

    /// Learning from the batch: log-probabilities, gradients and the optimiser.
    pub fn update(&self) -> f64 {
        self.likelihood + self.gradient + self.optimiser
    }
}

/// What is reported of the optimiser steps on a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateStatistics {
    /// Share of ratios outside of the clip range at the last optimiser step's gradient.
    pub clip_fraction: f64,
    /// Gradient norms before clipping, one per optimiser step.
    pub grad_norms: Vec<f64>,
    /// Optimiser steps skipped because a gradient was not finite.
    pub skipped: usize,
}

/// How far a judge is from the term that it judges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Mean over the crystals.
    pub mean: f64,
    /// Its standard deviation (population) over them.
    pub spread: f64,
}

/// How a property is distributed over crystals: its 5th, 50th and 95th percentiles.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// 5 % of the crystals have less.
    pub low: f64,
    /// Half of them have.
    pub median: f64,
    /// 95 % of them have.
    pub high: f64,
}

/// What is reported of a step.
#[derive(Debug)]
pub struct StepRecord {
    /// From 1.
    pub step: usize,
    /// Mean objective over the rows in the batch; this and the next four have no value where there was nothing to learn from.
    pub objective_mean: Option<f64>,
    /// Its standard deviation (population).
    pub objective_std: Option<f64>,
    /// Baseline that was subtracted.
    pub baseline: Option<f64>,
    /// Mean of ln p(policy) - ln p(base) over the batch: an estimate of KL(policy || base), nats, before the step.
    pub kl: Option<f64>,
    /// Weight of the KL term, where it is led towards a KL.
    pub kl_weight: Option<f64>,
    /// Mean of -ln p: an estimate of the policy's entropy, nats.
    pub entropy: Option<f64>,
    /// KL of the frequencies of the elements to the base's, nats, if they are watched.
    pub composition_kl: Option<f64>,
    /// Crystals of earlier batches that were learned from again, if such are remembered.
    pub replayed: Option<usize>,
    /// Why nothing was learned from the step, if so.
    pub idle: Option<String>,
    /// Steps in a row, up to this one, from which nothing was learned.
    pub idle_steps: usize,
    /// Rows that left the batch because their log p under the policy or the base is not finite.
    pub not_finite: usize,
    /// Crystals below [`STABLE`] over all that were requested; `None` without a hull term.
    pub stable_fraction: Option<f64>,
    /// Distinct reduced formulas over all that were requested.
    pub unique_formulas: f64,
    /// Distinct space groups of the rows on which everything succeeded.
    pub space_groups: usize,
    /// The element that is in the most crystals, and its share of them.
    pub top_element: Option<(Element, f64)>,
    /// Rows without a valid crystal or with a failed term, over all that were requested.
    pub failed_fraction: f64,
    /// Of the optimiser steps.
    pub update: UpdateStatistics,
    /// The terms' outcomes.
    pub table: RewardTable,
    /// The outcomes of the monitored terms, at the steps at which they are evaluated.
    pub monitor: Option<RewardTable>,
    /// The monitor's first term less the term that it judges, over the rows for which both have a value; in the unit of the term.
    pub judge_gap: Option<Gap>,
    /// Smallest interatomic distances of the rows on which everything succeeded, angstrom; `None` if there is none.
    pub distance: Option<Spread>,
    /// Their densities, g/cm^3.
    pub density: Option<Spread>,
    /// Learning rate of the optimiser steps.
    pub learning_rate: f64,
    /// The crystals.
    pub samples: Vec<Sample>,
    /// Seconds per stage.
    pub times: StageTimes,
}
