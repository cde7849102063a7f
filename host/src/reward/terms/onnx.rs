//! One output of a model.

use std::sync::Arc;

use super::{Cost, TermBatch, TermKind};
use crate::model::{ModelError, OnnxModel};
use crate::reward::{ModelRequest, Outcome, Relaxation};

/// An output of a model that is one number per crystal.
#[derive(Clone, Debug)]
pub struct OnnxTerm {
    model: Arc<OnnxModel>,
    quantity: String,
    relaxation: Option<Relaxation>,
}

impl OnnxTerm {
    /// The output of that name, or the only one that the model has.
    ///
    /// # Errors
    /// As [`OnnxModel::quantity`].
    pub fn new(model: Arc<OnnxModel>, output: Option<&str>) -> Result<Self, ModelError> {
        let quantity = model.quantity(output)?;
        Ok(Self { model, quantity, relaxation: None })
    }

    /// The same output for the relaxed crystal.
    pub fn of_relaxed(self, relaxation: Option<Relaxation>) -> Self {
        Self { relaxation, ..self }
    }
}

impl TermKind for OnnxTerm {
    fn request(&self) -> Option<ModelRequest> {
        Some(ModelRequest::Number { model: Arc::clone(&self.model), quantity: self.quantity.clone() })
    }

    fn relaxation(&self) -> Option<&Relaxation> {
        self.relaxation.as_ref()
    }

    fn cost(&self) -> Cost {
        if self.relaxation.is_some() { Cost::Relaxation } else { Cost::Model }
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.numbers.iter().map(|&number| Outcome::Value(number)).collect()
    }
}
