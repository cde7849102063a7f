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

/// The weights that make a sum over some rows their mean.
pub(super) fn mean_weights(rows: usize) -> Vec<f64> {
    vec![1.0 / rows as f64; rows]
}
