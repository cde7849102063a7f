//! Log-probabilities of crystals under the policy and its base.

use super::Finetuning;
use crate::crystal::Tokens;
use crate::policy::{LikelihoodError, LogProbability, Parameters};
use crate::train::EntropyBonus;

/// Of some crystals, each finite, nats.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Densities {
    /// log p under the policy.
    pub logp: Vec<f64>,
    /// log p under the base.
    pub base_logp: Vec<f64>,
    /// What the entropy bonus adds to the objective.
    pub bonus: Vec<f64>,
}

impl Finetuning {
    /// Of the crystals of some rows; rows without a finite log p are removed.
    pub(super) fn densities(
        &self,
        parameters: &Parameters,
        entropy: EntropyBonus,
        crystals: &[&Tokens],
        rows: &mut Vec<usize>,
    ) -> Result<Densities, LikelihoodError> {
        let logp = self.likelihood.log_probabilities(parameters, crystals)?;
        let base = self.likelihood.log_probabilities(&self.base, crystals)?;
        Ok(Densities::keep_finite(rows, &logp, &base, entropy))
    }
}

impl Densities {
    fn keep_finite(
        rows: &mut Vec<usize>,
        logp: &[LogProbability],
        base: &[LogProbability],
        entropy: EntropyBonus,
    ) -> Self {
        let finite: Vec<_> =
            logp.iter().zip(base).map(|(logp, base)| logp.total().is_finite() && base.total().is_finite()).collect();
        let mut kept = finite.iter();
        rows.retain(|_| kept.next() == Some(&true));
        let mut densities = Self::default();
        for ((logp, base), _) in logp.iter().zip(base).zip(finite).filter(|(_, is_finite)| *is_finite) {
            densities.logp.push(logp.total());
            densities.base_logp.push(base.total());
            densities.bonus.push(entropy.of(logp));
        }
        densities
    }

    /// These, and then others.
    pub fn extend(&mut self, others: Self) {
        self.logp.extend(others.logp);
        self.base_logp.extend(others.base_logp);
        self.bonus.extend(others.bonus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_without_a_finite_density_leave_the_batch() {
        let of = |totals: [f64; 4]| totals.map(|w| LogProbability { w, a: -0.5, ..LogProbability::default() });
        let mut rows = vec![2, 3, 5, 7];
        let (logp, base) = (of([-1.0, f64::NEG_INFINITY, -3.0, -4.0]), of([-1.5, -2.5, f64::NAN, -4.5]));
        let entropy = EntropyBonus { a: 0.2, ..EntropyBonus::default() };
        let found = Densities::keep_finite(&mut rows, &logp, &base, entropy);
        let expected = Densities { logp: vec![-1.5, -4.5], base_logp: vec![-2.0, -5.0], bonus: vec![0.1, 0.1] };
        assert_eq!(found, expected);
        assert_eq!(rows, [2, 7]);
    }
}
