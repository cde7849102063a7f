//! A reward from a plugin or from a program of the user.

use std::sync::Arc;

use super::{Cost, TermBatch, TermKind};
use crate::model::OnnxModel;
use crate::plugin::Evaluator;
use crate::reward::{Failure, ModelRequest, Outcome};

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
}

impl TermKind for PluginTerm {
    /// The energy, if the plugin asks for it.
    fn request(&self) -> Option<ModelRequest> {
        let model = Arc::clone(self.potential.as_ref()?);
        Some(ModelRequest::Number { model, quantity: "energy".into() })
    }

    fn cost(&self) -> Cost {
        Cost::Plugin
    }

    fn is_out_of_process(&self) -> bool {
        self.evaluator.is_out_of_process()
    }

    fn is_shared(&self) -> bool {
        true
    }

    /// The values that its author claims.
    fn range(&self) -> [f64; 2] {
        self.evaluator.range()
    }

    /// What a failure counts as, if its author says so.
    fn worst(&self) -> Option<f64> {
        self.evaluator.properties().worst.filter(|worst| worst.is_finite())
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        let energies = self.potential.as_ref().map(|_| &batch.numbers[..]);
        let outcome = |value| match value {
            Ok(Some(value)) => Outcome::Value(value),
            Ok(None) => Outcome::Abstained,
            Err(error) => Outcome::Failed(Failure::Plugin(error)),
        };
        self.evaluator.evaluate(&batch.structures, energies).into_iter().map(outcome).collect()
    }
}
