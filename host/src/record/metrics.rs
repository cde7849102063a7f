//! `metrics.jsonl`: one line per step. Everything that depends on the clock is under the key `time`.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::atomic::write_atomically;

/// A metrics file that grows line by line.
#[derive(Debug)]
pub struct Metrics {
    file: File,
    path: PathBuf,
}

impl Metrics {
    /// Opens a file and keeps the lines whose number under `key` is at most `last`: the rest, and a line cut short by a kill, was
    /// written after the checkpoint from which a run goes on. `last` = 0 starts anew.
    ///
    /// # Errors
    /// The system's reason.
    pub fn open(path: &Path, key: &str, last: u64) -> io::Result<Self> {
        let mut kept = Vec::new();
        if last > 0 && path.exists() {
            for line in BufReader::new(File::open(path)?).split(b'\n') {
                let line = line?;
                let number = serde_json::from_slice::<Value>(&line).ok().and_then(|v| v.get(key)?.as_u64());
                if number.is_some_and(|n| n <= last) {
                    kept.extend(line);
                    kept.push(b'\n');
                }
            }
        }
        write_atomically(path, &kept)?;
        let file = fs::OpenOptions::new().append(true).open(path)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The system's reason.
    pub fn append(&mut self, line: &Value) -> io::Result<()> {
        let mut text = line.to_string();
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }

    /// The first line, if there is one.
    ///
    /// # Errors
    /// The system's reason.
    pub fn first(&self) -> io::Result<Option<Value>> {
        let mut line = Vec::new();
        BufReader::new(File::open(&self.path)?).read_until(b'\n', &mut line)?;
        Ok(serde_json::from_slice(&line).ok())
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_behind_the_checkpoint_and_torn_ones_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"ste").unwrap();
        let mut metrics = Metrics::open(&path, "step", 2).unwrap();
        metrics.append(&json!({"step": 3, "x": 0.1})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"x\":0.1}\n");
    }
}
