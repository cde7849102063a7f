//! Direct preference optimisation: the examples are pairs of crystals, and the base is the policy that the training starts from.

use ndarray::ArrayD;

use super::{DirectPreference, Measured, NegativeLogLikelihood, Pair, PairFigures, PairLogRatios, Preferences, Task};
use crate::crystal::Tokens;
use crate::policy::{
    Draws, Hyperparameters, Likelihood, LikelihoodError, LogProbability, LossGradient, Parameters, Resources,
    SampleSettings, Sampler, SpaceGroupDistribution,
};
use crate::runtime::Runtime;

/// Crystals that the policy draws after an epoch, from which KL to the base is estimated.
const KL_SAMPLES: usize = 200;

/// How preferences are learnt.
pub struct PreferenceSettings<'a> {
    /// The frozen policy that ratios and KL are taken to.
    pub base: &'a Parameters,
    /// The loss.
    pub loss: DirectPreference,
    /// Where the space groups of the crystals come from that KL is estimated from.
    pub groups: SpaceGroupDistribution,
    /// Of those crystals.
    pub seed: u64,
    /// Where and how widely to run.
    pub resources: Resources,
}

/// Learns to prefer crystals to others.
pub struct PreferenceOptimisation<'a> {
    preferences: &'a Preferences,
    settings: PreferenceSettings<'a>,
    /// ln p under the base of the crystals that stand in a pair, nats; 0 for the others.
    base_logp: Vec<f64>,
    gradient: LossGradient<NegativeLogLikelihood>,
    likelihood: Likelihood,
    sampler: Sampler,
}

/// Why preferences cannot be learnt from.
#[derive(Debug, thiserror::Error)]
pub enum PreferenceError {
    /// The base could not be evaluated.
    #[error(transparent)]
    Likelihood(#[from] LikelihoodError),
    /// A crystal without a log-probability.
    #[error("crystal {id}: its log-probability under the base is {logp}")]
    Base {
        /// Its identifier.
        id: String,
        /// NaN or an infinity.
        logp: f64,
    },
}

impl<'a> PreferenceOptimisation<'a> {
    /// Loads the graphs, and scores the crystals under the base.
    ///
    /// # Errors
    /// [`PreferenceError`].
    pub fn load(
        runtime: &Runtime,
        hyper: &Hyperparameters,
        preferences: &'a Preferences,
        settings: PreferenceSettings<'a>,
    ) -> Result<Self, PreferenceError> {
        let resources = settings.resources;
        let gradient = LossGradient::load(runtime, hyper, resources)?;
        let likelihood = Likelihood::load(runtime, hyper, resources)?;
        let sampler = Sampler::load(runtime, hyper, resources)?;
        let base_logp = base_logp(preferences, &likelihood, settings.base)?;
        Ok(Self { preferences, settings, base_logp, gradient, likelihood, sampler })
    }

    /// The crystals of pairs, one pair after the other, the chosen one first.
    fn crystals(&self, pairs: &[Pair]) -> Vec<&'a Tokens> {
        let tokens = |place: usize| &self.preferences.crystals[place].tokens;
        pairs.iter().flat_map(|pair| [tokens(pair.chosen), tokens(pair.rejected)]).collect()
    }

    fn log_ratios(&self, parameters: &Parameters, pairs: &[Pair]) -> Result<Vec<PairLogRatios>, LikelihoodError> {
        let logp = self.likelihood.log_probabilities(parameters, &self.crystals(pairs))?;
        let ratios = |(pair, logp): (&Pair, &[LogProbability; 2])| PairLogRatios {
            chosen: logp[0].total() - self.base_logp[pair.chosen],
            rejected: logp[1].total() - self.base_logp[pair.rejected],
        };
        Ok(pairs.iter().zip(logp.as_chunks::<2>().0).map(ratios).collect())
    }

    /// KL to the base and its standard error, from crystals that are drawn for it.
    fn kl(&self, parameters: &Parameters, epoch: usize) -> Result<(f64, f64), LikelihoodError> {
        let draws = Draws { seed: self.settings.seed, step: epoch as u32, first: 0 };
        let groups = self.settings.groups.draw(draws, KL_SAMPLES);
        let as_it_is = SampleSettings::of_policy(None);
        let drawn = self.sampler.sample(parameters, &groups, draws, &as_it_is)?;
        let crystals: Vec<&Tokens> = drawn.iter().flatten().collect();
        let logp = |parameters| self.likelihood.log_probabilities(parameters, &crystals);
        let (now, base) = (logp(parameters)?, logp(self.settings.base)?);
        let ratios: Vec<f64> = now.iter().zip(&base).map(|(now, base)| now.total() - base.total()).collect();
        Ok(mean_and_error(&ratios))
    }
}

fn base_logp(
    preferences: &Preferences,
    likelihood: &Likelihood,
    base: &Parameters,
) -> Result<Vec<f64>, PreferenceError> {
    let paired: Vec<usize> = preferences.paired().into_iter().collect();
    let crystals: Vec<&Tokens> = paired.iter().map(|place| &preferences.crystals[*place].tokens).collect();
    let mut all = vec![0.0; preferences.crystals.len()];
    for (place, logp) in paired.iter().zip(likelihood.log_probabilities(base, &crystals)?) {
        let logp = logp.total();
        if !logp.is_finite() {
            return Err(PreferenceError::Base { id: preferences.crystals[*place].id.clone(), logp });
        }
        all[*place] = logp;
    }
    Ok(all)
}

/// The mean of numbers, and its standard error; NaN where there are too few.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

impl Task for PreferenceOptimisation<'_> {
    type Batch = PairFigures;
    const EXAMPLES: &'static str = "pairs";

    fn examples(&self) -> (usize, usize) {
        (self.preferences.train.len(), self.preferences.valid.len())
    }

    fn least_bytes(&self) -> u64 {
        self.gradient.least_bytes()
    }

    fn learn(
        &self,
        parameters: &Parameters,
        _: usize,
        examples: &[usize],
    ) -> Result<(PairFigures, Vec<ArrayD<f32>>), LikelihoodError> {
        let pairs: Vec<Pair> = examples.iter().map(|example| self.preferences.train[*example]).collect();
        let ratios = self.log_ratios(parameters, &pairs)?;
        let likelihood = self.settings.loss.as_likelihood(&ratios);
        let result = self.gradient.gradient(parameters, &self.crystals(&pairs), &likelihood)?;
        Ok((PairFigures::of(self.settings.loss, &ratios), result.gradient))
    }

    fn measure(
        &self,
        parameters: &Parameters,
        epoch: usize,
        batches: &[PairFigures],
    ) -> Result<Measured, LikelihoodError> {
        let valid = PairFigures::of(self.settings.loss, &self.log_ratios(parameters, &self.preferences.valid)?);
        let (kl, kl_error) = self.kl(parameters, epoch)?;
        Ok(Measured::Preferences { train: PairFigures::mean(batches), valid, kl, kl_error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1, 2, 3, 4: the variance of a draw is 5/3, of the mean of four a quarter of that.
    #[test]
    fn the_error_of_a_mean() {
        let (mean, error) = mean_and_error(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(mean, 2.5);
        assert!((error - (5.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert!(mean_and_error(&[1.0]).1.is_nan());
    }
}
