//! Corrections by name: Temper's own, and those of plugins.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;

use super::{Context, Failure};
use crate::cli::Search;
use crate::plugin::{HULL_CORRECTION, NotFound, Supervision, Usable, is_path};
use crate::reward::Correction;
use crate::worker::Environment;

/// How a plugin that the command line names is watched.
const USUAL: Supervision = Supervision {
    deadline: Duration::from_secs(30),
    start_deadline: Duration::from_secs(120),
    memory: None,
    workers: 1,
    max_batch: None,
    max_restarts: 5,
};

impl Context {
    /// The correction of a name: Temper's own, else that of a plugin, which may be named by its path as well. A plugin has its
    /// usual config, and runs in a worker unless it ships with Temper.
    ///
    /// # Errors
    /// When there is none, or it cannot be started.
    pub fn correction(&self, name: &str) -> Result<Correction, Failure> {
        let unknown = match name.parse::<Correction>() {
            Ok(correction) => return Ok(correction),
            Err(unknown) => Failure::from(unknown),
        };
        let found = self.correction_plugin(&Search::new(None), name, unknown)?;
        let supervision = found.path.is_some().then(|| (USUAL, Environment::new()));
        let evaluator = self.discovery().start(&found, HULL_CORRECTION, &Map::new(), supervision)?;
        Ok(Correction::of_plugin(Arc::new(evaluator))?)
    }

    /// The plugin of a name that stands for none of Temper's own corrections.
    pub(in crate::cli) fn correction_plugin(
        &self,
        search: &Search,
        name: &str,
        unknown: Failure,
    ) -> Result<Usable, Failure> {
        let discovery = self.discovery();
        if is_path(name) {
            return Ok(discovery.open(&search.find("the correction", name.as_ref())?)?);
        }
        // Who misspells `mp2020` should read that.
        discovery.find(name).map_err(|error| match error {
            NotFound::Name { .. } => unknown,
            other => other.into(),
        })
    }
}
