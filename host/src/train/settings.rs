//! How to fine-tune, and towards what.

use std::sync::Arc;

use super::{Replay, Schedule};
use crate::policy::{LogProbability, Resources, Restriction, SpaceGroupDistribution};
use crate::reward::{Objective, Rewards};

/// How the KL term enters the gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KlGradient {
    /// A constant of the batch inside the advantage, as in the paper.
    Detached,
    /// Differentiated and multiplied by the ratio, as in the reference code.
    Reference,
}

/// What is subtracted from the rewards of a batch. The moving mean depends a little on the reward that it is subtracted from, the
/// others do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// A moving mean over the batches, as in the paper.
    Moving,
    /// The mean over the other crystals of the batch (leave-one-out: Kool, van Hoof and Welling 2019).
    Batch,
    /// The mean over the other crystals of the batch in the same space group, and one more that stands for the batch.
    Group,
}

/// What the advantages of a batch are scaled by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdvantageScale {
    /// Nothing: they have the objective's unit, as in the paper.
    None,
    /// Their standard deviation.
    Std,
    /// Each is replaced by its rank, from -1 to 1.
    Rank,
}

/// What a nat of entropy of each kind of token is worth, in the objective's unit. The entropy of a kind is estimated by its -ln p,
/// given the tokens before, which is what the policy gradient needs of a reward to ascend the entropy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EntropyBonus {
    /// Of Wyckoff letters.
    pub w: f64,
    /// Of coordinates.
    pub xyz: f64,
    /// Of elements.
    pub a: f64,
    /// Of the lattice.
    pub l: f64,
}

impl EntropyBonus {
    /// What it adds to the objective of a crystal.
    pub(super) fn of(self, logp: &LogProbability) -> f64 {
        -(self.w * logp.w + self.xyz * logp.xyz + self.a * logp.a + self.l * logp.l)
    }
}

/// How to fine-tune.
#[derive(Clone, Debug)]
pub struct FinetuneSettings {
    /// Batches to sample.
    pub steps: usize,
    /// Crystals per batch.
    pub batch: usize,
    /// Passes over each batch, each of one optimiser step.
    pub epochs: usize,
    /// Ratios are clipped to 1 - clip ..= 1 + clip.
    pub clip: f64,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Its course over the steps.
    pub schedule: Schedule,
    /// Global norm to which gradients are clipped.
    pub grad_clip: f64,
    /// Weight of the KL term, tau; the first one, where there is a target.
    pub kl_weight: f64,
    /// KL to the base towards which the weight is led, nats.
    pub kl_target: Option<f64>,
    /// How it enters the gradient.
    pub kl_gradient: KlGradient,
    /// What a nat of KL of the elements' frequencies to the base's costs, in the objective's unit; 0: they are watched only; `None`: they
    /// are not counted.
    pub composition_prior: Option<f64>,
    /// What entropy is worth.
    pub entropy_bonus: EntropyBonus,
    /// KL of the sampling policy to the policy as updated, nats, above which the batch's remaining optimiser steps are left out.
    pub kl_stop: Option<f64>,
    /// What is subtracted from the rewards.
    pub baseline: Baseline,
    /// What the advantages are scaled by.
    pub advantage_scale: AdvantageScale,
    /// Weight of the old moving baseline in the new one.
    pub baseline_decay: f64,
    /// Crystals of earlier batches that are learned from again.
    pub replay: Option<Replay>,
    /// Largest share of a batch that may fail.
    pub max_failed: f64,
    /// Steps in a row from which nothing was learned, after which the run ends.
    pub max_idle_steps: usize,
    /// Where space groups come from.
    pub groups: SpaceGroupDistribution,
    /// Where only some crystals are wanted.
    pub restriction: Option<Arc<Restriction>>,
    /// Seed of every random stream.
    pub seed: u64,
    /// Where and how widely to run.
    pub resources: Resources,
}

impl FinetuneSettings {
    /// Learning rate of the step after `done` steps.
    pub(super) fn rate(&self, done: usize) -> f64 {
        self.learning_rate * self.schedule.course(done as f64 / self.steps.max(1) as f64)
    }
}

/// What a run is rewarded for, and what is watched beside it.
pub struct Objectives {
    /// The reward terms.
    pub rewards: Rewards,
    /// The expression over the terms that is maximised.
    pub objective: Objective,
    /// The term that is an energy above hull, if there is one: it counts the stable crystals.
    pub hull_term: Option<usize>,
    /// Terms that are logged and never part of the objective.
    pub monitor: Option<Monitor>,
}

/// Terms that are evaluated every so many steps to be logged.
pub struct Monitor {
    /// The terms.
    pub rewards: Rewards,
    /// Steps from one evaluation to the next.
    pub every: usize,
    /// The reward term that the first of them is compared with.
    pub judged: Option<usize>,
}
