//! Rewards: terms that give one number per crystal, the table of their outcomes, and the objective over them.
//!
//! A failure is a value of its own kind with a reason, never a number that could pass for a good one: NaN and infinity are
//! failures, and a failed row never scores above a row that succeeded. Nothing here knows of policies or training.

mod calculation;
mod corrected_potential;
mod correction;
mod energy_scale;
mod failure;
mod known;
mod objective;
mod reduction;
mod relaxation;
mod requests;
mod rewards;
mod sanity;
mod schedule;
mod table;
mod terms;

pub use calculation::Calculation;
pub use corrected_potential::{CorrectedEnergy, CorrectedPotential};
pub use correction::{Correction, CorrectionError, PluginCorrection, Uncorrected};
pub use energy_scale::EnergyScale;
pub use failure::Failure;
pub use known::{KnownCompositions, KnownError};
pub use objective::{Condition, ConditionError, NotFinite, Objective, ObjectiveError, Undecided};
pub use reduction::{ObjectiveValues, ReductionError};
pub use relaxation::Relaxation;
pub use requests::ModelRequest;
pub use rewards::{RewardMemory, Rewards, structure_hash};
pub use sanity::Sanity;
pub use table::{Column, NO_LIMITS, OnFailure, Outcome, RewardTable, Stage, TermStatistics};
pub use terms::{
    Bucket, Builtin, BuiltinError, BuiltinTerm, Cost, DisplacementTerm, Diversity, ForceScale, ForceTerm, HullTerm,
    HullTermError, Novelty, OnnxTerm, PluginTerm, PluginTermError, RecentBatches, Stability, StructureNovelty,
    StructureUniqueness, Tables, Term, TermBatch, TermKind, Uniqueness, WORST_E_HULL, density, stabilities, stability,
};
