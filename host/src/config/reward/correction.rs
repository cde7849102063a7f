//! What takes energies to the scale of a hull.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::config::shared_keys::With;
use crate::config::{Isolation, Problem, Supervision, check_plugin_config};

/// What takes energies to the scale of a hull.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected the name of a correction, or a table with the key `plugin` or `command`")]
pub enum Correction {
    /// `none`, `mp2020`, `mp2020-as-crystalformer`, or a plugin with its usual config: its name or the path of its library.
    Named(String),
    /// A plugin.
    #[serde(deserialize_with = "plugin")]
    Plugin(CorrectionPlugin),
    /// A program that speaks the worker protocol.
    #[serde(deserialize_with = "process")]
    Process(CorrectionProcess),
}

impl Default for Correction {
    fn default() -> Self {
        Self::Named("none".to_owned())
    }
}

/// A correction of a plugin, and how the plugin runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionPlugin {
    /// A name, as `temper plugin list` shows it, or the path of a shared library.
    pub plugin: String,
    /// Where it runs; absent: in workers, unless it ships with Temper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Isolation>,
    /// How its workers are supervised.
    #[serde(flatten, skip_deserializing)]
    pub supervision: Supervision,
    /// What the plugin calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

/// A correction of a program, and how it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorrectionProcess {
    /// The program and its arguments. Of those that are relative paths, the ones that exist beside the config are meant.
    pub command: Vec<String>,
    /// How its workers are supervised.
    #[serde(flatten, skip_deserializing)]
    pub supervision: Supervision,
    /// What the program calls its config.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
}

impl Correction {
    /// `key` is the dotted path of the correction.
    pub(in crate::config) fn check(&self, key: &str) -> Result<(), Problem> {
        let config = match self {
            Self::Named(_) => return Ok(()),
            Self::Plugin(plugin) => &plugin.config,
            Self::Process(process) => &process.config,
        };
        check_plugin_config(config, &format!("{key}.config"))
    }
}

impl CorrectionPlugin {
    /// A plugin of which nothing is said but its name.
    pub fn usual(plugin: &str) -> Self {
        let supervision = Supervision::default();
        Self { plugin: plugin.to_owned(), isolation: None, supervision, config: Map::new() }
    }
}

fn plugin<'de, D: Deserializer<'de>>(table: D) -> Result<CorrectionPlugin, D::Error> {
    let With { own, shared: supervision } = With::deserialize(table)?;
    Ok(CorrectionPlugin { supervision, ..own })
}

fn process<'de, D: Deserializer<'de>>(table: D) -> Result<CorrectionProcess, D::Error> {
    let With { own, shared: supervision } = With::deserialize(table)?;
    Ok(CorrectionProcess { supervision, ..own })
}
