//! What a run writes about itself: the `[record]` table.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::{Memory, Problem};

/// The `[record]` table of a fine-tuning. It changes no number of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Record {
    /// Whether an event file for TensorBoard is written.
    pub tensorboard: bool,
    /// Which samples are kept.
    pub samples: SampleChoice,
    /// Size of all samples from which on no more are kept.
    pub samples_limit: Memory,
    /// How many of the best crystals are kept.
    pub candidates: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self { tensorboard: true, samples: SampleChoice::All, samples_limit: Memory::gib(1), candidates: 100 }
    }
}

/// Which samples are kept: `"all"`, `"scored"` or `{ every = 10 }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SampleChoice {
    /// All of every step.
    All,
    /// Of every step those with a value of every term that no filter rejects.
    Scored,
    /// All of the first step and of every tenth, say.
    Every(NonZeroUsize),
}

/// Each new candidate is compared with all that are kept of its composition.
const MOST_CANDIDATES: usize = 10_000;

impl Record {
    pub(super) fn check(&self) -> Result<(), Problem> {
        let fine = (1..=MOST_CANDIDATES).contains(&self.candidates);
        let rule = format!("must be 1 to {MOST_CANDIDATES}");
        Problem::unless(fine, "record.candidates", self.candidates, &rule)
    }
}

/// The `[record]` table of a pretraining.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainRecord {
    /// Whether an event file for TensorBoard is written.
    pub tensorboard: bool,
}

impl Default for PretrainRecord {
    fn default() -> Self {
        Self { tensorboard: true }
    }
}
