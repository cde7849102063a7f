//! Rewards: terms that give one number per crystal, the table of their outcomes, and the objective over them.
//!
//! A failure is a value of its own kind with a reason, never a number that could pass for a good one: NaN and infinity are
//! failures, and a failed row never scores above a row that succeeded. Nothing here knows of policies or training.

mod builtin;
mod contract;
mod correction;
mod failure;
mod force_term;
mod hull_term;
mod model;
mod objective;
mod plugin_term;
mod questions;
mod reduction;
mod rewards;
mod sanity;
mod table;
#[cfg(test)]
mod testing;

pub use builtin::{Builtin, BuiltinError, BuiltinTerm, KnownCompositions, KnownError, Tables};
pub use contract::{
    Contract, ContractError, InputKind, Inspection, ModelInput, ModelOutput, Operators, OutputKind, Port, SidecarLine,
    locate_model,
};
pub use correction::{Calculation, Correction, CorrectionError, PluginCorrection, Uncorrected};
pub use failure::Failure;
pub use force_term::{ForceScale, ForceTerm};
pub use hull_term::{HullTerm, HullTermError, Stability, WORST_E_HULL, stabilities};
pub use model::{CrystalOutputs, ForceModel, ModelError, ModelOptions, OnnxModel, Response};
pub use objective::{NotFinite, Objective, ObjectiveError};
pub use plugin_term::{PluginTerm, PluginTermError};
pub use reduction::{ObjectiveValues, ReductionError};
pub use rewards::{Rewards, Term, TermKind, structure_hash};
pub use sanity::Sanity;
pub use table::{Column, OnFailure, Outcome, RewardTable, Stage, TermStatistics};

/// The known name that a misspelt one most resembles, if any comes near.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .map(|(_, candidate)| candidate)
}
