//! The losses: what each reads beside log p, and its formula as a graph.

use crate::graph::{Builder, Value};
use crate::policy::{Loss, row_input, scalar_input};

/// The negative log-likelihood `sum(row_weight * -logp)`, nats (spec section 6).
#[derive(Clone, Debug, PartialEq)]
pub struct NegativeLogLikelihood {
    /// Share of each crystal in the sum.
    pub row_weight: Vec<f64>,
}

impl NegativeLogLikelihood {
    /// The mean over some crystals.
    pub fn mean(crystals: usize) -> Self {
        Self { row_weight: mean_weights(crystals) }
    }
}

impl Loss for NegativeLogLikelihood {
    const GRAPH: &'static str = "nll_grad";
    const DROPOUT: bool = true;

    fn build(b: &mut Builder, logp: Value) -> Value {
        let weight = row_input(b, "row_weight");
        let weighted = b.mul(logp, weight);
        let negative = b.neg(weighted);
        b.sum_all(negative)
    }

    fn row_inputs(&self) -> Vec<(&'static str, &[f64])> {
        vec![("row_weight", &self.row_weight)]
    }
}

/// The clipped objective of PPO, to be ascended: `sum(row_weight * min(r A', clip(r, 1 - eps, 1 + eps) A'))` with
/// `r = exp(logp - old_logp)` and `A' = advantage - beta (logp - base_logp)` (Schulman et al. 2017, eq. 7; spec section 8).
///
/// The logarithm of r is taken as at most 30 and at least -30: no clip range reaches so far, and float32 holds the result.
///
/// `beta = 0` is the form of arXiv 2504.02367, where the KL term is part of the advantage; `beta = tau` that of its reference code.
#[derive(Clone, Debug, PartialEq)]
pub struct PpoSurrogate {
    /// Share of each crystal in the sum.
    pub row_weight: Vec<f64>,
    /// log p under the policy that drew the crystals, nats.
    pub old_logp: Vec<f64>,
    /// log p under the base, nats.
    pub base_logp: Vec<f64>,
    /// Advantage A, in the objective's unit.
    pub advantage: Vec<f64>,
    /// Ratios count within 1 - clip and 1 + clip.
    pub clip: f64,
    /// Weight of the KL term that is differentiated, in the objective's unit per nat.
    pub beta: f64,
}

const LARGEST_LOG_RATIO: f64 = 30.0;

impl Loss for PpoSurrogate {
    const GRAPH: &'static str = "ppo_grad";
    const DROPOUT: bool = false;

    fn build(b: &mut Builder, logp: Value) -> Value {
        let [weight, old, base, advantage] =
            ["row_weight", "old_logp", "base_logp", "advantage"].map(|name| row_input(b, name));
        let [clip, beta] = ["clip", "beta"].map(|name| scalar_input(b, name));
        let log_ratio = b.sub(logp, old);
        let [least, most] = [-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO].map(|bound| b.scalar_like(log_ratio, bound));
        let bounded = b.max(log_ratio, least);
        let bounded = b.min(bounded, most);
        let ratio = b.exp(bounded);
        let log_ratio_to_base = b.sub(logp, base);
        let penalty = b.mul(beta, log_ratio_to_base);
        let advantage = b.sub(advantage, penalty);
        let one = b.scalar_like(ratio, 1.0);
        let (low, high) = (b.sub(one, clip), b.add(one, clip));
        let clipped = b.max(ratio, low);
        let clipped = b.min(clipped, high);
        let (free, bounded) = (b.mul(ratio, advantage), b.mul(clipped, advantage));
        let surrogate = b.min(free, bounded);
        let weighted = b.mul(surrogate, weight);
        let objective = b.sum_all(weighted);
        b.output("objective", objective);
        objective
    }

    fn row_inputs(&self) -> Vec<(&'static str, &[f64])> {
        vec![
            ("row_weight", &self.row_weight),
            ("old_logp", &self.old_logp),
            ("base_logp", &self.base_logp),
            ("advantage", &self.advantage),
        ]
    }

    fn scalar_inputs(&self) -> Vec<(&'static str, f64)> {
        vec![("clip", self.clip), ("beta", self.beta)]
    }
}

/// The loss of direct preference optimisation, `-ln sigmoid(beta (chosen - rejected))` for a pair, where `chosen` and `rejected` are
/// ln(p / p_base) of its crystals (Rafailov et al. 2023, arXiv 2305.18290, eq. 7).
///
/// A pair has two crystals, and a batch may be cut between them. So the loss is no [`Loss`] itself: its gradient is that of a
/// weighted log-likelihood, whose weights follow from the log-probabilities (section 4 there).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DirectPreference {
    /// Scale of the log-ratios: the weight of the KL term in the problem that the loss solves.
    pub beta: f64,
}

/// ln(p / p_base) of the crystals of a pair, nats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PairLogRatios {
    /// Of the crystal that is preferred.
    pub chosen: f64,
    /// Of the other.
    pub rejected: f64,
}

impl DirectPreference {
    /// The difference of the implicit rewards `beta ln(p / p_base)`.
    pub fn margin(self, pair: PairLogRatios) -> f64 {
        self.beta * (pair.chosen - pair.rejected)
    }

    /// The loss of a pair: the negative log-likelihood of its preference in the model of Bradley and Terry, nats.
    pub fn loss(self, pair: PairLogRatios) -> f64 {
        let margin = self.margin(pair);
        (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()
    }

    /// The log-likelihood whose gradient, at the parameters of these log-ratios, is that of the mean loss over the pairs. Its rows
    /// are the crystals of one pair after the other, each the chosen one first.
    pub fn as_likelihood(self, pairs: &[PairLogRatios]) -> NegativeLogLikelihood {
        let weight = |pair: &PairLogRatios| self.beta / (1.0 + self.margin(*pair).exp()) / pairs.len() as f64;
        NegativeLogLikelihood { row_weight: pairs.iter().map(weight).flat_map(|weight| [weight, -weight]).collect() }
    }
}

/// What pairs tell of a policy, as means over them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PairFigures {
    /// The loss, nats.
    pub loss: f64,
    /// Share of the pairs whose chosen crystal has gained more in probability than the other.
    pub accuracy: f64,
    /// [`DirectPreference::margin`].
    pub margin: f64,
    /// [`PairLogRatios::chosen`], nats.
    pub chosen: f64,
    /// [`PairLogRatios::rejected`], nats.
    pub rejected: f64,
}

impl PairFigures {
    /// Of some pairs, at least one.
    pub fn of(loss: DirectPreference, pairs: &[PairLogRatios]) -> Self {
        let mean = |figure: &dyn Fn(PairLogRatios) -> f64| {
            pairs.iter().map(|pair| figure(*pair)).sum::<f64>() / pairs.len() as f64
        };
        Self {
            loss: mean(&|pair| loss.loss(pair)),
            accuracy: mean(&|pair| f64::from(u8::from(pair.chosen > pair.rejected))),
            margin: mean(&|pair| loss.margin(pair)),
            chosen: mean(&|pair| pair.chosen),
            rejected: mean(&|pair| pair.rejected),
        }
    }

    /// Of several sets of as many pairs.
    pub fn mean(sets: &[Self]) -> Self {
        let mean = |figure: fn(&Self) -> f64| sets.iter().map(figure).sum::<f64>() / sets.len() as f64;
        Self {
            loss: mean(|f| f.loss),
            accuracy: mean(|f| f.accuracy),
            margin: mean(|f| f.margin),
            chosen: mean(|f| f.chosen),
            rejected: mean(|f| f.rejected),
        }
    }
}

/// The weights that make a sum over some rows their mean.
pub(super) fn mean_weights(rows: usize) -> Vec<f64> {
    vec![1.0 / rows as f64; rows]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DPO: DirectPreference = DirectPreference { beta: 0.1 };

    fn pair(chosen: f64, rejected: f64) -> PairLogRatios {
        PairLogRatios { chosen, rejected }
    }

    /// Eq. 7 of the paper as it is written.
    fn written(beta: f64, pair: PairLogRatios) -> f64 {
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        -sigmoid(beta * pair.chosen - beta * pair.rejected).ln()
    }

    /// ln 2 at the base; ln(1 + 1/e) and ln(1 + e) a nat of margin to either side.
    #[test]
    fn the_loss_in_closed_form() {
        assert!((DPO.loss(pair(3.0, 3.0)) - std::f64::consts::LN_2).abs() < 1e-15);
        assert!((DPO.loss(pair(4.0, -6.0)) - 0.313_261_687_518_222_8).abs() < 1e-15);
        assert!((DPO.loss(pair(-6.0, 4.0)) - 1.313_261_687_518_222_8).abs() < 1e-15);
        // Where the exponential function ends.
        assert_eq!(DPO.loss(pair(1e6, -1e6)), 0.0);
        assert_eq!(DPO.loss(pair(-1e6, 1e6)), 2e5);
        let weights = DPO.as_likelihood(&[pair(-1e6, 1e6), pair(1e6, -1e6)]).row_weight;
        assert_eq!(weights, [0.05, -0.05, 0.0, -0.0]);
    }

    #[test]
    fn the_figures_are_means() {
        let figures = PairFigures::of(DPO, &[pair(2.0, -1.0), pair(-3.0, 1.0), pair(0.0, 0.0), pair(1.0, 0.5)]);
        let losses = [pair(2.0, -1.0), pair(-3.0, 1.0), pair(0.0, 0.0), pair(1.0, 0.5)].map(|p| written(0.1, p));
        assert!((figures.loss - losses.iter().sum::<f64>() / 4.0).abs() < 1e-15);
        assert_eq!((figures.accuracy, figures.chosen, figures.rejected), (0.5, 0.0, 0.125));
        assert!((figures.margin + 0.0125).abs() < 1e-15);
        assert_eq!(PairFigures::mean(&[figures, figures]), figures);
    }

    proptest! {
        #[test]
        fn the_loss_is_that_of_the_paper(beta in 0.01..2.0f64, c in -20.0..20.0f64, r in -20.0..20.0f64) {
            let loss = DirectPreference { beta };
            let expected = written(beta, pair(c, r));
            prop_assert!((loss.loss(pair(c, r)) - expected).abs() <= 1e-12 * (1.0 + expected));
            // The two preferences of a pair have probabilities that add up to 1.
            let both = (-loss.loss(pair(c, r))).exp() + (-loss.loss(pair(r, c))).exp();
            prop_assert!((both - 1.0).abs() < 1e-12);
        }

        /// The weights against central differences of the mean loss as it is written, in every log-probability.
        #[test]
        fn the_weights_are_the_derivative(beta in 0.05..2.0f64, x in proptest::collection::vec(-5.0..5.0f64, 6)) {
            let pairs = |x: &[f64]| x.chunks(2).map(|x| pair(x[0], x[1])).collect::<Vec<_>>();
            let mean = |x: &[f64]| pairs(x).into_iter().map(|pair| written(beta, pair)).sum::<f64>() / 3.0;
            let weights = DirectPreference { beta }.as_likelihood(&pairs(&x)).row_weight;
            for (row, weight) in weights.iter().enumerate() {
                let at = |step: f64| {
                    let mut moved = x.clone();
                    moved[row] += step;
                    mean(&moved)
                };
                let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
                // A row of the likelihood counts as -weight * log p.
                prop_assert!((slope + weight).abs() < 1e-9, "row {row}: {slope} is not {}", -weight);
            }
        }
    }
}
