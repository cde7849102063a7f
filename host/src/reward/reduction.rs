//! From outcomes to one objective value per row.
//!
//! The rule that everything here serves: a failure never scores above a success. A failed term takes its documented worst
//! value, or else the batch's worst; since an expression may turn any value into a good one (`abs(e_hull)`), the objective
//! of a failed row is in the end also capped by the lowest objective among the rows that succeeded.

use std::collections::BTreeMap;

use super::table::mean_and_spread;
use super::{NotFinite, Objective, OnFailure, Outcome, RewardTable};

/// One objective value per row, each finite; `None` for a row that was dropped. Made by [`RewardTable::objective_values`] alone.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectiveValues {
    values: Vec<Option<f64>>,
    failed: usize,
    scored: usize,
    not_finite: Vec<(usize, NotFinite)>,
}

/// Characters of a reason that stand as an example.
const LONGEST_EXAMPLE: usize = 400;

/// Why a table has no objective values.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReductionError {
    /// More rows failed than the run allows.
    #[error("{failed} of {rows} crystals failed, more than max_failed = {max_failed} allows; reasons: {reasons}")]
    TooManyFailed {
        /// Rows on which a term of the objective, a filter or the expression itself failed.
        failed: usize,
        /// Rows in all.
        rows: usize,
        /// Largest fraction allowed.
        max_failed: f64,
        /// Kinds of failure with their counts and the first reason of each, most frequent first.
        reasons: String,
    },
    /// The objective was parsed against other terms than the table has.
    #[error("the table has no term `{0}`, which the objective names")]
    NoTerm(String),
}

impl RewardTable {
    /// The objective of every row.
    ///
    /// A row succeeds when every term of the objective has a value, the expression is finite and no filter rejects it. A row
    /// for which a term of the objective abstains is dropped, and has not failed. Any other row is dropped if one of the terms
    /// that failed says so; otherwise its missing terms are replaced (see [`OnFailure`]), and the result is lowered to the
    /// lowest objective among the successes. Without a success and without a documented worst value the row is dropped.
    ///
    /// # Errors
    /// [`ReductionError::TooManyFailed`] when more than `max_failed` (a fraction) of the rows failed; a row that a filter
    /// rejected by its bound has not failed.
    pub fn objective_values(&self, objective: &Objective, max_failed: f64) -> Result<ObjectiveValues, ReductionError> {
        let reduction = Reduction::new(self, objective)?;
        let failures: Vec<(&str, String)> = (0..self.rows()).filter_map(|row| reduction.failure(row)).collect();
        let failed = failures.len();
        if failed as f64 > max_failed * self.rows() as f64 {
            let reasons = count(failures);
            return Err(ReductionError::TooManyFailed { failed, rows: self.rows(), max_failed, reasons });
        }
        let values = (0..self.rows()).map(|row| reduction.value(row)).collect();
        let scored = reduction.successes.iter().flatten().count();
        let not_finite = (0..self.rows()).filter_map(|row| Some((row, reduction.complete(row)?.err()?))).collect();
        Ok(ObjectiveValues { values, failed, scored, not_finite })
    }
}

impl ObjectiveValues {
    /// The value of every row, finite; `None` where the row was dropped.
    pub fn values(&self) -> &[Option<f64>] {
        &self.values
    }

    /// How many rows failed.
    pub fn failed(&self) -> usize {
        self.failed
    }

    /// How many rows succeeded: neither failed nor rejected by a filter.
    pub fn scored(&self) -> usize {
        self.scored
    }

    /// The rows on which every term has a value and the expression has none, and why.
    pub fn not_finite(&self) -> &[(usize, NotFinite)] {
        &self.not_finite
    }

    /// Mean over the rows that were kept.
    pub fn mean(&self) -> Option<f64> {
        mean_and_spread(&self.values.iter().flatten().copied().collect::<Vec<_>>()).0
    }
}

/// What the rows of a batch say about each other.
struct Reduction<'a> {
    table: &'a RewardTable,
    objective: &'a Objective,
    /// Column of each term of the objective.
    used: Vec<usize>,
    /// Smallest and largest value of each used term in the batch.
    extremes: Vec<Option<(f64, f64)>>,
    /// Objective of each row that succeeded.
    successes: Vec<Option<f64>>,
    lowest: Option<f64>,
}

impl<'a> Reduction<'a> {
    fn new(table: &'a RewardTable, objective: &'a Objective) -> Result<Self, ReductionError> {
        let find = |name: &String| {
            let found = table.columns().iter().position(|c| c.name == *name);
            found.ok_or_else(|| ReductionError::NoTerm(name.clone()))
        };
        let used = objective.terms().iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let extremes = used.iter().map(|&c| extremes((0..table.rows()).filter_map(|r| table.limited(r, c)))).collect();
        let mut reduction = Self { table, objective, used, extremes, successes: Vec::new(), lowest: None };
        reduction.successes = (0..table.rows())
            .map(|row| if table.rejected(row) { None } else { reduction.complete(row)?.ok() })
            .collect();
        reduction.lowest = reduction.successes.iter().flatten().copied().reduce(f64::min);
        Ok(reduction)
    }

    /// The expression's result where every term of it has a value.
    fn complete(&self, row: usize) -> Option<Result<f64, NotFinite>> {
        let values: Option<Vec<f64>> = self.used.iter().map(|&c| self.table.limited(row, c)).collect();
        values.map(|values| self.objective.evaluate(&values))
    }

    /// The kind of failure of a row and its reason, if it failed.
    fn failure(&self, row: usize) -> Option<(&'static str, String)> {
        let outcomes = self.table.row(row);
        let filters = self.table.columns().iter().zip(outcomes).filter(|(c, _)| c.bound.is_some()).map(|(_, o)| o);
        let failed = filters.chain(self.used.iter().map(|&c| &outcomes[c])).find_map(|outcome| match outcome {
            Outcome::Failed(failure) => Some((failure.kind(), failure.to_string())),
            _ => None,
        });
        let objective = || Some(("objective not finite", self.complete(row)?.err()?.to_string()));
        failed.or_else(objective)
    }

    fn value(&self, row: usize) -> Option<f64> {
        if let Some(value) = self.successes[row] {
            return Some(value);
        }
        let outcomes = self.table.row(row);
        let columns = &self.table.columns();
        if self.used.iter().any(|&c| outcomes[c] == Outcome::Abstained) {
            return None;
        }
        let missing = |c: &usize| outcomes[*c].value().is_none();
        let failed_filter = |c: &usize| columns[*c].bound.is_some() && matches!(outcomes[*c], Outcome::Failed(_));
        let failed_filters = (0..columns.len()).filter(failed_filter);
        if failed_filters
            .chain(self.used.iter().copied().filter(missing))
            .any(|c| columns[c].on_failure == OnFailure::Drop)
        {
            return None;
        }
        match (self.replaced(row), self.lowest) {
            (Some(value), Some(lowest)) => Some(value.min(lowest)),
            (value, lowest) => value.or(lowest),
        }
    }

    /// The objective with the missing terms replaced: by the user's number, the documented worst value, or whichever end of
    /// the batch's values lowers the objective more.
    fn replaced(&self, row: usize) -> Option<f64> {
        let mut values = Vec::with_capacity(self.used.len());
        let mut undecided = Vec::new();
        for (place, &c) in self.used.iter().enumerate() {
            let column = &self.table.columns()[c];
            values.push(match (self.table.limited(row, c), column.on_failure, column.worst) {
                (Some(value), _, _) => value,
                (_, OnFailure::Value(value), _) => value,
                (_, _, Some(worst)) => worst,
                _ => {
                    undecided.push(place);
                    self.extremes[place]?.0
                }
            });
        }
        for place in undecided {
            let (low, high) = self.extremes[place]?;
            let mut at = |value| {
                values[place] = value;
                self.objective.evaluate(&values)
            };
            let (with_low, with_high) = (at(low), at(high));
            let low_is_worse = matches!((with_low, with_high), (Ok(a), Ok(b)) if a < b);
            values[place] = if low_is_worse { low } else { high };
        }
        self.objective.evaluate(&values).ok()
    }
}

fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, x| {
        let (low, high) = range.unwrap_or((x, x));
        Some((low.min(x), high.max(x)))
    })
}

/// "atoms too close (12, such as: two atoms are 0.300 A apart), isolated atom (3, such as: ...)".
fn count(failures: Vec<(&'static str, String)>) -> String {
    let mut counts: BTreeMap<&str, (usize, String)> = BTreeMap::new();
    for (kind, reason) in failures {
        counts.entry(kind).or_insert((0, reason)).0 += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (n, _))| std::cmp::Reverse(*n));
    let shown = |(kind, (n, reason)): (&str, (usize, String))| {
        let surplus = reason.chars().count().saturating_sub(LONGEST_EXAMPLE);
        // The end of a long reason is an exception's message.
        let end: String = reason.chars().skip(surplus).collect();
        format!("{kind} ({n}, such as: {}{end})", if surplus > 0 { "..." } else { "" })
    };
    counts.into_iter().map(shown).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::{Column, Failure, NO_LIMITS};
    use super::*;
    use crate::model::EvaluationError;
    use proptest::prelude::*;

    fn column(name: &str, on_failure: OnFailure, worst: Option<f64>) -> Column {
        Column { name: name.into(), on_failure, worst, bound: None, limits: NO_LIMITS }
    }

    fn failed() -> Outcome {
        Outcome::Failed(Failure::Model(EvaluationError::Failed("out of order".into())))
    }

    fn table(columns: Vec<Column>, rows: &[&[Outcome]]) -> RewardTable {
        let mut table = RewardTable::new(columns, rows.len());
        for (r, row) in rows.iter().enumerate() {
            for (c, outcome) in row.iter().enumerate() {
                table.set(r, c, outcome.clone());
            }
        }
        table
    }

    fn reduce(table: &RewardTable, objective: &str) -> Vec<Option<f64>> {
        let names: Vec<&str> = table.columns().iter().map(|c| c.name.as_str()).collect();
        let objective = Objective::parse(objective, &names).unwrap();
        table.objective_values(&objective, 1.0).unwrap().values().to_vec()
    }

    const V: fn(f64) -> Outcome = Outcome::Value;

    #[test]
    fn a_failure_takes_the_documented_worst_value() {
        let hull = column("e_hull", OnFailure::Worst, Some(10.0));
        let t = table(vec![hull], &[&[V(0.2)], &[failed()], &[V(f64::NAN)], &[V(-0.1)]]);
        assert_eq!(reduce(&t, "-e_hull"), [Some(-0.2), Some(-10.0), Some(-10.0), Some(0.1)]);
        // The worst value would be the best here: the lowest success caps it.
        assert_eq!(reduce(&t, "abs(e_hull)"), [Some(0.2), Some(0.1), Some(0.1), Some(0.1)]);
        assert_eq!(reduce(&t, "e_hull"), [Some(0.2), Some(-0.1), Some(-0.1), Some(-0.1)]);
    }

    /// The table keeps the number; the objective, filters and statistics see it within the limits.
    #[test]
    fn the_objective_sees_values_within_their_limits() {
        let limits = [f64::NEG_INFINITY, 10.0];
        let hull = Column { limits, ..column("e_hull", OnFailure::Worst, Some(10.0)) };
        let rows: &[&[Outcome]] = &[&[V(0.2)], &[V(37.5)], &[failed()], &[V(-1.0)]];
        let t = table(vec![hull.clone()], rows);
        assert_eq!(reduce(&t, "-e_hull"), [Some(-0.2), Some(-10.0), Some(-10.0), Some(1.0)]);
        assert_eq!(t.row(1)[0], V(37.5));
        assert_eq!(t.statistics()[0].mean, Some((0.2 + 10.0 - 1.0) / 3.0));
        let filter = table(vec![Column { bound: Some([0.0, 10.0]), ..hull }], rows);
        assert_eq!([0, 1, 2, 3].map(|row| filter.rejected(row)), [false, false, true, true]);
        // A term without a documented worst value takes it from the batch, as limited.
        let open = Column { limits, ..column("e_hull", OnFailure::Worst, None) };
        assert_eq!(reduce(&table(vec![open], rows), "-e_hull")[2], Some(-10.0));
    }

    #[test]
    fn a_failure_without_documented_worst_takes_the_batch_value_that_lowers_the_objective() {
        let columns = vec![column("eps", OnFailure::Worst, None), column("gap", OnFailure::Worst, None)];
        let t = table(columns, &[&[V(2.0), V(1.0)], &[V(8.0), V(4.0)], &[failed(), V(0.5)], &[failed(), failed()]]);
        assert_eq!(reduce(&t, "eps * gap"), [Some(2.0), Some(32.0), Some(1.0), Some(1.0)]);
        // Lowest where eps is highest: gap - 8, below the lowest success (1 - 2 and 4 - 8).
        assert_eq!(reduce(&t, "gap - eps"), [Some(-1.0), Some(-4.0), Some(-7.5), Some(-7.5)]);
    }

    #[test]
    fn drop_and_value_do_what_the_user_asked() {
        let rows: &[&[Outcome]] = &[&[V(3.0)], &[failed()], &[V(1.0)]];
        let dropped = table(vec![column("gap", OnFailure::Drop, None)], rows);
        assert_eq!(reduce(&dropped, "gap"), [Some(3.0), None, Some(1.0)]);
        let valued = table(vec![column("gap", OnFailure::Value(7.0), Some(0.0))], rows);
        assert_eq!(reduce(&valued, "-2 * gap"), [Some(-6.0), Some(-14.0), Some(-2.0)]);
        // A generous number still does not make a failure better than a success.
        assert_eq!(reduce(&valued, "2 * gap"), [Some(6.0), Some(2.0), Some(2.0)]);
        // No finite value comes of the user's number: back to the rule.
        let log = table(vec![column("gap", OnFailure::Value(0.0), None)], rows);
        assert_eq!(reduce(&log, "log(gap)")[1], Some(0.0));
    }

    #[test]
    fn an_expression_without_finite_value_is_a_failure_of_the_row() {
        let t = table(vec![column("gap", OnFailure::Worst, None)], &[&[V(2.0)], &[V(0.0)], &[V(1.0)]]);
        assert_eq!(reduce(&t, "1 / gap"), [Some(0.5), Some(0.5), Some(1.0)]);
        let objective = Objective::parse("1 / gap", &["gap"]).unwrap();
        let values = t.objective_values(&objective, 0.5).unwrap();
        assert_eq!((values.failed(), values.scored()), (1, 2));
        let [(1, reason)] = values.not_finite() else { panic!("{:?}", values.not_finite()) };
        assert_eq!(reason.to_string(), "the objective is inf at column 3");
    }

    #[test]
    fn a_rejected_row_has_not_failed_and_is_not_rewarded() {
        let filter = Column { bound: Some([1.0, f64::INFINITY]), ..column("neutral", OnFailure::Worst, None) };
        let columns = vec![filter, column("gap", OnFailure::Worst, None)];
        let t =
            table(columns, &[&[V(1.0), V(3.0)], &[V(0.0), Outcome::NotAsked], &[V(0.0), V(9.0)], &[V(1.0), V(5.0)]]);
        assert_eq!(reduce(&t, "gap"), [Some(3.0), Some(3.0), Some(3.0), Some(5.0)]);
        let objective = Objective::parse("gap", &["neutral", "gap"]).unwrap();
        assert_eq!(t.objective_values(&objective, 0.0).unwrap().failed(), 0);
    }

    #[test]
    fn too_many_failures_stop_with_their_reasons() {
        let hull = column("e_hull", OnFailure::Worst, Some(10.0));
        let close = Outcome::Failed(Failure::TooClose { distance: 0.3, bound: 0.5 });
        let t =
            table(vec![hull], &[&[V(0.2)], &[failed()], std::slice::from_ref(&close), std::slice::from_ref(&close)]);
        let objective = Objective::parse("-e_hull", &["e_hull"]).unwrap();
        assert_eq!(
            t.objective_values(&objective, 0.5).unwrap_err().to_string(),
            "3 of 4 crystals failed, more than max_failed = 0.5 allows; reasons: atoms too close (2, such as: two atoms are \
             0.300 A apart, closer than 0.5 A), model failed (1, such as: the model failed: out of order)"
        );
        let other = Objective::parse("gap", &["gap"]).unwrap();
        assert_eq!(t.objective_values(&other, 1.0), Err(ReductionError::NoTerm("gap".into())));
    }

    #[test]
    fn a_batch_without_success_or_worst_value_is_dropped() {
        let t = table(vec![column("gap", OnFailure::Worst, None)], &[&[failed()], &[failed()]]);
        assert_eq!(reduce(&t, "gap"), [None, None]);
        assert_eq!(RewardTable::new(vec![], 0).statistics(), []);
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            3 => (-20.0..20.0f64).prop_map(Outcome::Value),
            1 => Just(Outcome::Value(f64::NAN)),
            1 => Just(failed()),
            1 => Just(Outcome::NotAsked),
        ]
    }

    fn any_mode() -> impl Strategy<Value = OnFailure> {
        prop_oneof![Just(OnFailure::Worst), Just(OnFailure::Drop), (-50.0..50.0f64).prop_map(OnFailure::Value)]
    }

    const EXPRESSIONS: [&str; 9] = [
        "a",
        "abs(a)",
        "a * b",
        "abs(a - 1.4) + 0.5*relu(b - 0.1)",
        "log(a) + b",
        "1 / a",
        "gauss(a, 0, 2) * step(b, 0)",
        "exp(a^2) - b",
        "min(a, b, 3) - max(a, 2 * b)",
    ];

    proptest! {
        /// For every way of counting a failure, objectives of either sign, and several terms.
        #[test]
        fn a_failed_row_never_scores_above_a_successful_one(
            rows in proptest::collection::vec([any_outcome(), any_outcome(), any_outcome()], 1..12),
            which in 0..EXPRESSIONS.len(),
            negative: bool,
            modes in [any_mode(), any_mode(), any_mode()],
            worst in [proptest::option::of(-50.0..50.0f64), proptest::option::of(-50.0..50.0f64)],
        ) {
            let expression = format!("{}({})", if negative { "-" } else { "" }, EXPRESSIONS[which]);
            let columns = vec![
                column("a", modes[0], worst[0]),
                column("b", modes[1], worst[1]),
                Column { bound: Some([0.0, 15.0]), ..column("filter", modes[2], None) },
            ];
            let rows: Vec<&[Outcome]> = rows.iter().map(|r| r.as_slice()).collect();
            let t = table(columns, &rows);
            let values = reduce(&t, &expression);
            let objective = Objective::parse(&expression, &["a", "b"]).unwrap();
            let used = objective.terms().len();
            // What a success is, said once more: all terms there, the filter passed, the expression finite.
            let success = |row: usize| {
                let [a, b, filter] = [0, 1, 2].map(|column| t.row(row)[column].value());
                let terms = [a, b].into_iter().take(used).collect::<Option<Vec<f64>>>()?;
                let passed = filter.map_or(t.row(row)[2] == Outcome::NotAsked, |x| (0.0..=15.0).contains(&x));
                objective.evaluate(&terms).ok().filter(|_| passed)
            };
            let lowest = (0..rows.len()).filter_map(success).reduce(f64::min);
            for (row, value) in values.iter().enumerate() {
                if let Some(expected) = success(row) {
                    prop_assert_eq!(*value, Some(expected));
                    continue;
                }
                let gone = |column: usize| t.row(row)[column].value().is_none() && modes[column] == OnFailure::Drop;
                let filtered = matches!(t.row(row)[2], Outcome::Failed(_)) && modes[2] == OnFailure::Drop;
                if (0..used).any(gone) || filtered {
                    prop_assert_eq!(*value, None);
                } else if let Some(lowest) = lowest {
                    prop_assert!(value.is_some_and(|v| v.is_finite() && v <= lowest), "row {row}: {value:?}, {lowest}");
                }
            }
        }
    }
}
