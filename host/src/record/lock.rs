//! `lock.json`: what a run's numbers depend on, and where it was started.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::hash::{sha256, sha256_of, sha256_of_all};
use super::json::read_json;
use super::{Change, RunError};
use crate::atomic::write_atomically;
use crate::input::{MOST_TEXT, read};

/// The keys under which a lock says what it is and where the run was started: nothing by which runs are compared.
const FORMAT: &str = "format";
const STARTED_IN: &str = "started_in";
const CONFIG_FILE: &str = "config_file";
/// What is noted of the device, which may be another one when a run goes on.
const GPU: &str = "gpu";
const DETERMINISTIC: &str = "deterministic";
const ASIDE: [&str; 5] = [FORMAT, STARTED_IN, CONFIG_FILE, GPU, DETERMINISTIC];

/// What stands in a lock as it is, and not as a hash: the program's version, ONNX Runtime's, and the kind of device.
const PROGRAM: &str = "program";
const RUNTIME: &str = "runtime";
const DEVICE: &str = "device";
/// Locks of the second version of the format may lack these.
const LATER: [&str; 2] = [RUNTIME, DEVICE];

/// The file in a run's directory.
pub(super) const LOCK: &str = "lock.json";

/// Hashes (SHA-256) of everything that a run's numbers depend on, each under the key that names it in the config, the versions of
/// the program and of ONNX Runtime, and the kind of device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock(BTreeMap<String, String>);

/// Where a run was started: relative paths of its config were looked for there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The current folder then.
    pub folder: PathBuf,
    /// The config, unless it was a recipe.
    pub config: Option<PathBuf>,
}

impl Lock {
    /// Of a program's version and nothing else yet.
    pub fn new(version: &str) -> Self {
        Self(BTreeMap::from([(PROGRAM.to_owned(), version.to_owned()), (FORMAT.to_owned(), "2".to_owned())]))
    }

    /// Notes what computes: the release of ONNX Runtime and the kind of device.
    pub fn set_runtime(&mut self, release: &str, device: &str) {
        self.0.insert(RUNTIME.to_owned(), release.to_owned());
        self.0.insert(DEVICE.to_owned(), device.to_owned());
    }

    /// Notes which GPU computes, if one does, and whether it would give the same bytes again.
    pub fn note_device(&mut self, gpu: Option<&str>, deterministic: bool) {
        if let Some(gpu) = gpu {
            self.0.insert(GPU.to_owned(), gpu.to_owned());
        }
        self.0.insert(DETERMINISTIC.to_owned(), if deterministic { "yes" } else { "no" }.to_owned());
    }

    /// Adds the hash of the contents of what `key` names.
    pub fn add(&mut self, key: &str, contents: &[u8]) {
        self.0.insert(key.to_owned(), sha256(contents));
    }

    /// Adds the hash of a file, or of all files of a folder.
    ///
    /// # Errors
    /// The system's reason, when it cannot be read.
    pub fn add_file(&mut self, key: &str, path: &Path) -> io::Result<()> {
        self.0.insert(key.to_owned(), sha256_of(path)?);
        Ok(())
    }

    /// Adds the hash of several files, by their names and contents.
    ///
    /// # Errors
    /// The system's reason, when one cannot be read.
    pub fn add_files(&mut self, key: &str, files: &[PathBuf]) -> io::Result<()> {
        self.0.insert(key.to_owned(), sha256_of_all(files.iter())?);
        Ok(())
    }

    /// Notes where the run was started.
    pub fn set_origin(&mut self, origin: &Origin) {
        let config = origin.config.iter().map(|config| (CONFIG_FILE, config));
        for (key, path) in config.chain([(STARTED_IN, &origin.folder)]) {
            self.0.insert(key.to_owned(), path.to_string_lossy().into_owned());
        }
    }

    /// Where the run of a directory was started, if its lock says so.
    pub fn origin(run: &Path) -> Option<Origin> {
        let Self(entries) = serde_json::from_slice(&read(&run.join(LOCK), MOST_TEXT).ok()?).ok()?;
        let folder = entries.get(STARTED_IN)?.into();
        Some(Origin { folder, config: entries.get(CONFIG_FILE).map(PathBuf::from) })
    }

    /// The hashes of what the keys under this one name.
    pub fn hashes_under(&self, table: &str) -> BTreeMap<&str, &str> {
        let under = |key: &str| key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        self.0.iter().filter(|(key, _)| under(key)).map(|(key, hash)| (key.as_str(), hash.as_str())).collect()
    }

    /// The keys under which the lock of a file has something else, with both values where a lock has more than hashes. What a lock
    /// of an earlier version lacks has not changed as far as anybody knows.
    pub(super) fn changed_since(&self, file: &Path) -> Result<Vec<Change>, RunError> {
        let text = read(file, MOST_TEXT).map_err(RunError::read(file))?;
        let Self(old) = read_json(file, "", &text)?;
        let is_strict = old.contains_key(FORMAT);
        let keys: BTreeSet<&String> = self.0.keys().chain(old.keys()).collect();
        let is_same = |key: &String| match (old.get(key), self.0.get(key)) {
            (None, Some(_)) => !is_strict || LATER.contains(&key.as_str()),
            (old, new) => old == new,
        };
        let changed = keys.into_iter().filter(|key| !ASIDE.contains(&key.as_str()) && !is_same(key));
        let change = |key: &String| match [PROGRAM, RUNTIME, DEVICE].contains(&key.as_str()) {
            true => Change { key: key.clone(), was: old.get(key).cloned(), is: self.0.get(key).cloned() },
            false => Change::unnamed(key),
        };
        Ok(changed.map(change).collect())
    }

    pub(super) fn write(&self, file: &Path) -> Result<(), RunError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| RunError::write(file)(e.into()))?;
        write_atomically(file, text.as_bytes()).map_err(RunError::write(file))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn another_hash_more_of_them_or_fewer_are_another_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        let mut lock = Lock::new("1.0.0");
        lock.add("config", b"a");
        lock.write(&file).unwrap();
        assert!(lock.changed_since(&file).unwrap().is_empty());
        // The hash of "a" as FIPS 180 has it.
        let hash = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        assert!(fs::read_to_string(&file).unwrap().contains(hash));
        let keys = |changes: Vec<Change>| changes.into_iter().map(|change| change.key).collect::<Vec<_>>();
        let changed = |lock: &Lock| keys(lock.changed_since(&file).unwrap());
        let mut more = lock.clone();
        more.add("policy.model", b"a");
        assert_eq!(changed(&more), ["policy.model"]);
        assert_eq!(changed(&Lock::new("1.0.0")), ["config"]);
        lock.add("config", b"b");
        assert_eq!(changed(&lock), ["config"]);
        assert_eq!(changed(&Lock::new("1.0.1")), ["config", "program"]);
    }

    #[test]
    fn an_old_lock_is_held_to_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        fs::write(&file, "{\"program\":\"1.0.0\",\"config\":\"x\"}").unwrap();
        let mut lock = Lock::new("1.0.0");
        lock.add("rewards.e.onnx.model.sidecar", b"a");
        assert_eq!(lock.changed_since(&file).unwrap(), [Change::unnamed("config")], "what it has must still be there");
        lock.add("config", b"");
        assert_eq!(lock.changed_since(&file).unwrap(), [Change::unnamed("config")]);
    }

    #[test]
    fn another_runtime_or_device_is_named_with_both_values() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        let computed = |program: &str, release: &str, device: &str| {
            let mut lock = Lock::new(program);
            lock.set_runtime(release, device);
            lock
        };
        computed("1.0.0", "rel-1.24.1, commit a", "cpu").write(&file).unwrap();
        let said = |lock: Lock| lock.changed_since(&file).unwrap().iter().map(Change::to_string).collect::<Vec<_>>();
        assert!(said(computed("1.0.0", "rel-1.24.1, commit a", "cpu")).is_empty());
        assert_eq!(
            said(computed("1.1.0", "rel-1.25.0, commit b", "cuda")),
            [
                "`device` was cpu, is cuda",
                "`program` was 1.0.0, is 1.1.0",
                "`runtime` was rel-1.24.1, commit a, is rel-1.25.0, commit b"
            ]
        );
        Lock::new("1.0.0").write(&file).unwrap();
        assert!(said(computed("1.0.0", "rel-1.25.0, commit b", "cpu")).is_empty(), "a lock that does not say");
    }

    #[test]
    fn a_run_goes_on_with_another_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        let on = |gpu, deterministic| {
            let mut lock = Lock::new("1.0.0");
            lock.note_device(gpu, deterministic);
            lock
        };
        on(Some("NVIDIA H100"), false).write(&file).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\"gpu\": \"NVIDIA H100\"") && text.contains("\"deterministic\": \"no\""), "{text}");
        assert!(on(Some("NVIDIA H200"), false).changed_since(&file).unwrap().is_empty());
        assert!(on(None, true).changed_since(&file).unwrap().is_empty());
    }

    #[test]
    fn the_origin_is_found_again_and_not_compared() {
        let folder = tempfile::tempdir().unwrap();
        let mut lock = Lock::new("1.0.0");
        assert_eq!(Lock::origin(folder.path()), None);
        let origin = Origin { folder: "/a/b".into(), config: Some("/c/run.toml".into()) };
        lock.set_origin(&origin);
        lock.write(&folder.path().join("lock.json")).unwrap();
        assert_eq!(Lock::origin(folder.path()), Some(origin));
        assert!(Lock::new("1.0.0").changed_since(&folder.path().join("lock.json")).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_lock_is_named_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lock.json");
        for (text, part) in [("{\"config\":7}", "lock.json: `config`: invalid type: integer"), ("", "lock.json: EOF")] {
            fs::write(&file, text).unwrap();
            let error = Lock::new("1.0.0").changed_since(&file).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        fs::remove_file(&file).unwrap();
        let error = Lock::new("1.0.0").changed_since(&file).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("lock.json"), "{error}");
    }
}
