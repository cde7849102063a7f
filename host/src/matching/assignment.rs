//! Which atom goes with which, so that the sum of squared distances is smallest.

use pathfinding::kuhn_munkres::kuhn_munkres_min;
use pathfinding::matrix::Matrix;

/// Squared distances are rounded to this many parts of an A^2, so that they can be summed exactly.
const PARTS: f64 = 1e9;

/// The cost of a pair that is not allowed: more than any sum of allowed ones.
const FORBIDDEN: i64 = 1 << 50;

/// For each row the index into its candidates (column, squared distance in A^2), each column taken once; `None` if that cannot be.
pub(super) fn assign(rows: &[Vec<(usize, f64)>]) -> Option<Vec<usize>> {
    nearest_are_distinct(rows).or_else(|| least_sum(rows))
}

/// The nearest candidate of every row, where no two rows share it: no other choice has a smaller sum.
fn nearest_are_distinct(rows: &[Vec<(usize, f64)>]) -> Option<Vec<usize>> {
    let mut taken = vec![false; rows.len()];
    let choose = |row: &Vec<(usize, f64)>| {
        let nearest = (0..row.len()).min_by(|i, j| row[*i].1.total_cmp(&row[*j].1))?;
        let column = taken.get_mut(row[nearest].0)?;
        (!std::mem::replace(column, true)).then_some(nearest)
    };
    rows.iter().map(choose).collect()
}

fn least_sum(rows: &[Vec<(usize, f64)>]) -> Option<Vec<usize>> {
    let mut costs = Matrix::new(rows.len(), rows.len(), FORBIDDEN);
    for (i, row) in rows.iter().enumerate() {
        for (column, square) in row {
            costs[(i, *column)] = ((square * PARTS) as i64).min(FORBIDDEN / rows.len() as i64 - 1);
        }
    }
    let (_, columns) = kuhn_munkres_min(&costs);
    columns.iter().zip(rows).map(|(column, row)| row.iter().position(|(c, _)| c == column)).collect()
}
