//! Runs that differ in their seeds alone, and their figures over the seeds.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ReportedRun;
use super::samples::Tally;
use super::window::Window;
use crate::config::apart_from_seed;

/// Runs that differ in their seeds alone.
#[derive(Debug)]
pub struct Group {
    /// A, B, and so on.
    pub letter: String,
    /// Its letter, and the name of its first run.
    pub name: String,
    /// Its config, without what does not set the runs apart.
    pub config: toml::Table,
    /// At least one.
    pub runs: Vec<ReportedRun>,
    /// The crystals of all that keep the same samples as the first.
    pub samples: Window<Tally>,
}

/// A figure at a step, over the runs that have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Number of the step or epoch.
    pub step: u64,
    /// Mean over the runs.
    pub mean: f64,
    /// Standard deviation over the runs (of the sample); nothing is known of it below two.
    pub spread: Option<f64>,
    /// How many runs have it.
    pub runs: usize,
}

/// The name of a group: A, B, ..., Z, then numbers.
pub fn letter(group: usize) -> String {
    u8::try_from(group).ok().filter(|g| *g < 26).map_or_else(|| group.to_string(), |g| char::from(b'A' + g).to_string())
}

/// Puts runs that differ in their seeds alone together, in the order in which they come.
pub fn grouped(runs: Vec<ReportedRun>) -> Vec<Group> {
    let mut groups = Vec::<(toml::Table, Vec<ReportedRun>)>::new();
    for run in runs {
        let config = apart_from_seed(run.history.config.table.clone());
        match groups.iter_mut().find(|(other, _)| *other == config) {
            Some((_, members)) => members.push(run),
            None => groups.push((config, vec![run])),
        }
    }
    let group = |(index, (config, mut runs)): (usize, (toml::Table, Vec<ReportedRun>))| {
        let letter = letter(index);
        let last = runs.first().and_then(|run| run.path.file_name()).unwrap_or_default().to_string_lossy().into_owned();
        let samples = pooled_samples(&mut runs);
        Group { name: format!("{letter} ({last})"), letter, config, runs, samples }
    };
    groups.into_iter().enumerate().map(group).collect()
}

/// The crystals of the runs that keep the same samples as the first: of all rows and of scored rows, shares are not the same.
fn pooled_samples(runs: &mut [ReportedRun]) -> Window<Tally> {
    let kept = |run: &ReportedRun| run.setting("record.samples").unwrap_or_else(|| "all".to_owned());
    let Some(first) = runs.first().map(kept) else { return Window::default() };
    let mut all = Window::<Tally>::default();
    for run in runs {
        let own = kept(run);
        if own == first {
            all = Window { before: all.before.and(&run.samples.before), after: all.after.and(&run.samples.after) };
        } else {
            let name = &run.name;
            run.notes.push(format!(
                "{name}: its samples are in no figure: record.samples is {own}, and {first} in the first run of its group"
            ));
        }
    }
    all
}

/// The number under a path of keys.
pub fn number(line: &Value, path: &[&str]) -> Option<f64> {
    path.iter().try_fold(line, |value, key| value.get(key))?.as_f64().filter(|x| x.is_finite())
}

impl Group {
    /// `step` or `epoch`.
    pub fn unit(&self) -> &'static str {
        self.runs.first().map_or("step", |run| run.history.config.unit)
    }

    /// Whether some of the samples of the steps that are compared were not kept.
    pub fn is_in_part(&self) -> bool {
        self.samples.before.missing > 0 || self.samples.after.missing > 0
    }

    /// A figure at each step at which a run has one.
    pub fn series(&self, path: &[&str]) -> Vec<Point> {
        let unit = self.unit();
        let mut steps = BTreeMap::<u64, Vec<f64>>::new();
        for line in self.runs.iter().flat_map(|run| &run.history.lines) {
            let at = line.get(unit).and_then(Value::as_u64);
            if let Some((step, value)) = at.zip(number(line, path)) {
                steps.entry(step).or_default().push(value);
            }
        }
        let point = |(step, values): (u64, Vec<f64>)| {
            let (mean, spread) = mean_and_spread(&values);
            Point { step, mean, spread, runs: values.len() }
        };
        steps.into_iter().map(point).collect()
    }

    /// A figure in the first step and in the last ten: the mean over these of each run that has it.
    pub fn windows(&self, path: &[&str]) -> Window<Vec<f64>> {
        let mut windows = Window::<Vec<f64>>::default();
        for steps in self.runs.iter().map(ReportedRun::steps) {
            windows.before.extend(mean_of(&steps.before, path));
            windows.after.extend(mean_of(&steps.after, path));
        }
        windows
    }

    /// Names under a key of the lines, in the order of the first line that has each.
    pub fn names_under(&self, key: &str) -> Vec<String> {
        let mut names = Vec::<String>::new();
        for line in self.runs.iter().flat_map(|run| &run.history.lines) {
            for name in line.get(key).and_then(Value::as_object).into_iter().flat_map(|object| object.keys()) {
                if !names.contains(name) {
                    names.push(name.clone());
                }
            }
        }
        names
    }
}

fn mean_of(lines: &[&Value], path: &[&str]) -> Option<f64> {
    let values: Vec<f64> = lines.iter().filter_map(|line| number(line, path)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of some numbers, and the standard deviation of the sample, which one number does not have.
pub fn mean_and_spread(values: &[f64]) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_spreads() {
        assert_eq!([0, 25, 26].map(letter), ["A", "Z", "26"]);
        assert_eq!(mean_and_spread(&[2.0]), (2.0, None));
        // Of 1, 2, 3 and 4: the variance of the sample is 5/3.
        let (mean, spread) = mean_and_spread(&[1.0, 2.0, 3.0, 4.0]);
        assert_eq!(mean, 2.5);
        assert!((spread.unwrap() - (5.0f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
