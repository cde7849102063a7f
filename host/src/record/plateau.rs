//! Whether the objective has stopped growing.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Steps whose mean counts: that of a single batch is a matter of chance.
pub(super) const STEPS: usize = 10;

/// The mean objectives of the last steps, and the best mean of so many in a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Plateau {
    recent: VecDeque<f64>,
    /// The last step of the best ones, and their mean.
    best: Option<(usize, f64)>,
}

impl Plateau {
    /// Takes a step in, if its batch has an objective.
    pub fn add(&mut self, step: usize, objective: Option<f64>) {
        self.recent.extend(objective);
        while self.recent.len() > STEPS {
            self.recent.pop_front();
        }
        let mean = self.recent.iter().map(|objective| objective / STEPS as f64).sum::<f64>();
        if self.recent.len() == STEPS && self.best.is_none_or(|(_, best)| mean > best) {
            self.best = Some((step, mean));
        }
    }

    /// Whether the best mean is at least so many steps old, and which it is.
    pub fn lasts(&self, step: usize, steps: usize) -> Option<f64> {
        self.best.filter(|(best, _)| step.saturating_sub(*best) >= steps).map(|(_, mean)| mean)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Grows until step 20, whose mean of ten is 15.5, and is flat from there: the means of ten grow until step 29.
    #[test]
    fn a_plateau_begins_with_the_best_mean_of_ten() {
        let mut plateau = Plateau::default();
        for step in 1..=50 {
            plateau.add(step, Some(step.min(20) as f64));
            let expected = (step >= 34).then_some(20.0);
            assert_eq!(plateau.lasts(step, 5), expected, "step {step}");
        }
    }

    #[test]
    fn ten_steps_must_be_there_and_a_step_without_objective_is_none() {
        let mut plateau = Plateau::default();
        for step in 1..=9 {
            plateau.add(step, Some(1.0));
        }
        plateau.add(10, None);
        assert_eq!(plateau.lasts(1000, 1), None);
        plateau.add(11, Some(11.0));
        assert_eq!((plateau.lasts(12, 1), plateau.lasts(11, 1)), (Some(2.0), None));
    }
}
