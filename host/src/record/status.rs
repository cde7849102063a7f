//! How far a run is, as any process can see from its directory.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::RunError;
use super::directory::METRICS;
use super::run_card::FIGURES;
use super::writer_lock::{Writer, writer};

/// Steps or epochs whose median duration is the rate.
const RECENT: usize = 10;

/// How far a run is.
#[derive(Clone, Debug)]
pub struct RunStatus {
    /// What it counts: `step` or `epoch`.
    pub unit: &'static str,
    /// Steps or epochs whose metrics are there.
    pub done: u64,
    /// Steps or epochs that the config asks for.
    pub planned: u64,
    /// Median duration of the last ten, seconds.
    pub seconds: Option<f64>,
    /// Who writes to the directory.
    pub writer: Writer,
    /// Time since the last metrics were written, by the clock of the file system.
    pub age: Option<Duration>,
    /// Figures of the last step or epoch: key in the metrics, and value.
    pub figures: Vec<(&'static str, f64)>,
}

impl RunStatus {
    /// What is left at the rate of the last steps or epochs; nothing is known of it before the first.
    pub fn left(&self) -> Option<Duration> {
        let seconds = self.seconds? * self.planned.saturating_sub(self.done) as f64;
        Duration::try_from_secs_f64(seconds).ok()
    }
}

/// Looks at the directory of a fine-tuning or pretraining, running or not. A last line that is being written is not counted.
///
/// # Errors
/// [`RunError`], when the directory holds no run or cannot be read.
pub fn run_status(path: &Path) -> Result<RunStatus, RunError> {
    let (unit, planned) = plan(path)?;
    let file = path.join(METRICS);
    let recent = match File::open(&file) {
        Ok(open) => recent_lines(open, unit).map_err(RunError::read(&file))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => VecDeque::new(),
        Err(error) => return Err(RunError::read(&file)(error)),
    };
    let last = recent.back();
    let number = |key: &str| last.and_then(|line| line.get(key)?.as_f64());
    let modified = fs::metadata(&file).and_then(|data| data.modified()).ok();
    Ok(RunStatus {
        unit,
        done: last.and_then(|line| line.get(unit)?.as_u64()).unwrap_or(0),
        planned,
        seconds: median(recent.iter().filter_map(seconds).collect()),
        writer: writer(path)?,
        age: modified.filter(|_| last.is_some()).and_then(|time| time.elapsed().ok()),
        figures: FIGURES.iter().filter_map(|(key, ..)| Some((*key, number(key)?))).collect(),
    })
}

/// What a run counts, and how far it is to go.
fn plan(path: &Path) -> Result<(&'static str, u64), RunError> {
    let file = path.join("run.toml");
    let text = fs::read_to_string(&file).map_err(RunError::read(&file))?;
    let table: toml::Table = text.parse().map_err(|error| RunError::content(&file, format!("{error}")))?;
    let (unit, place, key) = match table.contains_key("objective") {
        true => ("step", "run", "steps"),
        false => ("epoch", "train", "epochs"),
    };
    let planned = table.get(place).and_then(|table| u64::try_from(table.get(key)?.as_integer()?).ok());
    let missing = || RunError::content(&file, format!("no number of {unit}s in `{place}.{key}`"));
    Ok((unit, planned.ok_or_else(missing)?))
}

/// The last lines that are whole.
fn recent_lines(file: File, unit: &str) -> std::io::Result<VecDeque<Value>> {
    let mut recent = VecDeque::with_capacity(RECENT);
    for line in BufReader::new(file).lines() {
        let Ok(line) = serde_json::from_str::<Value>(&line?) else { continue };
        if line.get(unit).is_none() {
            continue;
        }
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(line);
    }
    Ok(recent)
}

/// Duration of a step or epoch.
fn seconds(line: &Value) -> Option<f64> {
    let time = line.get("time")?;
    time.get("step").or_else(|| time.get("seconds"))?.as_f64()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
