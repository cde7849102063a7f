//! The table at the end of a run: its first steps against its last.

use crate::record::{Ends, StepMetrics};
use crate::train::StageTimes;

/// A number of a step, if it has one.
type Value = Box<dyn Fn(&StepMetrics) -> Option<f64>>;

/// A line of the table.
struct Row {
    name: String,
    value: Value,
    style: Style,
}

/// How a number is written.
#[derive(Clone, Copy)]
enum Style {
    Digits(usize),
    Percent,
}

/// Means over the first and over the last steps, with their standard deviations over these steps.
pub(super) fn comparison(ends: &Ends) -> String {
    let rows = rows(ends.first());
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(30);
    let header = format!("{:width$}  {:>22}  {:>22}", "", steps(ends.first().iter()), steps(ends.last()));
    let line = |row: &Row| {
        let (first, last) = (row.cell(ends.first().iter()), row.cell(ends.last()));
        format!("{:width$}  {first:>22}  {last:>22}", row.name)
    };
    let lines: Vec<String> = std::iter::once(header).chain(rows.iter().map(line)).collect();
    lines.join("\n")
}

fn steps<'a>(steps: impl Iterator<Item = &'a StepMetrics> + Clone) -> String {
    let numbers = || steps.clone().map(|step| step.step);
    match (numbers().min(), numbers().max()) {
        (Some(first), Some(last)) if first < last => format!("steps {first} to {last}"),
        (first, _) => format!("step {}", first.unwrap_or(0)),
    }
}

fn rows(first: &[StepMetrics]) -> Vec<Row> {
    use Style::{Digits, Percent};
    let mut rows = Vec::new();
    let mut row = |name: &str, style, value: fn(&StepMetrics) -> Option<f64>| {
        rows.push(Row { name: name.to_owned(), value: Box::new(value), style });
    };
    row("mean objective", Digits(4), |s| s.objective_mean);
    if first.iter().any(|step| step.stable_fraction.is_some()) {
        row("stable, e_hull < 0.1 eV/atom", Percent, |s| s.stable_fraction);
    }
    row("KL to the base, nats", Digits(3), |s| s.kl);
    row("entropy, nats", Digits(2), |s| s.entropy);
    row("unique formulas", Percent, |s| Some(s.unique_formulas));
    row("failed", Percent, |s| Some(s.failed_fraction));
    rows.extend(first.first().into_iter().flat_map(term_rows));
    rows.extend(first.iter().max_by_key(|step| step.funnel.len()).into_iter().flat_map(funnel_rows));
    rows.extend(time_rows());
    rows
}

/// Of each term its mean, its spread over the crystals of a step, and the rows that have a value.
fn term_rows(first: &StepMetrics) -> Vec<Row> {
    let row = |name: &str, of: &str, key: &'static str, style| {
        let term = name.to_owned();
        let value = move |step: &StepMetrics| step.terms.get(&term)?.get(key)?.as_f64();
        Row { name: format!("{name}{of}"), value: Box::new(value), style }
    };
    let of_term = |name: &String| {
        [
            row(name, ", mean", "mean", Style::Digits(4)),
            row(name, ", spread over crystals", "spread", Style::Digits(4)),
            row(name, ", rows with a value", "values", Style::Digits(1)),
        ]
    };
    first.terms.keys().flat_map(of_term).collect()
}

fn funnel_rows(first: &StepMetrics) -> Vec<Row> {
    let stages = first.funnel.iter().enumerate();
    let rows = stages.map(|(place, stage)| {
        let value = move |step: &StepMetrics| step.funnel.get(place).map(|stage| stage.rows as f64);
        Row { name: format!("{}, rows", stage.stage), value: Box::new(value), style: Style::Digits(1) }
    });
    rows.collect()
}

/// Seconds of a step, of each stage, and of what lies between them.
fn time_rows() -> Vec<Row> {
    type Stage = (&'static str, fn(&StageTimes) -> f64);
    let stages: [Stage; 7] = [
        ("seconds", |t| t.step),
        ("  sampling", |t| t.sample),
        ("  rewards", |t| t.reward),
        ("  log-probabilities", |t| t.likelihood),
        ("  gradients", |t| t.gradient),
        ("  clipping and Adam", |t| t.optimiser),
        ("  the rest", StageTimes::rest),
    ];
    let row = |(name, seconds): Stage| {
        let value = move |step: &StepMetrics| Some(seconds(&step.time));
        Row { name: name.to_owned(), value: Box::new(value), style: Style::Digits(3) }
    };
    stages.into_iter().map(row).collect()
}

impl Row {
    fn cell<'a>(&self, steps: impl Iterator<Item = &'a StepMetrics>) -> String {
        let values: Vec<f64> = steps.filter_map(&self.value).collect();
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let deviation = || (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        match values.len() {
            0 => "-".to_owned(),
            1 => self.style.write(mean),
            _ => format!("{} +- {}", self.style.write(mean), self.style.write(deviation())),
        }
    }
}

impl Style {
    fn write(self, number: f64) -> String {
        match self {
            Self::Digits(digits) => format!("{number:.digits$}"),
            Self::Percent => format!("{:.1} %", 100.0 * number),
        }
    }
}
