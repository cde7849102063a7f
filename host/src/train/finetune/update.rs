//! The optimiser steps on a batch.

use rand::seq::SliceRandom;

use super::{FinetuneState, Finetuning, timed};
use crate::crystal::Tokens;
use crate::policy::{LikelihoodError, keyed_stream};
use crate::train::statistics::{clip_fraction, kl_k3};
use crate::train::{FinetuneSettings, PpoSurrogate, StageTimes, UpdateStatistics};

impl Finetuning {
    /// Some passes over a batch, each of one optimiser step per minibatch up the clipped objective. The policy drew the first `drawn`
    /// of the crystals: they alone tell how far it has moved.
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
        let step = state.step;
        for rows in (0..settings.epochs).flat_map(|pass| minibatches(crystals.len(), settings, step, pass)) {
            let crystals: Vec<&Tokens> = rows.iter().map(|row| crystals[*row]).collect();
            let loss = loss.of_rows(&rows);
            let mut result =
                timed(&mut times.gradient, || self.gradient.gradient(&state.parameters, &crystals, &loss))?;
            let ratios = result.logp.iter().zip(&loss.old_logp).map(|(new, old)| new.total() - old);
            let log_ratios: Vec<f64> =
                rows.iter().zip(ratios).filter(|(row, _)| **row < drawn).map(|(_, x)| x).collect();
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

/// The rows of each minibatch of a pass: all in their order, or shuffled and cut into parts that differ by one row at most.
pub(super) fn minibatches(rows: usize, settings: &FinetuneSettings, step: usize, pass: usize) -> Vec<Vec<usize>> {
    let (mut order, parts) = ((0..rows).collect::<Vec<usize>>(), settings.minibatches);
    if parts > 1 {
        // Passes are at most 10,000.
        let stream = (step as u64) << 16 | pass as u64;
        order.shuffle(&mut keyed_stream(settings.seed, *b"temper ppo minibatches  ", stream));
    }
    let cut = |part: usize| order[part * rows / parts..(part + 1) * rows / parts].to_vec();
    (0..parts).map(cut).filter(|rows| !rows.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::*;
    use crate::train::KlGradient;

    #[test]
    fn minibatches_are_every_row_once_in_an_order_of_seed_step_and_pass() {
        let of = |rows, minibatches, step, pass| {
            let settings = FinetuneSettings { minibatches, ..settings(KlGradient::Detached) };
            super::minibatches(rows, &settings, step, pass)
        };
        assert_eq!(of(5, 1, 3, 0), [[0, 1, 2, 3, 4]]);
        let parts = of(50, 4, 3, 0);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [12, 13, 12, 13]);
        let mut all = parts.concat();
        assert_ne!(all, (0..50).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..50).collect::<Vec<_>>());
        assert_eq!(of(50, 4, 3, 0), parts);
        assert_ne!(of(50, 4, 3, 1), parts);
        assert_ne!(of(50, 4, 4, 0), parts);
        assert_eq!(of(2, 4, 0, 0).concat().len(), 2);
        assert!(of(2, 4, 0, 0).iter().all(|rows| rows.len() == 1));
    }
}
