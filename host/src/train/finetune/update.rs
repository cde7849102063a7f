//! The optimiser steps on a batch.

use super::{FinetuneState, Finetuning, timed};
use crate::crystal::Tokens;
use crate::policy::LikelihoodError;
use crate::train::statistics::{clip_fraction, kl_k3};
use crate::train::{FinetuneSettings, PpoSurrogate, StageTimes, UpdateStatistics};

impl Finetuning {
    /// Some passes over a batch, each of one optimiser step up the clipped objective. The policy drew the first `drawn` of the
    /// crystals: they alone tell how far it has moved.
    ///
    /// # Errors
    /// [`LikelihoodError`].
    pub fn update(
        &self,
        crystals: &[&Tokens],
        loss: &PpoSurrogate,
        drawn: usize,
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
        times: &mut StageTimes,
    ) -> Result<UpdateStatistics, LikelihoodError> {
        let mut update = UpdateStatistics::default();
        let learning_rate = state.learning_rate(settings);
        for _ in 0..settings.epochs {
            let mut result = timed(&mut times.gradient, || self.gradient.gradient(&state.parameters, crystals, loss))?;
            let ratios = result.logp.iter().zip(&loss.old_logp).map(|(new, old)| new.total() - old);
            let log_ratios: Vec<f64> = ratios.take(drawn).collect();
            update.clip_fraction = clip_fraction(&log_ratios, settings.clip);
            if settings.kl_stop.is_some_and(|most| kl_k3(&log_ratios) > most) {
                break;
            }
            let norm = timed(&mut times.optimiser, || {
                // Adam descends, the objective is to be ascended.
                result.gradient.iter_mut().for_each(|g| g.mapv_inplace(|x| -x));
                let adam = &mut state.adam;
                adam.descend(&mut state.parameters, &result.gradient, learning_rate, settings.grad_clip)
            });
            if norm.is_finite() { update.grad_norms.push(norm) } else { update.skipped += 1 }
        }
        Ok(update)
    }
}
