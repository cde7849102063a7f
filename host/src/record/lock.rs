//! `lock.json`: what a run's numbers depend on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::RunError;
use super::json::read_json;
use crate::atomic::write_atomically;

/// Hashes (SHA-256) of everything that a run's numbers depend on, each under the key that names it in the config, and the
/// program's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock(BTreeMap<String, String>);

impl Lock {
    /// Of a program's version and nothing else yet.
    pub fn new(version: &str) -> Self {
        Self(BTreeMap::from([("program".to_owned(), version.to_owned())]))
    }

    /// Adds the hash of the contents of what `key` names.
    pub fn add(&mut self, key: &str, contents: &[u8]) {
        let hash = Sha256::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect();
        self.0.insert(key.to_owned(), hash);
    }

    /// Refuses to resume a run whose lock is another.
    pub(super) fn compare(&self, file: &Path) -> Result<(), RunError> {
        let text = fs::read(file).map_err(RunError::read(file))?;
        let old: Self = read_json(file, "", &text)?;
        let keys = self.0.keys().chain(old.0.keys());
        match keys.into_iter().find(|key| self.0.get(*key) != old.0.get(*key)) {
            Some(key) => Err(RunError::Changed { path: file.to_owned(), what: key.clone() }),
            None => Ok(()),
        }
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), RunError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| RunError::write(file)(e.into()))?;
        write_atomically(file, text.as_bytes()).map_err(RunError::write(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_hash_more_of_them_or_fewer_are_another_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        let mut lock = Lock::new("1.0.0");
        lock.add("config", b"a");
        lock.write(&file).unwrap();
        lock.compare(&file).unwrap();
        // The hash of "a" as FIPS 180 has it.
        let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        assert!(fs::read_to_string(&file).unwrap().contains(hash));
        let changed = |lock: &Lock| lock.compare(&file).unwrap_err().to_string();
        let mut more = lock.clone();
        more.add("policy.model", b"a");
        assert!(changed(&more).ends_with("lock.json: the run was started with a different policy.model"));
        assert!(changed(&Lock::new("1.0.0")).ends_with("the run was started with a different config"));
        lock.add("config", b"b");
        assert!(changed(&lock).ends_with("the run was started with a different config"));
    }

    #[test]
    fn a_damaged_lock_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        for (text, part) in [("{\"config\":7}", "lock.json: `config`: invalid type: integer"), ("", "lock.json: EOF")] {
            fs::write(&file, text).unwrap();
            let error = Lock::new("1.0.0").compare(&file).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        fs::remove_file(&file).unwrap();
        let error = Lock::new("1.0.0").compare(&file).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("lock.json"), "{error}");
    }
}
