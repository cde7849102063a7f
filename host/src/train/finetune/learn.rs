//! Learning from a batch: what its crystals are worth, the clipped objective, and the optimiser steps up it.

use super::batch::{Batch, all_skipped};
use super::densities::Densities;
use super::{FinetuneState, Finetuning, timed};
use crate::crystal::{SpaceGroup, Tokens};
use crate::policy::{LikelihoodError, Parameters};
use crate::train::advantages::{Advantages, advantages};
use crate::train::kl_target::next_kl_weight;
use crate::train::losses::{PpoSurrogate, mean_weights};
use crate::train::statistics::mean;
use crate::train::{FinetuneSettings, KlGradient, StageTimes, UpdateStatistics};

/// What came of a batch.
pub(super) struct Learned {
    /// `None` where there was nothing to learn from.
    pub statistics: Option<BatchStatistics>,
    /// Why nothing was learned, if so.
    pub idle: Option<String>,
}

impl Learned {
    pub fn nothing(reason: String) -> Self {
        Self { statistics: None, idle: Some(reason) }
    }
}

/// What is reported of learning from a batch.
pub(super) struct BatchStatistics {
    /// log p of the crystals under the policy that drew them.
    pub logp: Vec<f64>,
    /// Estimates of KL(policy || base) and of the policy's entropy before the optimiser steps, nats.
    pub kl: f64,
    pub entropy: f64,
    /// Weight of the KL term.
    pub kl_weight: f64,
    pub baseline: f64,
    /// Crystals that were learned from again.
    pub replayed: usize,
    pub update: UpdateStatistics,
}

impl Finetuning {
    /// Optimiser steps on a scored batch that the current parameters drew. Rows without a finite log p leave it.
    pub(super) fn learn(
        &self,
        batch: &mut Batch,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
        times: &mut StageTimes,
    ) -> Result<Learned, LikelihoodError> {
        if batch.trainable.is_empty() {
            return Ok(Learned::nothing(batch.nothing_left()));
        }
        let mut densities = timed(&mut times.likelihood, || self.densities_of(batch, settings, &state.parameters))?;
        if batch.trainable.is_empty() {
            return Ok(Learned::nothing("no crystal of the batch has a finite log p under policy and base".to_owned()));
        }
        let drawn = batch.trainable.len();
        let replayed = timed(&mut times.likelihood, || self.replayed(settings, state))?;
        densities.extend(replayed.densities);
        let crystals: Vec<&Tokens> = batch.crystals().into_iter().chain(&replayed.crystals).collect();
        let objectives = batch.rewards().into_iter().chain(replayed.objectives);
        let Surrogate { loss, baseline, kl, kl_weight } =
            surrogate(&crystals, objectives, densities, drawn, settings, state);
        if !loss.advantage.iter().chain([&baseline]).all(|x| x.is_finite()) {
            return Ok(Learned::nothing(format!("the objective overflows: the baseline is {baseline}")));
        }
        let update = self.update(&crystals, &loss, drawn, settings, state, times)?;
        let idle = (update.grad_norms.is_empty() && update.skipped > 0)
            .then(|| all_skipped(update.skipped, mean(&batch.rewards())));
        state.kl_weight = settings.kl_target.map(|target| next_kl_weight(kl_weight, kl, target));
        let logp = loss.old_logp[..drawn].to_vec();
        let (entropy, replayed) = (-mean(&logp), crystals.len() - drawn);
        let statistics = BatchStatistics { logp, kl, kl_weight, entropy, baseline, replayed, update };
        Ok(Learned { statistics: Some(statistics), idle })
    }

    /// Of the batch's crystals; those without a finite log p leave it.
    fn densities_of(
        &self,
        batch: &mut Batch,
        settings: &FinetuneSettings,
        parameters: &Parameters,
    ) -> Result<Densities, LikelihoodError> {
        let mut rows = batch.trainable.clone();
        let densities = self.densities(parameters, settings.entropy_bonus, &batch.crystals(), &mut rows)?;
        batch.not_finite = batch.trainable.len() - rows.len();
        batch.trainable = rows;
        Ok(densities)
    }
}

/// The clipped objective of a batch, and what is reported of it.
struct Surrogate {
    loss: PpoSurrogate,
    baseline: f64,
    /// Of the policy that drew the batch to the base, nats.
    kl: f64,
    kl_weight: f64,
}

/// The objective of a batch and of what is replayed with it. The policy drew the first `drawn` of the crystals: they alone make the
/// baseline and KL.
fn surrogate(
    crystals: &[&Tokens],
    objectives: impl Iterator<Item = f64>,
    densities: Densities,
    drawn: usize,
    settings: &FinetuneSettings,
    state: &FinetuneState,
) -> Surrogate {
    let Densities { logp, base_logp, bonus } = densities;
    let bonus = bonus.iter().zip(crystals).map(|(bonus, crystal)| bonus + state.composition_bonus(crystal, settings));
    let rewards: Vec<f64> = objectives.zip(bonus).map(|(objective, bonus)| objective + bonus).collect();
    let log_ratio_to_base: Vec<f64> = logp.iter().zip(&base_logp).map(|(logp, base)| logp - base).collect();
    let groups: Vec<SpaceGroup> = crystals.iter().map(|crystal| crystal.group).collect();
    let kl_weight = settings.kl_target.and(state.kl_weight).unwrap_or(settings.kl_weight);
    let Advantages { values: advantage, baseline } =
        advantages(&rewards, &log_ratio_to_base, &groups, drawn, kl_weight, state.baseline, settings);
    let beta = match settings.kl_gradient {
        KlGradient::Detached => 0.0,
        KlGradient::Reference => kl_weight,
    };
    let row_weight = mean_weights(crystals.len());
    let loss = PpoSurrogate { row_weight, old_logp: logp, base_logp, advantage, clip: settings.clip, beta };
    Surrogate { loss, baseline, kl: mean(&log_ratio_to_base[..drawn]), kl_weight }
}
