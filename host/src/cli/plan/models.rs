//! The model files and hulls of a run, each opened once.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Planner;
use crate::cli::{Failure, hull};
use crate::config::{Deadline, ModelSupervision};
use crate::hull::Hull;
use crate::model::{ForceModel, ModelOptions, OnnxModel};
use crate::worker::MEMORY_IS_MEASURED;

/// Terms of the same file, state, deadline and place share a model.
pub(super) type ModelKey = (PathBuf, Option<i64>, Option<Duration>, ModelSupervision);

/// The model of a term, as its table names it.
#[derive(Clone, Copy)]
pub(super) struct ModelRef<'a> {
    pub(super) path: &'a Path,
    pub(super) state: Option<i64>,
    pub(super) deadline: Option<Duration>,
    pub(super) supervision: ModelSupervision,
}

impl<'a> ModelRef<'a> {
    pub(super) fn new(path: &'a Path, deadline: Option<Deadline>, supervision: ModelSupervision) -> Self {
        Self { path, state: None, deadline: deadline.map(Deadline::duration), supervision }
    }
}

impl Planner<'_> {
    /// Opens a model, unless a term before has named the same.
    pub(super) fn model(&mut self, key: &str, model: ModelRef<'_>) -> Result<Arc<OnnxModel>, Failure> {
        let ModelRef { path, state, deadline, supervision } = model;
        let path = self.find(key, path)?;
        let model_key = (path.clone(), state, deadline, supervision);
        if let Some(open) = self.models.get(&model_key) {
            return Ok(Arc::clone(open));
        }
        if supervision.memory.is_some() && !MEMORY_IS_MEASURED {
            return Err(
                self.mistake(key, format!("`{key}`: `memory` cannot be held on this system, which does not tell it"))
            );
        }
        let options = self.context.model_options(self.device, supervision);
        let options = ModelOptions { memory: self.memory, deadline, ..options };
        let mut model = OnnxModel::open(&self.runtime, &self.executor, &path, options)?;
        if let Some(state) = state {
            model.set_state(state);
        }
        model.contract().warnings.iter().for_each(|w| self.context.say(&format!("warning: {w}")));
        self.lock(key, &model.contract().path.clone())?;
        // The sidecar wins over what the file itself declares.
        let sidecar = model.contract().path.with_extension("toml");
        if sidecar.is_file() {
            self.lock(&format!("{key}.sidecar"), &sidecar)?;
        }
        for file in model.contract().external.clone() {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            self.lock(&format!("{key}.{name}"), &file)?;
        }
        let model = Arc::new(model);
        self.models.insert(model_key, Arc::clone(&model));
        Ok(model)
    }

    pub(super) fn hull(&mut self, key: &str, path: &Path) -> Result<Arc<Hull>, Failure> {
        let path = self.find(key, path)?;
        if let Some(open) = self.hulls.get(&path) {
            return Ok(Arc::clone(open));
        }
        let hull = Arc::new(hull::open(&path, self.context)?);
        self.lock(key, &path)?;
        self.hulls.insert(path, Arc::clone(&hull));
        Ok(hull)
    }

    pub(super) fn force_model(&mut self, key: &str, potential: ModelRef<'_>) -> Result<Arc<ForceModel>, Failure> {
        let model = self.model(key, potential)?;
        let model_key = (model.contract().path.clone(), potential.state, potential.deadline, potential.supervision);
        if let Some(open) = self.force_models.get(&model_key) {
            return Ok(Arc::clone(open));
        }
        let forces = ForceModel::new(&self.runtime, model, self.context.cache().as_deref())?;
        forces.warning().iter().for_each(|warning| self.context.say(&format!("warning: {warning}")));
        let forces = Arc::new(forces);
        self.force_models.insert(model_key, Arc::clone(&forces));
        Ok(forces)
    }
}
