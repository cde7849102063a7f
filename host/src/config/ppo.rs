//! The `[ppo]` table: the optimisation.

use serde::{Deserialize, Serialize};

use super::{Problem, Schedule};

/// Most passes over a batch.
const MOST_EPOCHS: usize = 10_000;

/// The `[ppo]` table; defaults are those of the paper (arXiv 2504.02367, appendix C).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ppo {
    /// The ratio is clipped to 1 - clip ..= 1 + clip.
    pub clip: f64,
    /// Passes over each batch, each of one optimiser step.
    pub epochs: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// How it changes over the steps of the run; absent: not at all. This key and others below are written only where they are
    /// given, so that runs from before they existed have the config that they were started with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
    /// Weight of the KL term (tau).
    pub kl_weight: f64,
    /// KL to the base towards which the weight is led, nats; absent: the weight stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl_target: Option<f64>,
    /// How the KL term enters the gradient.
    pub kl_gradient: KlGradient,
    /// What is subtracted from the rewards.
    #[serde(skip_serializing_if = "Baseline::is_moving")]
    pub baseline: Baseline,
    /// What the advantages are scaled by.
    #[serde(skip_serializing_if = "AdvantageScale::is_none")]
    pub advantage_scale: AdvantageScale,
    /// Decay of the moving baseline per step.
    pub baseline_decay: f64,
    /// Largest global norm of a gradient.
    pub grad_clip: f64,
    /// Crystals of earlier batches that are learned from again; absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// What a nat of entropy is worth by kind of token; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entropy_bonus: Option<EntropyBonus>,
    /// What a nat of KL of the elements' frequencies to the base's costs, in units of the objective; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composition_prior: Option<f64>,
    /// KL of the sampling policy to the policy as updated, nats, above which a batch's remaining optimiser steps are left out;
    /// absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kl_stop: Option<f64>,
}

impl Default for Ppo {
    fn default() -> Self {
        Self {
            clip: 0.2,
            epochs: 3,
            learning_rate: 1e-4,
            schedule: None,
            kl_weight: 0.1,
            kl_target: None,
            kl_gradient: KlGradient::Detached,
            baseline: Baseline::Moving,
            advantage_scale: AdvantageScale::None,
            baseline_decay: 0.95,
            grad_clip: 1.0,
            replay: None,
            entropy_bonus: None,
            composition_prior: None,
            kl_stop: None,
        }
    }
}

/// `[ppo] entropy_bonus`: weights in units of the objective per nat.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EntropyBonus {
    /// Of Wyckoff letters.
    pub w: f64,
    /// Of elements.
    pub a: f64,
    /// Of coordinates.
    pub xyz: f64,
    /// Of the lattice.
    pub l: f64,
}

impl EntropyBonus {
    fn check(&self) -> Result<(), Problem> {
        for (kind, weight) in [("w", self.w), ("a", self.a), ("xyz", self.xyz), ("l", self.l)] {
            let key = format!("ppo.entropy_bonus.{kind}");
            Problem::unless(weight >= 0.0 && weight.is_finite(), &key, weight, "must be at least 0")?;
        }
        Ok(())
    }
}

/// The `[ppo.replay]` table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Crystals that are replayed in each step.
    pub crystals: usize,
    /// Most crystals that are remembered.
    #[serde(default = "one_hundred")]
    pub size: usize,
    /// Steps after which a crystal is forgotten.
    #[serde(default = "twenty")]
    pub age: usize,
}

fn one_hundred() -> usize {
    100
}

fn twenty() -> usize {
    20
}

/// Most crystals that are remembered: they are in every checkpoint.
const LARGEST_MEMORY: usize = 10_000;

impl Replay {
    fn check(&self) -> Result<(), Problem> {
        let size = (1..=LARGEST_MEMORY).contains(&self.size);
        let rule = format!("must be 1 to {LARGEST_MEMORY}");
        Problem::unless(size, "ppo.replay.size", self.size, &rule)?;
        let crystals = (1..=self.size).contains(&self.crystals);
        let rule = format!("must be 1 to {}, which is ppo.replay.size", self.size);
        Problem::unless(crystals, "ppo.replay.crystals", self.crystals, &rule)?;
        Problem::unless(self.age >= 1, "ppo.replay.age", self.age, "must be at least 1")
    }
}

/// How the KL term enters the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KlGradient {
    /// A constant of the batch, as in the paper.
    Detached,
    /// Differentiated, as in the reference code.
    Reference,
}

/// What is subtracted from the rewards of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// A moving mean over the batches, as in the paper.
    Moving,
    /// The mean over the other crystals of the batch.
    Batch,
    /// The mean over the others in the same space group.
    Group,
}

impl Baseline {
    fn is_moving(&self) -> bool {
        *self == Self::Moving
    }
}

/// What the advantages of a batch are scaled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdvantageScale {
    /// Nothing, as in the paper.
    None,
    /// Their standard deviation.
    Std,
    /// They are replaced by their ranks.
    Rank,
}

impl AdvantageScale {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Ppo {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let positive = |value: f64| value > 0.0 && value.is_finite();
        Problem::unless(self.clip > 0.0 && self.clip < 1.0, "ppo.clip", self.clip, "must be between 0 and 1")?;
        let epochs = (1..=MOST_EPOCHS).contains(&self.epochs);
        Problem::unless(epochs, "ppo.epochs", self.epochs, &format!("must be 1 to {MOST_EPOCHS}"))?;
        Problem::unless(positive(self.learning_rate), "ppo.learning_rate", self.learning_rate, "must be more than 0")?;
        let tau = self.kl_weight;
        Problem::unless(tau >= 0.0 && tau.is_finite(), "ppo.kl_weight", tau, "must be at least 0")?;
        let target = self.kl_target.unwrap_or(1.0);
        Problem::unless(positive(target), "ppo.kl_target", target, "must be more than 0")?;
        let led = self.kl_target.is_none() || tau > 0.0;
        Problem::unless(led, "ppo.kl_weight", tau, "must be more than 0 with ppo.kl_target, which multiplies it")?;
        let decay = self.baseline_decay;
        Problem::unless(
            (0.0..1.0).contains(&decay),
            "ppo.baseline_decay",
            decay,
            "must be at least 0 and less than 1",
        )?;
        Problem::unless(positive(self.grad_clip), "ppo.grad_clip", self.grad_clip, "must be more than 0")?;
        self.entropy_bonus.as_ref().map_or(Ok(()), EntropyBonus::check)?;
        self.replay.as_ref().map_or(Ok(()), Replay::check)?;
        let prior = self.composition_prior.unwrap_or(1.0);
        Problem::unless(positive(prior), "ppo.composition_prior", prior, "must be more than 0")?;
        let kl_stop = self.kl_stop.unwrap_or(1.0);
        Problem::unless(positive(kl_stop), "ppo.kl_stop", kl_stop, "must be more than 0")
    }
}
