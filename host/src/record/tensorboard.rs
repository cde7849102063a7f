//! A run's records as event files, which TensorBoard shows: `tensorboard --logdir runs`.
//!
//! A run that is resumed begins another file, as TensorBoard expects it: the first event says from which step on earlier files no
//! longer count. What a kill cuts short is the last record of a file, and readers stop in front of it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::Sink;
use super::events::{Event, Scalar, SessionLog, Summary, VERSION, What, record};
use crate::atomic::kill_point;

/// How the names of event files begin; a number follows, by which readers sort them.
const PREFIX: &str = "events.out.tfevents.";

/// The event file of a run, which the first record begins: a run that has nothing left to do leaves none.
#[derive(Debug)]
pub(super) struct TensorBoard {
    file: Option<File>,
    /// The file, or the run's directory before there is one.
    path: PathBuf,
}

impl TensorBoard {
    /// Of the run in this directory.
    pub fn new(folder: &Path) -> Self {
        Self { file: None, path: folder.to_owned() }
    }

    /// Begins the file of the records from this step or epoch on.
    fn begin(&mut self, step: u64) -> io::Result<File> {
        self.path.push(next_name(&self.path)?);
        let mut file = File::create_new(&self.path)?;
        write(&mut file, 0, What::FileVersion(VERSION.to_owned()))?;
        write(&mut file, step, What::SessionLog(SessionLog { status: SessionLog::START }))?;
        Ok(file)
    }
}

fn write(file: &mut File, step: u64, what: What) -> io::Result<()> {
    let wall_time = now().as_secs_f64();
    let bytes = record(&Event { wall_time, step: step as i64, what: Some(what) });
    let (first, second) = bytes.split_at(bytes.len() / 2);
    file.write_all(first)?;
    kill_point();
    file.write_all(second)
}

impl Sink for TensorBoard {
    fn record(&mut self, step: u64, record: &Value) -> io::Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.begin(step)?,
        };
        write(self.file.insert(file), step, What::Summary(Summary { value: scalars(record) }))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }

    fn path(&self) -> &Path {
        &self.path
    }
}

/// Since 1970.
fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time in seconds, as is customary, or one more than the newest file has: a clock may be behind.
fn next_name(folder: &Path) -> io::Result<String> {
    let mut number = now().as_secs();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let there = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u64>().ok());
        number = number.max(there.map_or(0, |there| there.saturating_add(1)));
    }
    Ok(format!("{PREFIX}{number:010}.temper"))
}

/// The numbers of a record: `terms/e_hull/mean`; those that stand in no table are under `metrics`.
fn scalars(record: &Value) -> Vec<Scalar> {
    let mut found = Vec::new();
    for (key, value) in record.as_object().into_iter().flatten() {
        match value {
            _ if key == "step" || key == "epoch" => {}
            Value::Object(_) | Value::Array(_) => add(key, value, &mut found),
            _ => add(&format!("metrics/{key}"), value, &mut found),
        }
    }
    found
}

fn add(tag: &str, value: &Value, found: &mut Vec<Scalar>) {
    let mut scalar = |number: f64| found.push(Scalar { tag: tag.to_owned(), simple_value: Some(number as f32) });
    match value {
        Value::Number(number) => number.as_f64().into_iter().for_each(scalar),
        Value::Bool(flag) => scalar(f64::from(*flag)),
        Value::Null | Value::String(_) => {}
        Value::Object(table) => table.iter().for_each(|(key, value)| add(&format!("{tag}/{key}"), value, found)),
        Value::Array(items) => {
            for (item, number) in items.iter().zip(1..) {
                // Stages of the funnel go by their names.
                match item.get("stage").and_then(Value::as_str) {
                    Some(stage) => add(&format!("{tag}/{stage}"), &item["rows"], found),
                    None => add(&format!("{tag}/{number}"), item, found),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_number_has_a_tag() {
        let record = json!({
            "step": 3, "kl": 0.5, "entropy": null, "top_element": "O", "best": true, "grad_norms": [1.0, 2.0],
            "funnel": [{ "stage": "sampled", "rows": 4 }, { "stage": "my filter", "rows": 2 }],
            "terms": { "e_hull": { "mean": -0.25, "failures": { "atoms too close": 1 } } },
        });
        let found: Vec<(String, f32)> =
            scalars(&record).into_iter().map(|s| (s.tag, s.simple_value.unwrap())).collect();
        let expected = [
            ("metrics/kl", 0.5),
            ("metrics/best", 1.0),
            ("grad_norms/1", 1.0),
            ("grad_norms/2", 2.0),
            ("funnel/sampled", 4.0),
            ("funnel/my filter", 2.0),
            ("terms/e_hull/mean", -0.25),
            ("terms/e_hull/failures/atoms too close", 1.0),
        ];
        assert_eq!(found, expected.map(|(tag, value)| (tag.to_owned(), value)));
    }

    #[test]
    fn files_are_sorted_by_name_in_the_order_in_which_they_were_begun() {
        let folder = tempfile::tempdir().unwrap();
        let ahead = format!("{PREFIX}4000000000.somewhere");
        fs::write(folder.path().join(&ahead), "").unwrap();
        let name = |_| {
            let mut events = TensorBoard::new(folder.path());
            events.record(1, &json!({ "step": 1 })).unwrap();
            events.path.file_name().unwrap().to_string_lossy().into_owned()
        };
        let names: Vec<String> = (0..2).map(name).collect();
        assert_eq!(names, [1, 2].map(|n| format!("{PREFIX}400000000{n}.temper")));
    }
}
