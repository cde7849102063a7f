//! Rewards: terms that give one number per crystal, the table of their outcomes, and the objective over them.
//!
//! A failure is a value of its own kind with a reason, never a number that could pass for a good one: NaN and infinity are
//! failures, and a failed row never scores above a row that succeeded. Nothing here knows of policies or training.

mod builtin;
mod correction;
mod failure;
mod force_term;
mod hull_term;
mod objective;
mod plugin_term;
mod questions;
mod reduction;
mod rewards;
mod sanity;
mod table;

pub use builtin::{Builtin, BuiltinError, BuiltinTerm, KnownCompositions, KnownError, Tables};
pub use correction::{Calculation, Correction, CorrectionError, PluginCorrection, Uncorrected};
pub use failure::Failure;
pub use force_term::{ForceScale, ForceTerm};
pub use hull_term::{HullTerm, HullTermError, Stability, WORST_E_HULL, stabilities};
pub use objective::{NotFinite, Objective, ObjectiveError};
pub use plugin_term::{PluginTerm, PluginTermError};
pub use reduction::{ObjectiveValues, ReductionError};
pub use rewards::{Rewards, Term, TermKind, structure_hash};
pub use sanity::Sanity;
pub use table::{Column, OnFailure, Outcome, RewardTable, Stage, TermStatistics};
