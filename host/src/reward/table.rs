//! The outcomes of every term on every row.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Failure;
use crate::crystal::Structure;

/// What one term gave for one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Outcome {
    /// A finite number.
    Value(f64),
    /// No number, and why.
    Failed(Failure),
    /// The term abstains from this crystal, which is not a failure: an objective that names the term leaves the row out.
    Abstained,
    /// Not computed, because a filter had rejected the row.
    NotAsked,
}

impl Outcome {
    /// The number, if there is one.
    pub fn value(&self) -> Option<f64> {
        if let Self::Value(value) = self { Some(*value) } else { None }
    }
}

impl From<Result<f64, Failure>> for Outcome {
    fn from(result: Result<f64, Failure>) -> Self {
        result.map_or_else(Self::Failed, Self::Value)
    }
}

/// What a failed term means for its row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum OnFailure {
    /// The term counts as its documented worst value, else as the worst of the batch; the row never beats a success.
    #[default]
    Worst,
    /// The row leaves the batch.
    Drop,
    /// The term counts as this number; the row never beats a success for it.
    Value(f64),
}

/// The limits of a term that has none.
pub const NO_LIMITS: [f64; 2] = [f64::NEG_INFINITY, f64::INFINITY];

/// A term's place in the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name of the term.
    pub name: String,
    /// What its failures mean.
    pub on_failure: OnFailure,
    /// Its documented worst value, if it has one: 10 eV/atom for an energy above hull.
    pub worst: Option<f64>,
    /// For a filter: rows whose value is outside of these ends (or failed) are rejected.
    pub bound: Option<[f64; 2]>,
    /// Smallest and largest value that the objective, filters and statistics see; the table itself keeps the number as it is.
    pub limits: [f64; 2],
}

impl Column {
    /// A value of this term as the objective sees it.
    fn limited(&self, value: f64) -> f64 {
        value.max(self.limits[0]).min(self.limits[1])
    }
}

/// How many rows of a batch came through one stage of its scoring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// `sampled`, `decoded`, a filter's name, `sane` or `scored`.
    pub name: String,
    /// Rows that are left.
    pub rows: usize,
}

/// Rows x terms.
#[derive(Clone, Debug)]
pub struct RewardTable {
    columns: Vec<Column>,
    rows: usize,
    funnel: Vec<Stage>,
    /// Row-major.
    cells: Vec<Outcome>,
    /// What the crystals of rows relaxed to.
    relaxed: BTreeMap<usize, Structure>,
}

/// One term over a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct TermStatistics {
    /// Name of the term.
    pub name: String,
    /// Rows with a value.
    pub values: usize,
    /// Mean of these values; `None` without any.
    pub mean: Option<f64>,
    /// Their standard deviation (of the population).
    pub spread: Option<f64>,
    /// Rows that failed, by kind of failure.
    pub failures: BTreeMap<&'static str, usize>,
    /// Rows from which the term abstained.
    pub abstained: usize,
    /// Rows that a filter had rejected before.
    pub not_asked: usize,
}

impl RewardTable {
    /// A table in which nothing has been asked yet.
    pub fn new(columns: Vec<Column>, rows: usize) -> Self {
        let cells = vec![Outcome::NotAsked; rows * columns.len()];
        Self { columns, rows, funnel: Vec::new(), cells, relaxed: BTreeMap::new() }
    }

    /// The stages of the scoring, in the order in which rows were lost.
    pub fn funnel(&self) -> &[Stage] {
        &self.funnel
    }

    /// The funnel as a sentence: "1000 sampled, 981 decoded, 870 neutral, 868 sane, 868 scored".
    pub fn funnel_text(&self) -> String {
        let stages: Vec<String> = self.funnel.iter().map(|stage| format!("{} {}", stage.rows, stage.name)).collect();
        stages.join(", ")
    }

    /// Adds a stage to the funnel.
    pub fn reached(&mut self, name: &str, rows: usize) {
        self.funnel.push(Stage { name: name.into(), rows });
    }

    /// The terms, in the order of the columns.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The outcomes of a row, one per column.
    pub fn row(&self, row: usize) -> &[Outcome] {
        &self.cells[row * self.columns.len()..][..self.columns.len()]
    }

    /// The number of a term on a row as the objective, filters and statistics see it: within the limits of its column.
    pub fn limited(&self, row: usize, column: usize) -> Option<f64> {
        self.row(row)[column].value().map(|value| self.columns[column].limited(value))
    }

    /// What the crystal of a row relaxed to, where a term asked for it.
    pub fn relaxed(&self, row: usize) -> Option<&Structure> {
        self.relaxed.get(&row)
    }

    /// Keeps what the crystal of a row relaxed to.
    pub(super) fn set_relaxed(&mut self, row: usize, structure: Structure) {
        self.relaxed.insert(row, structure);
    }

    /// Records an outcome; a value that is not finite is recorded as a failure.
    pub fn set(&mut self, row: usize, column: usize, outcome: Outcome) {
        let outcome = match outcome {
            Outcome::Value(value) if !value.is_finite() => {
                Outcome::Failed(Failure::NotFinite { source_name: self.columns[column].name.clone(), value })
            }
            outcome => outcome,
        };
        self.cells[row * self.columns.len() + column] = outcome;
    }

    /// Whether a filter rejects a row, by its value or by its failure.
    pub fn rejected(&self, row: usize) -> bool {
        let passes = |(column, outcome): (&Column, &Outcome)| match (column.bound, outcome) {
            (None, _) | (Some(_), Outcome::NotAsked | Outcome::Abstained) => true,
            (Some([least, most]), Outcome::Value(value)) => (least..=most).contains(&column.limited(*value)),
            (Some(_), Outcome::Failed(_)) => false,
        };
        !self.columns.iter().zip(self.row(row)).all(passes)
    }

    /// Whether every term has a value and no filter rejects the row.
    pub fn complete(&self, row: usize) -> bool {
        !self.rejected(row) && self.row(row).iter().all(|outcome| outcome.value().is_some())
    }

    /// Mean, spread and failures of every term.
    pub fn statistics(&self) -> Vec<TermStatistics> {
        let column = |(index, column): (usize, &Column)| {
            let outcomes = || (0..self.rows).map(move |row| &self.row(row)[index]);
            let values: Vec<f64> = (0..self.rows).filter_map(|row| self.limited(row, index)).collect();
            let (mean, spread) = mean_and_spread(&values);
            let mut failures = BTreeMap::new();
            for outcome in outcomes() {
                if let Outcome::Failed(failure) = outcome {
                    *failures.entry(failure.kind()).or_insert(0) += 1;
                }
            }
            let [abstained, not_asked] =
                [Outcome::Abstained, Outcome::NotAsked].map(|kind| outcomes().filter(|o| **o == kind).count());
            let (name, values) = (column.name.clone(), values.len());
            TermStatistics { name, values, mean, spread, failures, abstained, not_asked }
        };
        self.columns.iter().enumerate().map(column).collect()
    }
}

pub(super) fn mean_and_spread(values: &[f64]) -> (Option<f64>, Option<f64>) {
    if values.is_empty() {
        return (None, None);
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
    (Some(mean), Some(variance.sqrt()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EvaluationError;

    #[test]
    fn statistics_count_values_failures_and_rows_not_asked() {
        let gap =
            Column { name: "gap".into(), on_failure: OnFailure::Worst, worst: None, bound: None, limits: NO_LIMITS };
        let mut t = RewardTable::new(vec![gap], 6);
        t.set(0, 0, Outcome::Value(1.0));
        t.set(1, 0, Outcome::Value(3.0));
        t.set(2, 0, Outcome::Failed(Failure::Model(EvaluationError::Failed("out of order".into()))));
        t.set(4, 0, Outcome::Value(f64::INFINITY));
        t.set(5, 0, Outcome::Abstained);
        let expected = TermStatistics {
            name: "gap".into(),
            values: 2,
            mean: Some(2.0),
            spread: Some(1.0),
            failures: BTreeMap::from([("model failed", 1), ("not finite", 1)]),
            abstained: 1,
            not_asked: 1,
        };
        assert_eq!(t.statistics(), [expected]);
    }
}
