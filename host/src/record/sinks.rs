//! Where the records of a run go, step by step: a list of sinks, of which JSON lines is one.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use super::RunError;
use super::json::read_json;
use crate::atomic::{kill_point, write_atomically};
use crate::input::{MOST_DATA, read};

/// Takes the records of a run. One that is opened for a resumed run drops what was recorded after its checkpoint.
pub trait Sink: fmt::Debug {
    /// Takes the record of a step or epoch: an object of numbers, and of objects of numbers.
    ///
    /// # Errors
    /// The system's reason.
    fn record(&mut self, step: u64, record: &Value) -> io::Result<()>;

    /// Makes durable what was taken: a checkpoint follows, from which the run may go on.
    ///
    /// # Errors
    /// The system's reason.
    fn sync(&mut self) -> io::Result<()>;

    /// Where the records are.
    fn path(&self) -> &Path;
}

/// The sinks of a run, written in turn.
#[derive(Debug)]
pub(super) struct Sinks(Vec<Box<dyn Sink>>);

impl Sinks {
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self(sinks)
    }

    pub fn add(&mut self, sink: impl Sink + 'static) {
        self.0.push(Box::new(sink));
    }

    pub fn record(&mut self, step: u64, record: &impl Serialize) -> Result<(), RunError> {
        for sink in &mut self.0 {
            let json = serde_json::to_value(record).map_err(io::Error::from);
            json.and_then(|json| sink.record(step, &json)).map_err(RunError::write(sink.path()))?;
        }
        Ok(())
    }

    pub fn sync(&mut self) -> Result<(), RunError> {
        self.0.iter_mut().try_for_each(|sink| sink.sync().map_err(RunError::write(sink.path())))
    }
}

/// A file of JSON lines, such as `metrics.jsonl`.
#[derive(Debug)]
pub(super) struct JsonLines {
    file: File,
    path: PathBuf,
}

impl JsonLines {
    /// Begins a file, or keeps the lines whose number under `key` is at most `last`: the rest, and a line that a kill cut short,
    /// was written after the checkpoint from which a run goes on. `last` = 0 starts anew. Where `strict`, there must be a line of
    /// every number, in order. Also gives the lines that are kept.
    pub fn open(path: &Path, key: &str, last: u64, strict: bool) -> Result<(Self, Vec<u8>), RunError> {
        let text = if last > 0 { read(path, MOST_DATA).map_err(RunError::read(path))? } else { Vec::new() };
        // What no newline ends was cut short.
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let (mut kept, mut steps) = (Vec::new(), Vec::new());
        for (line, number) in text[..whole].split_inclusive(|byte| *byte == b'\n').zip(1..) {
            let step = step_of(path, line, number, key)?;
            if step <= last {
                kept.extend_from_slice(line);
                steps.push(step);
            }
        }
        if let Some(reason) = out_of_order(&steps, key, last).filter(|_| strict) {
            return Err(RunError::Metrics { path: path.to_owned(), reason });
        }
        write_atomically(path, &kept).map_err(RunError::write(path))?;
        let file = fs::OpenOptions::new().append(true).open(path).map_err(RunError::write(path))?;
        Ok((Self { file, path: path.to_owned() }, kept))
    }
}

/// What is wrong with the numbers of some lines, which should be 1 to `last`.
fn out_of_order(steps: &[u64], key: &str, last: u64) -> Option<String> {
    match steps.iter().zip(1..).find(|(step, due)| *step != due) {
        Some((step, due)) => Some(format!("line {due}: `{key}` is {step}, where {due} is due")),
        None if (steps.len() as u64) < last => {
            Some(format!("ends after {key} {}, but the checkpoint is of {key} {last}", steps.len()))
        }
        None => None,
    }
}

fn step_of(path: &Path, line: &[u8], number: usize, key: &str) -> Result<u64, RunError> {
    let place = format!("line {number}: ");
    let value: Value = read_json(path, &place, line)?;
    let step = value.get(key).and_then(Value::as_u64);
    step.ok_or_else(|| RunError::content(path, format!("{place}no number `{key}`")))
}

impl Sink for JsonLines {
    fn record(&mut self, _: u64, record: &Value) -> io::Result<()> {
        let line = format!("{record}\n");
        let (first, second) = line.as_bytes().split_at(line.len() / 2);
        self.file.write_all(first)?;
        kill_point();
        self.file.write_all(second)?;
        kill_point();
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn path(&self) -> &Path {
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
        let (mut metrics, kept) = JsonLines::open(&path, "step", 2, true).unwrap();
        metrics.record(3, &json!({"step": 3, "x": 0.1})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n{\"step\":2}\n{\"step\":3,\"x\":0.1}\n");
        assert_eq!(kept, b"{\"step\":1}\n{\"step\":2}\n");
    }

    #[test]
    fn damaged_lines_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let open = || JsonLines::open(&path, "step", 2, true).map(drop).unwrap_err().to_string();
        assert!(open().contains("cannot read") && open().contains("metrics.jsonl"), "{}", open());
        for (text, part) in [
            ("{\"step\":1}\n{\"st\n{\"step\":3}\n", "metrics.jsonl: line 2: "),
            ("{\"epoch\":1}\n", "metrics.jsonl: line 1: no number `step`"),
            ("{\"step\":1}\n{\"step\":1}\n{\"step\":2}\n", "metrics.jsonl: line 2: `step` is 1, where 2 is due"),
            ("{\"step\":2}\n", "metrics.jsonl: line 1: `step` is 2, where 1 is due"),
            ("{\"step\":1}\n{\"step\":3}\n", "ends after step 1, but the checkpoint is of step 2"),
            ("", "ends after step 0, but the checkpoint is of step 2"),
        ] {
            fs::write(&path, text).unwrap();
            assert!(open().contains(part), "{}", open());
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "what cannot be read is left as it is");
        }
    }

    /// A sink that takes one record, and says where it is.
    #[derive(Debug)]
    struct Full(u64);

    impl Sink for Full {
        fn record(&mut self, step: u64, _: &Value) -> io::Result<()> {
            if step > self.0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }

        fn sync(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn path(&self) -> &Path {
            Path::new("run/events")
        }
    }

    #[test]
    fn every_sink_gets_every_record_and_one_that_fails_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (lines, _) = JsonLines::open(&path, "step", 0, true).unwrap();
        let mut sinks = Sinks::new(vec![Box::new(Full(1)), Box::new(lines)]);
        sinks.record(1, &json!({"step": 1})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n");
        let error = sinks.record(2, &json!({"step": 2})).unwrap_err();
        assert!(matches!(&error, RunError::Write { path, .. } if path == Path::new("run/events")), "{error}");
        sinks.sync().unwrap();
    }
}
