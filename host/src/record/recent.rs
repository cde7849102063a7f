//! The last steps or epochs of a run, as any process can read them from its directory.

use std::collections::VecDeque;
use std::path::Path;

use serde_json::Value;

use super::RunError;
use super::history::{RunConfig, for_each_line};
use super::run_card::FIGURES;

/// How many.
pub const RECENT: usize = 10;

/// The end of a run's metrics, and its config.
#[derive(Clone, Debug)]
pub struct RecentSteps {
    /// What the run counts: `step` or `epoch`.
    pub unit: &'static str,
    /// Steps or epochs that the config asks for.
    pub planned: u64,
    /// The resolved config.
    pub config: toml::Table,
    /// Lines of metrics, the newest last. One that is being written is not among them.
    lines: VecDeque<Value>,
}

impl RecentSteps {
    /// Reads the directory of a fine-tuning or pretraining, running or not.
    ///
    /// # Errors
    /// [`RunError`], when the directory holds no run or cannot be read.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let RunConfig { unit, planned, table: config, .. } = RunConfig::read(path)?;
        let mut lines = VecDeque::with_capacity(RECENT);
        for_each_line(path, unit, |line| {
            let Some((_, line)) = line else { return };
            if lines.len() == RECENT {
                lines.pop_front();
            }
            lines.push_back(line);
        })?;
        Ok(Self { unit, planned, config, lines })
    }

    /// Steps or epochs whose metrics are there.
    pub fn done(&self) -> u64 {
        self.lines.back().and_then(|line| line.get(self.unit)?.as_u64()).unwrap_or(0)
    }

    /// Figures of the newest: key in the metrics, and value.
    pub fn newest(&self) -> Vec<(&'static str, f64)> {
        let number = |key: &str| self.lines.back().and_then(|line| line.get(key)?.as_f64());
        FIGURES.iter().filter_map(|(key, ..)| Some((*key, number(key)?))).collect()
    }

    /// Means of the figures over all of them that have one.
    pub fn means(&self) -> Vec<(&'static str, f64)> {
        let mean = |key: &str| {
            let values: Vec<f64> = self.lines.iter().filter_map(|line| line.get(key)?.as_f64()).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        FIGURES.iter().filter_map(|(key, ..)| Some((*key, mean(key)?))).collect()
    }

    /// Their median duration, seconds.
    pub fn seconds(&self) -> Option<f64> {
        let duration = |line: &Value| {
            let time = line.get("time")?;
            time.get("step").or_else(|| time.get("seconds"))?.as_f64()
        };
        let mut values: Vec<f64> = self.lines.iter().filter_map(duration).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}
