//! The settings of the training.

use super::Planner;
use crate::cli::Failure;
use crate::cli::wanted::{possible_groups, restriction, training_groups};
use crate::config::{self, Finetune, SpaceGroups};
use crate::policy::{ModelToml, Resources, SpaceGroupDistribution};
use crate::train::{AdvantageScale, Baseline, EntropyBonus, FinetuneSettings, KlGradient, Replay, Schedule};

impl Planner<'_> {
    pub(super) fn settings(
        &self,
        config: &Finetune,
        model: &ModelToml,
        resources: Resources,
    ) -> Result<FinetuneSettings, Failure> {
        let (sampling, ppo) = (&config.sampling, &config.ppo);
        if sampling.top_p != 1.0 {
            let message = format!(
                "`sampling.top_p` is {}, but fine-tuning scores crystals under all of the distribution: it must be 1",
                sampling.top_p
            );
            return Err(self.mistake("sampling.top_p", message));
        }
        let groups = match &sampling.spacegroups {
            SpaceGroups::Training => training_groups(model, self.context),
            SpaceGroups::Weighted(weights) => {
                let weights = weights.iter().filter_map(|(n, w)| Some((u8::try_from(*n).ok()?, *w))).collect();
                SpaceGroupDistribution::new(&weights)
            }
        };
        let groups = groups.ok_or_else(|| self.mistake("sampling.spacegroups", "`sampling.spacegroups` is empty"))?;
        let restriction = restriction(sampling, &model.hyper, self.context).map_err(|wish| {
            let key = wish.key.map_or_else(|| "sampling".to_owned(), |key| format!("sampling.{key}"));
            wish.hints.into_iter().fold(self.mistake(&key, format!("`{key}`: {}", wish.message)), Failure::hint)
        })?;
        let groups = possible_groups(groups, restriction.as_deref(), self.context)
            .map_err(|message| self.mistake("sampling", format!("`sampling`: {message}")))?;
        let guards = config.guards.clone().unwrap_or_default();
        Ok(FinetuneSettings {
            steps: config.run.steps,
            batch: sampling.batch,
            epochs: ppo.epochs,
            clip: ppo.clip,
            learning_rate: ppo.learning_rate,
            schedule: ppo.schedule.map_or(Schedule::Constant, schedule),
            grad_clip: ppo.grad_clip,
            kl_weight: ppo.kl_weight,
            kl_target: ppo.kl_target,
            kl_gradient: match ppo.kl_gradient {
                config::KlGradient::Detached => KlGradient::Detached,
                config::KlGradient::Reference => KlGradient::Reference,
            },
            kl_stop: ppo.kl_stop,
            composition_prior: ppo.composition_prior.or(guards.watch_composition().then_some(0.0)),
            entropy_bonus: ppo.entropy_bonus.map_or_else(EntropyBonus::default, |bonus| {
                let config::EntropyBonus { w, a, xyz, l } = bonus;
                EntropyBonus { w, xyz, a, l }
            }),
            replay: ppo.replay.as_ref().map(|replay| Replay {
                crystals: replay.crystals,
                size: replay.size,
                age: replay.age,
            }),
            baseline: match ppo.baseline {
                config::Baseline::Moving => Baseline::Moving,
                config::Baseline::Batch => Baseline::Batch,
                config::Baseline::Group => Baseline::Group,
            },
            advantage_scale: match ppo.advantage_scale {
                config::AdvantageScale::None => AdvantageScale::None,
                config::AdvantageScale::Std => AdvantageScale::Std,
                config::AdvantageScale::Rank => AdvantageScale::Rank,
            },
            baseline_decay: ppo.baseline_decay,
            max_failed: config.run.max_failed,
            max_idle_steps: guards.max_idle_steps,
            groups,
            restriction,
            seed: config.run.seed,
            resources,
        })
    }
}

/// The course of a learning rate, as a config has it.
pub(in crate::cli) fn schedule(schedule: config::Schedule) -> Schedule {
    match schedule {
        config::Schedule::Constant => Schedule::Constant,
        config::Schedule::Cosine => Schedule::Cosine,
    }
}
