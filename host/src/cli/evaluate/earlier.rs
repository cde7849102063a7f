//! An earlier evaluation, to compare with.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::cli::Failure;
use crate::input::read;
use crate::metrics::{Difference, Figures, Histogram, Proportion};

/// Most bytes of a metrics.json.
const MOST: u64 = 64 << 20;

/// What is read of a metrics.json.
#[derive(Debug, Deserialize)]
pub(super) struct Earlier {
    pub protocol_id: String,
    pub metrics: BTreeMap<String, Proportion>,
    #[serde(default)]
    pub e_hull: Option<Histogram>,
    #[serde(default)]
    pub space_groups: BTreeMap<u8, BTreeMap<String, Proportion>>,
}

impl Earlier {
    /// Reads the folder of an evaluation.
    pub fn read(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("metrics.json");
        let failed = |e: String| {
            Failure::user(format!("{}: {e}", path.display())).hint("--before names the folder of an evaluation")
        };
        let bytes = read(&path, MOST).map_err(|e| failed(e.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|e| failed(e.to_string()))
    }

    /// Each figure that both have, less the earlier one.
    pub fn differences(&self, now: &Figures) -> BTreeMap<&'static str, Difference> {
        let difference =
            |(name, now): (&&'static str, &Proportion)| Some((*name, Difference::new(now, self.metrics.get(*name)?)?));
        now.iter().filter_map(difference).collect()
    }
}
