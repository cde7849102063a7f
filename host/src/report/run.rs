//! One run, read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::ReportError;
use super::candidates::{Candidate, read_candidates};
use super::evaluation::{EvaluationFolder, evaluations_of};
use super::samples::{Tally, sample_files, tally};
use super::window::Window;
use crate::record::RunHistory;

/// No step has so many rows.
const MOST_ROWS: usize = 1 << 32;

/// A run, read: what a report needs of it.
#[derive(Debug)]
pub struct ReportedRun {
    /// Its directory.
    pub path: PathBuf,
    /// The directory as the user wrote it.
    pub name: String,
    /// Config, lock and metrics.
    pub history: RunHistory,
    /// The crystals of the first step and of the last ten.
    pub samples: Window<Tally>,
    /// The best crystals.
    pub candidates: Vec<Candidate>,
    /// What `temper evaluate` wrote beside it.
    pub evaluations: Vec<EvaluationFolder>,
    /// What could not be read.
    pub notes: Vec<String>,
}

impl ReportedRun {
    /// Reads the directory of a run.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let history = RunHistory::read(path)?;
        let unit = history.config.unit;
        if history.lines.is_empty() {
            return Err(match history.unreadable {
                0 => ReportError::NothingDone { path: path.to_owned(), unit },
                lines => ReportError::NoMetrics { path: path.join("metrics.jsonl"), lines },
            });
        }
        let mut notes = Vec::new();
        if history.unreadable > 0 {
            let lines = history.unreadable;
            notes.push(format!("{}: {lines} of its lines cannot be read", path.join("metrics.jsonl").display()));
        }
        let files = sample_files(path, last_number(&history), &mut notes);
        let table = &history.config.table;
        let (hull, properties) = (hull_term(table), two_properties(table));
        let samples = Window::of(&files).map(|files| {
            let mut tally = tally(files, hull.as_deref(), properties.as_ref(), &mut notes);
            tally.complete(sampled(&history, &tally.steps));
            tally
        });
        let missing = samples.before.missing + samples.after.missing;
        if missing > 0 {
            notes.push(format!(
                "{}: {missing} of the rows of the first and last steps are not among its samples; they count as not stable, and are \
                 in no other share that comes from samples",
                path.display()
            ));
        }
        let candidates = read_candidates(path, &mut notes);
        let evaluations = evaluations_of(path, &mut notes);
        let name = path.display().to_string();
        Ok(Self { path: path.to_owned(), name, history, samples, candidates, evaluations, notes })
    }

    /// Number of the last step or epoch.
    pub fn done(&self) -> u64 {
        last_number(&self.history)
    }

    /// What the config says under a dotted key, as text.
    pub fn setting(&self, key: &str) -> Option<String> {
        let mut value = self.history.config.table.get(key.split('.').next()?)?;
        for part in key.split('.').skip(1) {
            value = value.get(part)?;
        }
        Some(value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// The metrics of the first step and of the last ten.
    pub fn steps(&self) -> Window<Vec<&Value>> {
        let lines: Vec<&Value> = self.history.lines.iter().collect();
        Window::of(&lines)
    }
}

/// Rows that were asked for in some steps.
fn sampled(history: &RunHistory, steps: &BTreeSet<u64>) -> usize {
    let rows = history.lines.iter().filter_map(|line| {
        let is_asked = steps.contains(&line.get("step")?.as_u64()?);
        let sampled = usize::try_from(line.get("funnel")?.get(0)?.get("rows")?.as_u64()?).ok();
        sampled.filter(|rows| is_asked && *rows < MOST_ROWS)
    });
    rows.fold(0, usize::saturating_add)
}

fn last_number(history: &RunHistory) -> u64 {
    history.lines.last().and_then(|line| line.get(history.config.unit)?.as_u64()).unwrap_or(0)
}

/// The term that decides what is stable: the first `hull` term by name.
pub fn hull_term(config: &toml::Table) -> Option<String> {
    let rewards = config.get("rewards")?.as_table()?;
    let mut names: Vec<&String> =
        rewards.iter().filter(|(_, kind)| kind.get("hull").is_some()).map(|(name, _)| name).collect();
    names.sort();
    names.first().map(|name| (*name).clone())
}

/// Two properties between which a run has to choose: the first two of the Pareto front, else the two terms of the objective that
/// are no energies above a hull, where there are two.
pub fn two_properties(config: &toml::Table) -> Option<[String; 2]> {
    let front = config.get("pareto").and_then(|pareto| pareto.get("terms")?.as_table());
    if let Some(front) = front.filter(|front| front.len() >= 2) {
        let mut names = front.keys().cloned();
        return Some([names.next()?, names.next()?]);
    }
    let rewards = config.get("rewards")?.as_table()?;
    let objective = config.get("objective")?.as_str()?;
    let words: Vec<&str> = objective.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let is_property =
        |(name, kind): &(&String, &toml::Value)| kind.get("hull").is_none() && words.contains(&name.as_str());
    let names: Vec<String> = rewards.iter().filter(is_property).map(|(name, _)| name.clone()).collect();
    <[String; 2]>::try_from(names).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_those_of_the_front_or_of_the_objective() {
        let of = |text: &str| two_properties(&text.parse().unwrap());
        let rewards = "[rewards.gap.onnx]\n[rewards.eps.onnx]\n[rewards.e.hull]\n[rewards.other.onnx]\n";
        let names = Some(["eps".to_owned(), "gap".to_owned()]);
        assert_eq!(of(&format!("objective = \"eps * gap - relu(e - 0.1)\"\n{rewards}")), names);
        assert_eq!(of(&format!("objective = \"gap\"\n{rewards}")), None);
        assert_eq!(of(&format!("objective = \"gap\"\n{rewards}[pareto.terms]\neps = \"max\"\ngap = \"max\"\n")), names);
        assert_eq!(of("objective = \"x\""), None);
    }

    #[test]
    fn the_first_hull_by_name_decides() {
        let config = "[rewards.z.hull]\n[rewards.b.hull]\n[rewards.a.onnx]\n".parse().unwrap();
        assert_eq!(hull_term(&config).as_deref(), Some("b"));
        assert_eq!(hull_term(&"x = 1".parse().unwrap()), None);
    }
}
