//! All steps or epochs of a run, as any process can read them from its directory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

use super::RunError;
use super::directory::METRICS;
use super::json::read_json;
use super::lock::LOCK;
use crate::crystal::QuoteNonFinite;
use crate::input::{MOST_TEXT, read, read_text};

/// What a run is, by its config.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// What the run counts: `step` or `epoch`.
    pub unit: &'static str,
    /// Steps or epochs that the config asks for.
    pub planned: u64,
    /// The resolved config.
    pub table: toml::Table,
    /// The same as it is written.
    pub text: String,
}

/// A run from its first line of metrics to its last.
#[derive(Clone, Debug)]
pub struct RunHistory {
    /// What it is.
    pub config: RunConfig,
    /// Lines of metrics in the order of their numbers, from the first step or epoch on.
    pub lines: Vec<Value>,
    /// Lines that cannot be read: one that is being written, say.
    pub unreadable: usize,
    /// What `lock.json` has; nothing where an earlier version wrote none.
    pub lock: BTreeMap<String, String>,
}

impl RunConfig {
    pub(super) fn read(path: &Path) -> Result<Self, RunError> {
        let file = path.join("run.toml");
        let text = read_text(&file, MOST_TEXT).map_err(RunError::read(&file))?;
        let table: toml::Table = text.parse().map_err(|error| RunError::content(&file, format!("{error}")))?;
        let (unit, section, key) = match table.contains_key("objective") {
            true => ("step", "run", "steps"),
            false => ("epoch", "train", "epochs"),
        };
        let planned = table.get(section).and_then(|section| u64::try_from(section.get(key)?.as_integer()?).ok());
        let planned =
            planned.ok_or_else(|| RunError::content(&file, format!("no number of {unit}s in `{section}.{key}`")))?;
        Ok(Self { unit, planned, table, text })
    }
}

impl RunHistory {
    /// Reads the directory of a fine-tuning or pretraining, running or not.
    ///
    /// # Errors
    /// [`RunError`], when the directory holds no run or cannot be read.
    pub fn read(path: &Path) -> Result<Self, RunError> {
        let config = RunConfig::read(path)?;
        let (mut lines, mut unreadable) = (BTreeMap::new(), 0);
        for_each_line(path, config.unit, |line| match line {
            Some((number, line)) => drop(lines.insert(number, line)),
            None => unreadable += 1,
        })?;
        let file = path.join(LOCK);
        let lock = match file.exists() {
            true => read_json(&file, "", &read(&file, MOST_TEXT).map_err(RunError::read(&file))?)?,
            false => BTreeMap::new(),
        };
        Ok(Self { config, lines: lines.into_values().collect(), unreadable, lock })
    }
}

/// Hands over each line of the metrics with its number, and `None` for each that cannot be read; there may be no file yet.
pub(super) fn for_each_line(
    path: &Path,
    unit: &str,
    mut take: impl FnMut(Option<(u64, Value)>),
) -> Result<(), RunError> {
    let file = path.join(METRICS);
    let open = match File::open(&file) {
        Ok(open) => open,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(RunError::read(&file)(error)),
    };
    let (mut reader, mut line) = (BufReader::new(open), Vec::new());
    for number in 1_usize.. {
        line.clear();
        let read = reader.by_ref().take(MOST_TEXT + 1).read_until(b'\n', &mut line).map_err(RunError::read(&file))?;
        if read == 0 {
            break;
        }
        if read as u64 > MOST_TEXT {
            let reason = format!("line {number}: longer than {} MiB, the most that is read of a line", MOST_TEXT >> 20);
            return Err(RunError::content(&file, reason));
        }
        if !line.trim_ascii().is_empty() {
            take(parsed(&line).and_then(|line| Some((line.get(unit)?.as_u64()?, line))));
        }
    }
    Ok(())
}

/// The value of a line, in which NaN and infinities may stand as Python writes them: they become strings.
fn parsed(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).or_else(|_| serde_json::from_reader(QuoteNonFinite::new(line))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_without_an_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &[u8]| {
            std::fs::write(folder.path().join(METRICS), text).unwrap();
            let mut found = Vec::new();
            for_each_line(folder.path(), "step", |line| found.push(line.map(|(step, _)| step))).map(|()| found)
        };
        assert_eq!(read(b"{\"step\":1,\"kl\":NaN}\n\n{\"step\":2}\n{\"st").unwrap(), [Some(1), Some(2), None]);
        let mut endless = b"{\"step\":1}\n".to_vec();
        endless.resize(endless.len() + MOST_TEXT as usize + 1, b' ');
        let said = read(&endless).unwrap_err().to_string();
        assert!(said.ends_with("metrics.jsonl: line 2: longer than 16 MiB, the most that is read of a line"), "{said}");
    }
}
