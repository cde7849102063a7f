//! Property models, asked about samples and about their twins in the training data.

use std::path::PathBuf;
use std::sync::Arc;

use crate::cli::{Context, Failure, Search};
use crate::crystal::{Structure, map_ok};
use crate::model::OnnxModel;

/// The models, in order.
pub(super) struct PropertyModels(Vec<Arc<OnnxModel>>);

/// What the models say of a structure.
#[derive(Clone, Debug, Default)]
pub(super) struct Predicted {
    /// In the order of the names.
    pub values: Vec<Option<f64>>,
    /// Why there is no value.
    pub reasons: Vec<String>,
}

impl PropertyModels {
    pub fn open(paths: &[PathBuf], context: &Context) -> Result<Self, Failure> {
        let search = Search::new(None);
        let open = |path: &PathBuf| {
            let path = search.find("--property-model", path)?;
            let model = context.open_model(&path)?;
            if model.quantities().is_empty() {
                return Err(Failure::user(format!("{}: it gives no number per crystal", path.display())));
            }
            Ok(Arc::new(model))
        };
        paths.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    /// Names of the properties.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().flat_map(|model| model.quantities()).map(str::to_owned).collect()
    }

    /// Whether there is no model.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Asks every model; a structure that is not to be asked about has an error.
    pub fn predict(&self, structures: &[Result<&Structure, String>]) -> Vec<Predicted> {
        let mut all = vec![Predicted::default(); structures.len()];
        for model in &self.0 {
            let quantities = model.quantities();
            let rows = map_ok(structures.to_vec(), |structures| {
                let rows = model.evaluate(&structures, &quantities).into_iter();
                rows.map(|row| row.map_err(|error| error.to_string())).collect()
            });
            for (predicted, row) in all.iter_mut().zip(rows) {
                match row {
                    Ok(values) => predicted.values.extend(values.into_iter().map(Some)),
                    Err(reason) => {
                        predicted.values.extend(vec![None; quantities.len()]);
                        predicted.reasons.extend((!reason.is_empty()).then_some(reason));
                    }
                }
            }
        }
        all
    }
}
