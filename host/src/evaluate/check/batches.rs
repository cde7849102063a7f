//! The results for a crystal must not depend on the other crystals of the batch.

use super::{Check, Subject, Worst, alone};
use crate::crystal::Structure;
use crate::model::{CrystalOutputs, EvaluationError};

const PERMUTATION: &str = "batch permutation";
const INDEPENDENCE: &str = "batch independence";
const POISON: &str = "NaN in the batch";

/// Atoms of a batch at most: a few thousand atoms with their edges would need gigabytes.
const MOST_ATOMS: usize = 256;

/// Every crystal alone against all in one batch, in another order, and beside one of which the positions are NaN.
pub(super) fn checks(subject: &Subject<'_>) -> Vec<Check> {
    if subject.model.contract().one_at_a_time || subject.crystals.len() < 2 {
        let why =
            if subject.crystals.len() < 2 { "it takes two crystals" } else { "the file takes one crystal at a time" };
        return [INDEPENDENCE, PERMUTATION, POISON].map(|name| Check::skipped(name, "", why)).into();
    }
    let all = small(subject);
    let found = run(subject, &all, None);
    let mut checks = compared(subject, INDEPENDENCE, &all, &found, &subject.outputs, None);
    let Ok(found) = found else { return checks };
    let mut together = subject.outputs.clone();
    all.iter().zip(found).for_each(|(crystal, row)| together[*crystal] = row);
    // Odd positions first, both halves from the end.
    let (odd, even): (Vec<usize>, Vec<usize>) = all.iter().rev().partition(|crystal| *crystal % 2 == 1);
    let order = [odd, even].concat();
    checks.extend(compared(subject, PERMUTATION, &order, &run(subject, &order, None), &together, None));
    let sick = all[all.len() / 2];
    checks.extend(compared(subject, POISON, &all, &run(subject, &all, Some(sick)), &together, Some(sick)));
    checks
}

/// The smallest crystals, at least two, that fit one batch.
fn small(subject: &Subject<'_>) -> Vec<usize> {
    let atoms = |crystal: &usize| subject.crystals[*crystal].1.len();
    let mut order: Vec<usize> = (0..subject.crystals.len()).collect();
    order.sort_by_key(atoms);
    let total = order.iter().scan(0, |total, crystal| {
        *total += atoms(crystal);
        Some(*total)
    });
    let fit = total.take_while(|total| *total <= MOST_ATOMS).count().max(2);
    order.truncate(fit);
    order.sort_unstable();
    order
}

/// Runs crystals as one batch in this order.
fn run(subject: &Subject<'_>, order: &[usize], sick: Option<usize>) -> Result<Vec<CrystalOutputs>, EvaluationError> {
    let structures: Vec<&Structure> = order.iter().map(|crystal| &subject.crystals[*crystal].1).collect();
    let place = sick.and_then(|sick| order.iter().position(|crystal| *crystal == sick));
    subject.model.evaluate_single_batch(&structures, place)
}

/// Holds a batch in an order against known outputs, without the crystal that is meant to be sick.
fn compared(
    subject: &Subject<'_>,
    name: &str,
    order: &[usize],
    found: &Result<Vec<CrystalOutputs>, EvaluationError>,
    expected: &[CrystalOutputs],
    sick: Option<usize>,
) -> Vec<Check> {
    let found = match found {
        Ok(found) => found,
        Err(failure) => return vec![Check::broken(name, "", failure.to_string())],
    };
    let mut worst = Worst::of(subject.ports());
    for (row, crystal) in found.iter().zip(order).filter(|(_, crystal)| Some(**crystal) != sick) {
        let (title, structure) = &subject.crystals[*crystal];
        for (index, worst) in worst.iter_mut().enumerate() {
            worst.compare(&expected[*crystal][index], &row[index], structure.len(), title);
        }
    }
    worst.into_iter().map(|worst| worst.check(name)).collect()
}

/// Whether a crystal has the same numbers alone and in the middle of the subject's crystals: added to `worst`.
pub(super) fn beside_others(subject: &Subject<'_>, worst: &mut [Worst<'_>], name: &str, structure: &Structure) {
    let own = alone(subject.model, structure);
    let others = small(subject).into_iter().take(3);
    let mut batch: Vec<&Structure> = others.map(|crystal| &subject.crystals[crystal].1).collect();
    let place = batch.len() / 2;
    batch.insert(place, structure);
    let rows = subject.model.evaluate_single_batch(&batch, None);
    for (index, worst) in worst.iter_mut().enumerate() {
        match (&own, &rows) {
            (Ok(own), Ok(rows)) => worst.compare(&own[index], &rows[place][index], structure.len(), name),
            (Err(failure), _) | (_, Err(failure)) => worst.fail(failure, name),
        }
    }
}
