//! What has changed since a run was started, and what of it the user accepts.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::RunError;

/// A key whose value is not what the run was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// A dotted key of the config, or one of `lock.json`.
    pub key: String,
    /// The old value; `None` where there was none or only its hash is known.
    pub was: Option<String>,
    /// The new one, likewise.
    pub is: Option<String>,
}

impl Change {
    /// Of something that only a hash is known of.
    pub fn unnamed(key: &str) -> Self {
        Self { key: key.to_owned(), was: None, is: None }
    }

    /// Whether there is more to say than its name.
    pub fn is_explained(&self) -> bool {
        self.was.is_some() || self.is.is_some()
    }

    /// Whether one of these keys, or of the tables that they name, is the changed one.
    pub fn is_among(&self, keys: &[String]) -> bool {
        let under = |key: &String| self.key.strip_prefix(key.as_str()).is_some_and(|rest| rest.starts_with('.'));
        keys.iter().any(|key| self.key == *key || under(key) || self.key.ends_with(&format!(" of {key}")))
    }
}

/// "`ppo.clip` was 0.2, is 0.3".
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, was, is } = self;
        match (was, is) {
            (Some(was), Some(is)) => write!(f, "`{key}` was {was}, is {is}"),
            (Some(was), None) => write!(f, "`{key}` was {was}, is absent"),
            (None, Some(is)) => write!(f, "`{key}` was absent, is {is}"),
            (None, None) => write!(f, "{key}"),
        }
    }
}

/// A line of `changes.jsonl`.
#[derive(Serialize)]
struct Line<'a> {
    after: u64,
    #[serde(flatten)]
    change: &'a Change,
}

/// Notes in `changes.jsonl` what was accepted, and after which step (or epoch).
pub fn record_changes(folder: &Path, after: u64, changes: &[Change]) -> Result<(), RunError> {
    if changes.is_empty() {
        return Ok(());
    }
    let path = folder.join("changes.jsonl");
    let append = || {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&path)?;
        let lines = changes.iter().map(|change| serde_json::to_string(&Line { after, change }));
        let lines = lines.collect::<Result<Vec<_>, _>>().map_err(io::Error::from)?;
        file.write_all(format!("{}\n", lines.join("\n")).as_bytes())?;
        file.sync_data()
    };
    append().map_err(RunError::write(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_or_its_table_is_accepted_and_nothing_that_only_begins_alike() {
        let change = Change { key: "ppo.clip".into(), was: Some("0.2".into()), is: Some("0.3".into()) };
        assert_eq!(change.to_string(), "`ppo.clip` was 0.2, is 0.3");
        let among = |key: &str| change.is_among(&[key.to_owned()]);
        assert!(among("ppo.clip") && among("ppo"));
        assert!(!among("ppo.cli") && !among("pp") && !among("ppo.clip.x") && !among(""));
        assert!(Change::unnamed("model.toml of policy.model").is_among(&["policy.model".to_owned()]));
    }
}
