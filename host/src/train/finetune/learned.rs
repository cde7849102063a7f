//! What came of learning from a batch.

use crate::train::UpdateStatistics;

/// What came of a batch.
pub(super) struct Learned {
    /// `None` where there was nothing to learn from.
    pub statistics: Option<BatchStatistics>,
    /// Why nothing was learned, if so.
    pub idle: Option<String>,
}

impl Learned {
    pub fn nothing(reason: String) -> Self {
        Self { statistics: None, idle: Some(reason) }
    }
}

/// What is reported of learning from a batch.
pub(super) struct BatchStatistics {
    /// log p of the crystals under the policy that drew them.
    pub logp: Vec<f64>,
    /// Estimates of KL(policy || base) and of the policy's entropy before the optimiser steps, nats.
    pub kl: f64,
    pub entropy: f64,
    /// Weight of the KL term.
    pub kl_weight: f64,
    pub baseline: f64,
    /// Crystals that were learned from again.
    pub replayed: usize,
    pub update: UpdateStatistics,
}
