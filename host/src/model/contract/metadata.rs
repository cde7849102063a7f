//! The keys of a contract, from the file's own metadata and from the sidecar beside it (which wins).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::ContractError;
use crate::graph::onnx::ModelProto;
use crate::input;

/// Keys without a name of an output in them.
const KEYS: [&str; 14] = [
    "contract",
    "cutoff",
    "triplet_cutoff",
    "elements",
    "energy_reference",
    "energy_per_atom",
    "state",
    "state.default",
    "unit.positions",
    "unit.cell",
    "name",
    "version",
    "license",
    "source",
];

/// Keys that are followed by the name of an output.
const OUTPUT_KEYS: [&str; 2] = ["unit.", "reduce."];

/// Key, value and where each value came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Metadata {
    values: BTreeMap<String, (String, PathBuf)>,
    /// `[inputs]` of the sidecar: name in the file -> name in the contract.
    pub inputs: BTreeMap<String, String>,
    /// `[outputs]` of the sidecar, likewise.
    pub outputs: BTreeMap<String, String>,
    /// `[constants]` of the sidecar: name of an input -> its value.
    pub constants: BTreeMap<String, f64>,
    /// Keys of the file's own metadata that mean nothing.
    pub warnings: Vec<String>,
    /// Where the sidecar is or would be.
    pub sidecar: PathBuf,
}

impl Metadata {
    /// Reads the `temper.*` metadata of `model` (read from `path`) and the sidecar, if there is one.
    pub fn read(model: &ModelProto, path: &Path) -> Result<Self, ContractError> {
        let mut metadata = Self { sidecar: path.with_extension("toml"), ..Self::default() };
        for entry in &model.metadata_props {
            let Some(key) = entry.key().strip_prefix("temper.") else { continue };
            if known(key) {
                metadata.values.insert(key.into(), (entry.value().into(), path.into()));
            } else {
                metadata.warnings.push(format!("{}: unknown metadata key `temper.{key}`", path.display()));
            }
        }
        metadata.read_sidecar()?;
        Ok(metadata)
    }

    fn read_sidecar(&mut self) -> Result<(), ContractError> {
        let path = self.sidecar.clone();
        let refused = |reason: String| ContractError::Sidecar { path: path.clone(), reason };
        let text = match input::read_text(&path, input::MOST_TEXT) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(refused(error.to_string())),
        };
        let mut table: toml::Table = toml::from_str(&text).map_err(|e| refused(e.to_string()))?;
        self.inputs = strings(&mut table, "inputs").map_err(refused)?;
        self.outputs = strings(&mut table, "outputs").map_err(refused)?;
        for (name, value) in subtable(&mut table, "constants").map_err(refused)? {
            let number = value.as_float().or(value.as_integer().map(|i| i as f64)).filter(|x| x.is_finite());
            let number = number.ok_or_else(|| refused(format!("constants.{name} must be a number, not {value}")))?;
            self.constants.insert(name, number);
        }
        for (key, value) in flatten(table, "").map_err(refused)? {
            if !known(&key) {
                let known = KEYS.into_iter().chain(["unit", "reduce", "inputs", "outputs", "constants"]);
                let nearest = crate::spelling::nearest(&key, known).map(String::from);
                return Err(ContractError::UnknownKey { path, key, nearest });
            }
            self.values.insert(key, (value, path.clone()));
        }
        Ok(())
    }

    /// Adds a key, as if the sidecar held it.
    pub fn assume(&mut self, key: &str, value: &str) {
        self.values.insert(key.into(), (value.into(), self.sidecar.clone()));
    }

    /// The value of a key, if given.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(|(value, _)| value.as_str())
    }

    /// The value of a key as `parse` understands it; `expected` is for the error.
    pub fn parsed<T>(
        &self,
        key: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ContractError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        parse(value.trim()).map(Some).ok_or_else(|| self.refuse(key, expected))
    }

    /// The error that a key's value is not what is expected.
    pub fn refuse(&self, key: &str, expected: &str) -> ContractError {
        let (value, path) = self.values.get(key).cloned().unwrap_or_default();
        ContractError::Value { path, key: key.into(), value, expected: expected.into() }
    }

    /// The outputs that keys such as `unit.OUTPUT` name, with the whole key and the file it stands in.
    pub fn named_outputs(&self) -> impl Iterator<Item = (&str, &str, &Path)> {
        self.values.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())).filter_map(|(key, (_, path))| {
            let output = OUTPUT_KEYS.iter().find_map(|prefix| key.strip_prefix(prefix))?;
            Some((output, key.as_str(), path.as_path()))
        })
    }
}

fn known(key: &str) -> bool {
    KEYS.contains(&key) || OUTPUT_KEYS.iter().any(|p| key.strip_prefix(p).is_some_and(|rest| !rest.is_empty()))
}

fn subtable(table: &mut toml::Table, key: &str) -> Result<toml::Table, String> {
    match table.remove(key) {
        None => Ok(toml::Table::new()),
        Some(toml::Value::Table(inner)) => Ok(inner),
        Some(other) => Err(format!("[{key}] must be a table, not {other}")),
    }
}

fn strings(table: &mut toml::Table, key: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |(name, value): (String, toml::Value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        other => Err(format!("{key}.{name} must be a name in quotes, not {other}")),
    };
    subtable(table, key)?.into_iter().map(pair).collect()
}

/// Nested tables as dotted keys, numbers and booleans as the strings that metadata would hold.
fn flatten(table: toml::Table, prefix: &str) -> Result<Vec<(String, String)>, String> {
    let mut entries = Vec::new();
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) => entries.extend(flatten(inner, &format!("{key}."))?),
            toml::Value::String(text) => entries.push((key, text)),
            toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
                entries.push((key, value.to_string()));
            }
            other => return Err(format!("`{key}` must be a string, a number or a boolean, not {other}")),
        }
    }
    Ok(entries)
}
