//! The linear program behind a hull: the cheapest mixture of phases with a given composition.
//!
//! Revised primal simplex with an explicit inverse of the basis, as in any textbook (Chvatal, Linear Programming, ch. 7). The
//! problem hands it a feasible start, the pure elements at cost zero, so there is no first phase; it has as many rows as
//! elements (2 to 8) and some dozens of columns. A general solver (microlp, the oracle of the tests) spends more on setting up
//! than this does on solving, and at its usual tolerance misses optima by 3e-7 eV/atom.

/// Columns of the program beyond the pure elements: phases as atomic fractions, `rows` numbers each.
#[derive(Debug)]
pub(super) struct Program {
    /// Number of elements.
    pub rows: usize,
    /// Fractions, phase after phase.
    pub columns: Vec<f64>,
    /// Formation energy of each phase, eV/atom (elements at zero).
    pub costs: Vec<f64>,
}

/// A cheapest mixture.
pub(super) struct Mixture {
    /// Formation energy, eV/atom.
    pub cost: f64,
    /// What is mixed, in fractions of the atoms.
    pub parts: Vec<(Part, f64)>,
}

/// A constituent of a mixture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The pure element of a row.
    Element(usize),
    /// A column of the program.
    Phase(usize),
}

/// Smallest amount that counts as present (pymatgen's tolerance for decompositions).
const PRESENT: f64 = 1e-8;
/// A column enters only if it lowers the energy faster than this, relative to the largest cost or 1 eV/atom.
const GAIN: f64 = 1e-11;
/// Smallest pivot.
const PIVOT: f64 = 1e-9;
/// Pivots after which the choice changes from steepest to Bland's rule, which cannot cycle; and after which we give up.
const STEEPEST_PIVOTS: usize = 200;
const MOST_PIVOTS: usize = 5000;

impl Program {
    /// The cheapest mixture of the elements and phases with the given atomic fractions. `None` when rounding defeats it.
    pub fn solve(&self, fractions: &[f64]) -> Option<Mixture> {
        let scale = self.costs.iter().fold(1.0f64, |scale, cost| scale.max(cost.abs()));
        let mut basis = Basis::of_elements(fractions);
        let mut verified = false;
        for pivots in 0..MOST_PIVOTS {
            let prices = basis.prices(self);
            match self.entering(&prices, GAIN * scale, pivots >= STEEPEST_PIVOTS) {
                Some(part) => {
                    basis.exchange(self, part, pivots >= STEEPEST_PIVOTS)?;
                    verified = false;
                }
                // Optimal, if the inverse has kept its accuracy: make it anew once and ask again.
                None if !verified => {
                    basis.renew(self, fractions)?;
                    verified = true;
                }
                None => return Some(basis.mixture(self)),
            }
        }
        None
    }

    fn column(&self, phase: usize) -> &[f64] {
        &self.columns[phase * self.rows..(phase + 1) * self.rows]
    }

    fn cost(&self, part: Part) -> f64 {
        match part {
            Part::Element(_) => 0.0,
            Part::Phase(phase) => self.costs[phase],
        }
    }

    /// The part whose energy lies farthest below what the basis pays for its atoms, or under Bland's rule the first below.
    fn entering(&self, prices: &[f64], gain: f64, bland: bool) -> Option<Part> {
        let elements = prices.iter().enumerate().map(|(row, price)| (Part::Element(row), -price));
        let phases = self.costs.iter().enumerate().map(|(phase, cost)| {
            let paid: f64 = self.column(phase).iter().zip(prices).map(|(a, price)| a * price).sum();
            (Part::Phase(phase), cost - paid)
        });
        let mut below = elements.chain(phases).filter(|(_, difference)| *difference < -gain);
        let best = if bland { below.next() } else { below.min_by(|(_, a), (_, b)| a.total_cmp(b)) };
        best.map(|(part, _)| part)
    }
}

/// The parts now mixed, one per row, their amounts, and the inverse of the matrix of their columns.
struct Basis {
    parts: Vec<Part>,
    amounts: Vec<f64>,
    inverse: Vec<Vec<f64>>,
}

impl Basis {
    fn of_elements(fractions: &[f64]) -> Self {
        let rows = fractions.len();
        Self { parts: (0..rows).map(Part::Element).collect(), amounts: fractions.to_vec(), inverse: identity(rows) }
    }

    /// What each element costs in the basis (its chemical potential), eV.
    fn prices(&self, program: &Program) -> Vec<f64> {
        let mut prices = vec![0.0; program.rows];
        for (part, row) in self.parts.iter().zip(&self.inverse) {
            let cost = program.cost(*part);
            prices.iter_mut().zip(row).for_each(|(price, x)| *price += cost * x);
        }
        prices
    }

    /// A part's column in terms of the basis.
    fn expand(&self, program: &Program, part: Part) -> Vec<f64> {
        let product = |row: &Vec<f64>| match part {
            Part::Element(element) => row[element],
            Part::Phase(phase) => row.iter().zip(program.column(phase)).map(|(x, a)| x * a).sum(),
        };
        self.inverse.iter().map(product).collect()
    }

    /// Brings a part in for the one that runs out first. `None` if none does, which only rounding can cause.
    fn exchange(&mut self, program: &Program, part: Part, bland: bool) -> Option<()> {
        let column = self.expand(program, part);
        let mut leaving: Option<(usize, f64)> = None;
        for (row, pivot) in column.iter().enumerate().filter(|(_, pivot)| **pivot > PIVOT) {
            let ratio = self.amounts[row].max(0.0) / pivot;
            let better = leaving.is_none_or(|(best, least)| {
                // Among ties the largest pivot is the most accurate; Bland's rule wants the first part.
                let tie = if bland { rank(self.parts[row]) < rank(self.parts[best]) } else { *pivot > column[best] };
                ratio < least || (ratio == least && tie)
            });
            if better {
                leaving = Some((row, ratio));
            }
        }
        let (row, ratio) = leaving?;
        self.amounts.iter_mut().zip(&column).for_each(|(amount, pivot)| *amount -= ratio * pivot);
        self.amounts[row] = ratio;
        self.parts[row] = part;
        eliminate(&mut self.inverse, row, &column);
        Some(())
    }

    /// Inverts the basis from its columns (Gauss-Jordan with row pivoting) and solves for the amounts.
    fn renew(&mut self, program: &Program, fractions: &[f64]) -> Option<()> {
        let parts = std::mem::take(&mut self.parts);
        let mut fresh =
            Self { parts: vec![Part::Element(0); program.rows], amounts: vec![], inverse: identity(program.rows) };
        let mut free = vec![true; program.rows];
        for part in parts {
            let column = fresh.expand(program, part);
            let open = (0..program.rows).filter(|row| free[*row]);
            let row = open.max_by(|a, b| column[*a].abs().total_cmp(&column[*b].abs()))?;
            if column[row].abs() < PIVOT * PIVOT {
                return None;
            }
            free[row] = false;
            fresh.parts[row] = part;
            eliminate(&mut fresh.inverse, row, &column);
        }
        let solve = |row: &Vec<f64>| row.iter().zip(fractions).map(|(x, b)| x * b).sum();
        fresh.amounts = fresh.inverse.iter().map(solve).collect();
        *self = fresh;
        Some(())
    }

    fn mixture(self, program: &Program) -> Mixture {
        let cost = self.parts.iter().zip(&self.amounts).map(|(part, amount)| program.cost(*part) * amount).sum();
        let parts = self.parts.into_iter().zip(self.amounts).filter(|(_, amount)| *amount > PRESENT).collect();
        Mixture { cost, parts }
    }
}

fn rank(part: Part) -> (bool, usize) {
    match part {
        Part::Element(row) => (false, row),
        Part::Phase(phase) => (true, phase),
    }
}

fn identity(rows: usize) -> Vec<Vec<f64>> {
    (0..rows).map(|i| (0..rows).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect()
}

/// Row operations that turn `column` into the unit vector of `row`.
fn eliminate(matrix: &mut [Vec<f64>], row: usize, column: &[f64]) {
    let mut pivot_row = std::mem::take(&mut matrix[row]);
    pivot_row.iter_mut().for_each(|x| *x /= column[row]);
    for (line, factor) in matrix.iter_mut().zip(column) {
        line.iter_mut().zip(&pivot_row).for_each(|(x, p)| *x -= factor * p);
    }
    matrix[row] = pivot_row;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same program by a general solver, on energies that do not have the elements at zero.
    fn by_general_solver(program: &Program, fractions: &[f64]) -> f64 {
        use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOptions};
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        let zero = |row: usize| -3.0 - row as f64;
        let unit = |row: usize| (0..program.rows).map(move |k| if k == row { 1.0 } else { 0.0 }).collect::<Vec<_>>();
        let phases = (0..program.costs.len()).map(|j| (program.column(j).to_vec(), program.costs[j]));
        let columns: Vec<_> = (0..program.rows).map(|row| (unit(row), 0.0)).chain(phases).collect();
        let shift = |a: &[f64]| a.iter().enumerate().map(|(row, x)| x * zero(row)).sum::<f64>();
        let variables: Vec<_> =
            columns.iter().map(|(a, cost)| problem.add_var(cost + shift(a), (0.0, f64::INFINITY))).collect();
        for row in 0..program.rows {
            let terms: Vec<_> = variables.iter().zip(&columns).map(|(v, (a, _))| (*v, a[row])).collect();
            problem.add_constraint(&terms, ComparisonOp::Eq, fractions[row]);
        }
        let mut options = SolveOptions::default();
        options.tolerances.feasibility = 1e-10; // its default of 1e-7 is 3e-7 eV/atom wrong on some of these
        problem.solve_with(options).unwrap().into_solution().unwrap().objective() - shift(fractions)
    }

    fn normalised(amounts: &[u32]) -> Vec<f64> {
        let total: u32 = amounts.iter().sum();
        amounts.iter().map(|n| f64::from(*n) / f64::from(total)).collect()
    }

    prop_compose! {
        /// Phases of small integer amounts, so that ties, duplicates and degenerate vertices are common.
        fn system()(rows in 1usize..=8)(
            phases in prop::collection::vec((prop::collection::vec(0u32..4, rows), -8i32..3), 0..60),
            target in prop::collection::vec(0u32..4, rows),
        ) -> (Program, Vec<f64>) {
            let rows = target.len();
            let filled: Vec<_> = phases.into_iter().filter(|(a, _)| a.iter().sum::<u32>() > 0).collect();
            let columns = filled.iter().flat_map(|(a, _)| normalised(a)).collect();
            let costs = filled.iter().map(|(_, e)| f64::from(*e) / 4.0).collect();
            let target = if target.iter().sum::<u32>() == 0 { vec![1; rows] } else { target };
            (Program { rows, columns, costs }, normalised(&target))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]
        #[test]
        fn agrees_with_a_general_solver((program, fractions) in system()) {
            let mixture = program.solve(&fractions).unwrap();
            let expected = by_general_solver(&program, &fractions);
            prop_assert!((mixture.cost - expected).abs() < 1e-8, "{} {}", mixture.cost, expected);
            let mut mixed = vec![0.0; program.rows];
            for (part, amount) in &mixture.parts {
                match part {
                    Part::Element(row) => mixed[*row] += amount,
                    Part::Phase(j) => program.column(*j).iter().zip(&mut mixed).for_each(|(a, m)| *m += a * amount),
                }
            }
            for (m, f) in mixed.iter().zip(&fractions) { prop_assert!((m - f).abs() < 1e-7); }
        }
    }

    #[test]
    fn nearly_parallel_phases_are_told_apart() {
        // A dopant at 1e-7: the second column differs from the first by less than a general solver's tolerance.
        let program = Program {
            rows: 2,
            columns: vec![1e-7, 1.0 - 1e-7, 2e-7, 1.0 - 2e-7, 0.5, 0.5],
            costs: vec![-0.1, -0.2, -1.0],
        };
        let mixture = program.solve(&[2e-7, 1.0 - 2e-7]).unwrap();
        assert_eq!(mixture.parts.len(), 1);
        assert_eq!(mixture.parts[0].0, Part::Phase(1));
        assert!((mixture.cost + 0.2).abs() < 1e-12);
    }
}
