//! A crystal's numbers must not depend on what else is in the batch.

use super::{Check, Subject, Worst, alone};
use crate::crystal::Structure;
use crate::reward::{CrystalOutputs, Failure};

const PERMUTATION: &str = "batch permutation";
const INDEPENDENCE: &str = "batch independence";
const POISON: &str = "NaN in the batch";

/// Every crystal alone against all in one batch, in another order, and beside one of which the positions are NaN.
pub(super) fn checks(subject: &Subject<'_>) -> Vec<Check> {
    if subject.model.contract().one_at_a_time || subject.crystals.len() < 2 {
        let why =
            if subject.crystals.len() < 2 { "it takes two crystals" } else { "the file takes one crystal at a time" };
        return [INDEPENDENCE, PERMUTATION, POISON].map(|name| Check::skipped(name, "", why)).into();
    }
    let all: Vec<usize> = (0..subject.crystals.len()).collect();
    let together = match run(subject, &all, None) {
        Ok(together) => together,
        Err(failure) => return vec![Check::broken(INDEPENDENCE, "", failure.to_string())],
    };
    let mut checks = compared(subject, INDEPENDENCE, &all, &Ok(together.clone()), &subject.outputs, None);
    // Odd positions first, both halves from the end.
    let (odd, even): (Vec<usize>, Vec<usize>) = all.iter().rev().partition(|index| *index % 2 == 1);
    let order = [odd, even].concat();
    checks.extend(compared(subject, PERMUTATION, &order, &run(subject, &order, None), &together, None));
    let sick = all.len() / 2;
    checks.extend(compared(subject, POISON, &all, &run(subject, &all, Some(sick)), &together, Some(sick)));
    checks
}

fn run(subject: &Subject<'_>, order: &[usize], sick: Option<usize>) -> Result<Vec<CrystalOutputs>, Failure> {
    let structures: Vec<&Structure> = order.iter().map(|index| &subject.crystals[*index].1).collect();
    subject.model.evaluate_together(&structures, sick)
}

/// Holds a batch in an order against known outputs, without the crystal that is meant to be sick.
fn compared(
    subject: &Subject<'_>,
    name: &str,
    order: &[usize],
    found: &Result<Vec<CrystalOutputs>, Failure>,
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
    let mut batch: Vec<&Structure> = subject.crystals.iter().take(3).map(|(_, crystal)| crystal).collect();
    let place = batch.len() / 2;
    batch.insert(place, structure);
    let rows = subject.model.evaluate_together(&batch, None);
    for (index, worst) in worst.iter_mut().enumerate() {
        match (&own, &rows) {
            (Ok(own), Ok(rows)) => worst.compare(&own[index], &rows[place][index], structure.len(), name),
            (Err(failure), _) | (_, Err(failure)) => worst.fail(failure, name),
        }
    }
}
