//! How plugins, programs and models run: where, and within which limits.

use std::collections::BTreeMap;

use serde::de::MapAccess;
use serde::{Deserialize, Serialize};

use super::shared_keys::SharedKeys;
use super::{Deadline, Memory};

/// Where a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In workers: whatever it does wrong is a recorded failure.
    Process,
    /// In Temper's own process: whatever it does wrong may end the run.
    None,
}

/// How worker processes run and are supervised: the keys `deadline`, `workers`, `max_batch`, `memory`, `max_restarts`, `device` and
/// `env`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Supervision {
    /// How long a batch may take.
    pub deadline: Deadline,
    /// Processes that share a batch.
    pub workers: usize,
    /// Most crystals that a process gets at once; absent: its share of the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batch: Option<usize>,
    /// Memory that each may take; absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Restarts in a row that may fail.
    pub max_restarts: u32,
    /// The device that the processes see: `cpu`, `cuda` or `cuda:N`; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Variables of their environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            deadline: Deadline::seconds(30),
            workers: 1,
            max_batch: None,
            memory: None,
            max_restarts: 5,
            device: None,
            env: BTreeMap::new(),
        }
    }
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelIsolation {
    /// In Temper's own process.
    Host,
    /// In processes of its own: whatever it does wrong is a recorded failure.
    Process,
}

/// Where the model of a term runs, and within which limits: the keys `isolation`, `memory` and `max_restarts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ModelSupervision {
    /// Where it runs; absent: in Temper's own process, unless it killed the process in which it was first looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<ModelIsolation>,
    /// Memory that each of its processes may take; absent: no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// Restarts in a row that may fail; absent: 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_restarts: Option<u32>,
}

impl ModelSupervision {
    /// Restarts in a row that may fail unless a config says otherwise: one for each crystal that a model dies of.
    const RESTARTS: u32 = 100;

    /// Restarts in a row that may fail.
    pub fn restarts(&self) -> u32 {
        self.max_restarts.unwrap_or(Self::RESTARTS)
    }
}

impl SharedKeys for ModelSupervision {
    fn names() -> Vec<&'static str> {
        vec!["isolation", "memory", "max_restarts"]
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, table: &mut A) -> Result<(), A::Error> {
        match name {
            "isolation" => self.isolation = Some(table.next_value()?),
            "memory" => self.memory = Some(table.next_value()?),
            _ => self.max_restarts = Some(table.next_value()?),
        }
        Ok(())
    }
}

impl SharedKeys for Supervision {
    fn names() -> Vec<&'static str> {
        vec!["deadline", "workers", "max_batch", "memory", "max_restarts", "device", "env"]
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, name: &str, table: &mut A) -> Result<(), A::Error> {
        match name {
            "deadline" => self.deadline = table.next_value()?,
            "workers" => self.workers = table.next_value()?,
            "max_batch" => self.max_batch = Some(table.next_value()?),
            "memory" => self.memory = Some(table.next_value()?),
            "max_restarts" => self.max_restarts = table.next_value()?,
            "device" => self.device = Some(table.next_value()?),
            _ => self.env = table.next_value()?,
        }
        Ok(())
    }
}
