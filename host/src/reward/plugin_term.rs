//! A reward from a plugin or from a program of the user.

use std::sync::Arc;

use super::{Failure, Outcome};
use crate::crystal::Structure;
use crate::model::OnnxModel;
use crate::plugin::Evaluator;

/// A reward of a plugin, and the potential whose energies it is told if it asks for them.
#[derive(Clone, Debug)]
pub struct PluginTerm {
    evaluator: Arc<Evaluator>,
    potential: Option<Arc<OnnxModel>>,
}

/// Why a plugin cannot be a term.
#[derive(Debug, thiserror::Error)]
pub enum PluginTermError {
    /// It asks for energies and nobody gives them.
    #[error("{0} requests energies, but no potential is named")]
    NoPotential(String),
    /// It is given energies that it does not ask for.
    #[error("{0} does not request energies, but a potential is named")]
    NeedlessPotential(String),
}

impl PluginTerm {
    /// A term; the potential is for the energies that the plugin asks for.
    ///
    /// # Errors
    /// [`PluginTermError`], if the one asks and the other is not there, or the other way round.
    pub fn new(evaluator: Arc<Evaluator>, potential: Option<Arc<OnnxModel>>) -> Result<Self, PluginTermError> {
        let name = || evaluator.name().to_owned();
        match (evaluator.properties().energies, &potential) {
            (true, None) => Err(PluginTermError::NoPotential(name())),
            (false, Some(_)) => Err(PluginTermError::NeedlessPotential(name())),
            _ => Ok(Self { evaluator, potential }),
        }
    }

    /// The values that its author claims.
    pub fn range(&self) -> [f64; 2] {
        self.evaluator.range()
    }

    /// What a failure counts as, if its author says so.
    pub fn worst(&self) -> Option<f64> {
        self.evaluator.properties().worst.filter(|worst| worst.is_finite())
    }

    /// Whether other processes do the work, and need to be told nothing that a model must find out first.
    pub(super) fn works_apart(&self) -> bool {
        self.evaluator.is_out_of_process() && self.potential.is_none()
    }

    pub(super) fn potential(&self) -> Option<&OnnxModel> {
        self.potential.as_deref()
    }

    /// One outcome per structure, whose energies (eV per cell) are passed on if the plugin asks for them.
    pub(super) fn outcomes(&self, structures: &[&Structure], energies: &[f64]) -> Vec<Outcome> {
        let energies = self.potential.as_ref().map(|_| energies);
        let outcome = |value| match value {
            Ok(Some(value)) => Outcome::Value(value),
            Ok(None) => Outcome::Abstained,
            Err(error) => Outcome::Failed(Failure::Plugin(error)),
        };
        self.evaluator.evaluate(structures, energies).into_iter().map(outcome).collect()
    }
}
