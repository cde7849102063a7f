//! What crystals are asked for, in a config or on the command line, as a restriction of the policy.

use std::sync::Arc;

use super::Context;
use super::elements::{element_flags, required_elements};
use crate::config::Sampling;
use crate::crystal::FormulaFamily;
use crate::hint::Hint;
use crate::policy::{
    Hyperparameters, ModelToml, Restriction, RestrictionError, SpaceGroupDistribution, WantedCrystals,
};

/// What a policy lacks that was not told the frequencies of its training data.
pub(super) const UNIFORM: &str =
    "the policy does not know how often each space group occurs in its training data; all are drawn equally often";

/// The frequencies of the policy's training data. Warns where it does not know them.
pub(super) fn training_groups(model: &ModelToml, context: &Context) -> Option<SpaceGroupDistribution> {
    if let Some(frequencies) = &model.spacegroups {
        return SpaceGroupDistribution::new(frequencies);
    }
    context
        .say(&format!("warning: {UNIFORM}\nhint: name space groups, or add a table [spacegroups] to its model.toml"));
    Some(SpaceGroupDistribution::uniform())
}

/// A wish that cannot be fulfilled.
pub(super) struct WishError {
    /// The key in `[sampling]`; absent where several contradict each other.
    pub key: Option<&'static str>,
    /// What is wrong with it.
    pub message: String,
    /// What may help.
    pub hints: Vec<String>,
}

impl WishError {
    fn new(key: &'static str, message: impl ToString) -> Self {
        Self { key: Some(key), message: message.to_string(), hints: Vec::new() }
    }
}

/// The restriction that a `[sampling]` table asks for, if any. Says how a formula is read.
pub(super) fn restriction(
    sampling: &Sampling,
    hyper: &Hyperparameters,
    context: &Context,
) -> Result<Option<Arc<Restriction>>, WishError> {
    let refused = |message| WishError::new("elements", message);
    let unknown = |message| WishError::new("elements.require", message);
    let formula = sampling.formula.as_ref().map(|formula| formula.parse::<FormulaFamily>()).transpose();
    let formula = formula.map_err(|error| WishError::new("formula", error))?;
    let elements = sampling.elements.as_ref();
    let count = sampling.n_elements.unwrap_or_default();
    let wanted = WantedCrystals {
        allowed: elements.and_then(|e| element_flags(e, hyper.atom_types).transpose()).transpose().map_err(refused)?,
        required: elements.map_or(Ok(Vec::new()), required_elements).map_err(unknown)?,
        max_sites: sampling.max_sites,
        max_atoms: sampling.max_atoms,
        min_elements: count.min,
        max_elements: count.max,
        formula,
    };
    if wanted == WantedCrystals::default() {
        return Ok(None);
    }
    let reading = wanted.formula.as_ref().map(|family| format!("formula {family}: {}", family.reading()));
    let contradiction =
        |error: RestrictionError| WishError { key: None, message: error.to_string(), hints: error.hints() };
    let restriction = Restriction::new(wanted, hyper).map_err(contradiction)?;
    reading.iter().for_each(|line| context.say(line));
    Ok(Some(Arc::new(restriction)))
}

/// The space groups that have such crystals. Says how many have none.
pub(super) fn possible_groups(
    groups: SpaceGroupDistribution,
    restriction: Option<&Restriction>,
    context: &Context,
) -> Result<SpaceGroupDistribution, String> {
    let Some(restriction) = restriction else { return Ok(groups) };
    let (possible, left_out) = groups.restricted(restriction);
    let numbers: Vec<String> = left_out.iter().take(10).map(|group| group.number().to_string()).collect();
    let more = if left_out.len() > numbers.len() { ", ..." } else { "" };
    let numbers = format!("{}{more}", numbers.join(", "));
    let possible = possible.ok_or_else(|| format!("no space group has such a crystal: {numbers}"))?;
    if !left_out.is_empty() {
        context.say(&format!("{} space groups have no such crystal and are left out: {numbers}", left_out.len()));
    }
    Ok(possible)
}
