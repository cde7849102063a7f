//! What a crystal is worth beyond what was to be expected of it.

use std::collections::HashMap;

use super::statistics::{mean, standard_deviation};
use super::{AdvantageScale, Baseline, FinetuneSettings, KlGradient};
use crate::crystal::SpaceGroup;

/// The advantages of a batch, A = R - b, scaled as [`AdvantageScale`] says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Advantages {
    /// One per crystal.
    pub values: Vec<f64>,
    /// The moving baseline after this batch, or the mean of those that were subtracted from the batch's own.
    pub baseline: f64,
}

/// R is r - tau ln(p / p_base) in the paper's form (arXiv 2504.02367, appendix C) and r in the reference's. What b is, [`Baseline`]
/// says; `kl_weight` is tau, and `moving` the moving baseline before this batch, if there was any.
/// The first `drawn` crystals are the batch; the others are replayed, and count in no baseline and no scale.
pub(super) fn advantages(
    rewards: &[f64],
    log_ratio_to_base: &[f64],
    groups: &[SpaceGroup],
    drawn: usize,
    kl_weight: f64,
    moving: Option<f64>,
    settings: &FinetuneSettings,
) -> Advantages {
    let penalised: Vec<f64> = match settings.kl_gradient {
        KlGradient::Detached => {
            rewards.iter().zip(log_ratio_to_base).map(|(r, log_ratio)| r - kl_weight * log_ratio).collect()
        }
        KlGradient::Reference => rewards.to_vec(),
    };
    let Advantages { values, baseline } = match settings.baseline {
        Baseline::Moving => {
            let (now, decay) = (mean(&penalised[..drawn]), settings.baseline_decay);
            let baseline = moving.map_or(now, |b| decay * b + (1.0 - decay) * now);
            Advantages { values: penalised.iter().map(|r| r - baseline).collect(), baseline }
        }
        Baseline::Batch => beyond(&penalised, &mean_of_others(&penalised, drawn), drawn),
        Baseline::Group => beyond(&penalised, &mean_of_group(&penalised, groups, drawn), drawn),
    };
    Advantages { values: scaled(values, drawn, settings.advantage_scale), baseline }
}

/// Below this, a spread is rounding.
const NO_SPREAD: f64 = 1e-8;

fn scaled(values: Vec<f64>, drawn: usize, scale: AdvantageScale) -> Vec<f64> {
    match scale {
        AdvantageScale::None => values,
        AdvantageScale::Std => {
            let spread = standard_deviation(&values[..drawn]);
            values.iter().map(|a| if spread > NO_SPREAD { a / spread } else { *a }).collect()
        }
        AdvantageScale::Rank => ranks(&values, drawn),
    }
}

/// For each value the share of the others of the batch that are less than it, minus the share that are more.
fn ranks(values: &[f64], drawn: usize) -> Vec<f64> {
    let mut sorted = values[..drawn].to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let others = (drawn as f64 - 1.0).max(1.0);
    let rank = |value: &f64| {
        let less = sorted.partition_point(|x| x < value);
        let more = drawn - sorted.partition_point(|x| x <= value);
        ((less as f64 - more as f64) / others).clamp(-1.0, 1.0)
    };
    values.iter().map(rank).collect()
}

fn beyond(rewards: &[f64], baselines: &[f64], drawn: usize) -> Advantages {
    let values = rewards.iter().zip(baselines).map(|(r, b)| r - b).collect();
    Advantages { values, baseline: mean(&baselines[..drawn]) }
}

/// For each crystal the mean over all others of the batch; its own reward where there are none.
fn mean_of_others(rewards: &[f64], drawn: usize) -> Vec<f64> {
    let (sum, others) = (rewards[..drawn].iter().sum::<f64>(), drawn as f64 - 1.0);
    let of = |(row, r): (usize, &f64)| match row < drawn {
        true if others > 0.0 => (sum - r) / others,
        true => *r,
        false => sum / drawn as f64,
    };
    rewards.iter().enumerate().map(of).collect()
}

/// For each crystal the mean over the others of its space group and over one more crystal, as good as the rest of the batch is on
/// average: what stands in for a group that has no others, and steadies one that has few.
fn mean_of_group(rewards: &[f64], groups: &[SpaceGroup], drawn: usize) -> Vec<f64> {
    let mut totals: HashMap<SpaceGroup, (f64, f64)> = HashMap::new();
    for (reward, group) in rewards[..drawn].iter().zip(groups) {
        let (sum, count) = totals.entry(*group).or_default();
        *sum += reward;
        *count += 1.0;
    }
    let all = mean_of_others(rewards, drawn);
    let of = |row: usize| {
        let (sum, count) = totals.get(&groups[row]).copied().unwrap_or_default();
        if row < drawn { (sum - rewards[row] + all[row]) / count } else { (sum + all[row]) / (count + 1.0) }
    };
    (0..rewards.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finetune::tests::{assert_near, settings};
    use super::*;

    fn of(rewards: &[f64], log_ratios: &[f64], moving: Option<f64>, settings: &FinetuneSettings) -> (Vec<f64>, f64) {
        let numbers = [225, 225, 1];
        let groups: Vec<SpaceGroup> = numbers[..rewards.len()].iter().map(|n| SpaceGroup::new(*n).unwrap()).collect();
        let Advantages { values, baseline } =
            advantages(rewards, log_ratios, &groups, rewards.len(), settings.kl_weight, moving, settings);
        (values, baseline)
    }

    /// R = r - 0.1 log ratio is 0.95, 2.1, 5.8 with mean 2.95; then 2.9, 5.1 with mean 4, and b = 0.95 * 2.95 + 0.05 * 4 = 3.0025.
    #[test]
    fn detached_advantages_of_two_batches() {
        let settings = settings(KlGradient::Detached);
        let (advantage, baseline) = of(&[1.0, 2.0, 6.0], &[0.5, -1.0, 2.0], None, &settings);
        assert_near(&[baseline], &[2.95]);
        assert_near(&advantage, &[-2.0, -0.85, 2.85]);
        let (advantage, baseline) = of(&[3.0, 5.0], &[1.0, -1.0], Some(baseline), &settings);
        assert_near(&[baseline], &[3.0025]);
        assert_near(&advantage, &[-0.1025, 2.0975]);
    }

    /// R = r, with mean 3, then 4: b = 0.95 * 3 + 0.05 * 4 = 3.05.
    #[test]
    fn advantages_of_two_batches_as_in_the_reference() {
        let settings = settings(KlGradient::Reference);
        let (advantage, baseline) = of(&[1.0, 2.0, 6.0], &[0.5, -1.0, 2.0], None, &settings);
        assert_near(&[baseline], &[3.0]);
        assert_near(&advantage, &[-2.0, -1.0, 3.0]);
        let (advantage, baseline) = of(&[3.0, 5.0], &[1.0, -1.0], Some(baseline), &settings);
        assert_near(&[baseline], &[3.05]);
        assert_near(&advantage, &[-0.05, 1.95]);
    }

    /// The means of the others are 4, 3.5 and 1.5.
    #[test]
    fn the_others_of_a_batch_are_the_baseline() {
        let settings = FinetuneSettings { baseline: Baseline::Batch, ..settings(KlGradient::Reference) };
        let (advantage, baseline) = of(&[1.0, 2.0, 6.0], &[0.0; 3], Some(100.0), &settings);
        assert_near(&advantage, &[-3.0, -1.5, 4.5]);
        assert_near(&[baseline], &[3.0]);
        assert_near(&of(&[7.0], &[0.0], None, &settings).0, &[0.0]);
    }

    /// With what stands for the batch (4, 3.5, 1.5): (2 + 4) / 2 and (1 + 3.5) / 2 in group 225, and 1.5 alone for the crystal of
    /// group 1. The KL term counts as it does in R.
    #[test]
    fn the_others_of_a_space_group_are_the_baseline() {
        let settings = FinetuneSettings { baseline: Baseline::Group, ..settings(KlGradient::Detached) };
        let (advantage, baseline) = of(&[2.0, 1.0, 6.0], &[10.0, -10.0, 0.0], Some(100.0), &settings);
        assert_near(&advantage, &[1.0 - 3.0, 2.0 - 2.25, 6.0 - 1.5]);
        assert_near(&[baseline], &[2.25]);
    }

    /// The advantages -3, -1.5, 4.5 have the deviation sqrt((9 + 2.25 + 20.25) / 3) = sqrt(10.5); the two equal ones of 1, 1, 7
    /// have one crystal above them and none below. What has no spread is left as it is.
    #[test]
    fn advantages_are_scaled() {
        let scaled = |rewards: &[f64], baseline, advantage_scale| {
            let settings = FinetuneSettings { baseline, advantage_scale, ..settings(KlGradient::Reference) };
            of(rewards, &[0.0; 3], Some(0.5), &settings).0
        };
        let std = scaled(&[1.0, 2.0, 6.0], Baseline::Batch, AdvantageScale::Std);
        assert_near(&std, &[-3.0, -1.5, 4.5].map(|a| a / 10.5_f64.sqrt()));
        assert_near(&scaled(&[1.0, 2.0, 6.0], Baseline::Batch, AdvantageScale::Rank), &[-1.0, 0.0, 1.0]);
        assert_near(&scaled(&[1.0, 1.0, 7.0], Baseline::Moving, AdvantageScale::Rank), &[-0.5, -0.5, 1.0]);
        // b = 0.95 * 0.5 + 0.05 * 1.
        assert_near(&scaled(&[1.0; 3], Baseline::Moving, AdvantageScale::Std), &[0.475; 3]);
        assert_near(&scaled(&[1.0; 3], Baseline::Moving, AdvantageScale::Rank), &[0.0; 3]);
        assert_near(&scaled(&[1.0], Baseline::Batch, AdvantageScale::Rank), &[0.0]);
    }

    /// Of three crystals, the first two are the batch: the third changes nothing of theirs, and has the mean of the batch, or of its
    /// space group and the batch, (1 + 1.5) / 2 for group 1 with 1 in it. Better than both, it has the rank 1.
    #[test]
    fn replayed_crystals_count_in_no_baseline() {
        let groups = [225, 1, 1].map(|number| SpaceGroup::new(number).unwrap());
        let advantages = |baseline, advantage_scale, moving| {
            let settings = FinetuneSettings { baseline, advantage_scale, ..settings(KlGradient::Detached) };
            advantages(&[2.0, 1.0, 6.0], &[0.0; 3], &groups, 2, 0.1, moving, &settings)
        };
        let moving = advantages(Baseline::Moving, AdvantageScale::None, Some(0.5));
        // 0.95 * 0.5 + 0.05 * 1.5.
        assert_near(&[moving.baseline], &[0.55]);
        assert_near(&moving.values, &[1.45, 0.45, 5.45]);
        let batch = advantages(Baseline::Batch, AdvantageScale::None, None);
        assert_near(&batch.values, &[1.0, -1.0, 4.5]);
        assert_near(&[batch.baseline], &[1.5]);
        // In groups of one, what stands for the batch is the baseline: the other crystal.
        let group = advantages(Baseline::Group, AdvantageScale::None, None);
        assert_near(&group.values, &[1.0, -1.0, 6.0 - 1.25]);
        assert_near(&advantages(Baseline::Batch, AdvantageScale::Std, None).values, &[1.0, -1.0, 4.5]);
        assert_near(&advantages(Baseline::Batch, AdvantageScale::Rank, None).values, &[1.0, -1.0, 1.0]);
    }
}
