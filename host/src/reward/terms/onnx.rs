//! One output of a model.

use std::sync::Arc;

use super::{Cost, TermBatch, TermKind};
use crate::model::{ModelError, OnnxModel};
use crate::reward::{ModelRequest, Outcome};

/// An output of a model that is one number per crystal.
#[derive(Clone, Debug)]
pub struct OnnxTerm {
    model: Arc<OnnxModel>,
    quantity: String,
}

impl OnnxTerm {
    /// The output of that name, or the only one that the model has.
    ///
    /// # Errors
    /// As [`OnnxModel::quantity`].
    pub fn new(model: Arc<OnnxModel>, output: Option<&str>) -> Result<Self, ModelError> {
        let quantity = model.quantity(output)?;
        Ok(Self { model, quantity })
    }
}

impl TermKind for OnnxTerm {
    fn request(&self) -> Option<ModelRequest> {
        Some(ModelRequest::Number { model: Arc::clone(&self.model), quantity: self.quantity.clone() })
    }

    fn cost(&self) -> Cost {
        Cost::Model
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.numbers.iter().map(|&number| Outcome::Value(number)).collect()
    }
}
