//! The state of a training, as the first of several ranks holds it: that one alone reads checkpoints.

use ndarray::ArrayD;

use super::{Adam, FinetuneState, PretrainState};
use crate::policy::Parameters;
use crate::ranks::Ranks;

impl FinetuneState {
    /// Takes over what the first rank holds.
    pub fn follow_first(&mut self, ranks: Ranks) {
        follow_parameters(ranks, &mut self.parameters);
        follow_adam(ranks, &mut self.adam);
        ranks.follow_first(&mut self.step);
        ranks.follow_first(&mut self.baseline);
        ranks.follow_first(&mut self.kl_weight);
        ranks.follow_first(&mut self.elements);
        ranks.follow_first(&mut self.best);
        ranks.follow_first(&mut self.idle);
        ranks.follow_first(&mut self.learning_rate_scale);
        ranks.follow_first(&mut self.replay);
        ranks.follow_first(&mut self.memory);
    }
}

impl PretrainState {
    /// Takes over what the first rank holds.
    pub fn follow_first(&mut self, ranks: Ranks) {
        follow_parameters(ranks, &mut self.parameters);
        follow_parameters(ranks, &mut self.best);
        follow_adam(ranks, &mut self.adam);
        ranks.follow_first(&mut self.epoch);
        ranks.follow_first(&mut self.best_nll);
        ranks.follow_first(&mut self.best_epoch);
    }
}

fn follow_adam(ranks: Ranks, adam: &mut Adam) {
    ranks.follow_first(&mut adam.count);
    adam.first.iter_mut().chain(&mut adam.second).for_each(|moment: &mut ArrayD<f32>| follow(ranks, moment.iter_mut()));
}

fn follow_parameters(ranks: Ranks, parameters: &mut Parameters) {
    for (_, mut parameter) in parameters.iter_mut() {
        follow(ranks, parameter.iter_mut());
    }
}

fn follow<'a>(ranks: Ranks, numbers: impl Iterator<Item = &'a mut f32>) {
    let numbers: Vec<&mut f32> = numbers.collect();
    let mut values: Vec<f32> = numbers.iter().map(|x| **x).collect();
    ranks.follow_first(&mut values);
    numbers.into_iter().zip(values).for_each(|(number, value)| *number = value);
}
