//! A crystal's numbers must not depend on what else is in the batch.

use super::{LargestDeviation, ModelUnderTest, alone};
use crate::conformance::CheckResult;
use crate::crystal::Structure;
use crate::model::{CrystalOutputs, EvaluationError};

const PERMUTATION: &str = "batch permutation";
const INDEPENDENCE: &str = "batch independence";
const POISON: &str = "NaN in the batch";

/// Atoms of a batch at most: a few thousand atoms with their edges would need gigabytes.
const MOST_ATOMS: usize = 256;

/// Every crystal alone against all in one batch, in another order, and beside one of which the positions are NaN.
pub(super) fn checks(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    if tested.model.contract().one_at_a_time || tested.crystals.len() < 2 {
        let why =
            if tested.crystals.len() < 2 { "it takes two crystals" } else { "the file takes one crystal at a time" };
        return [INDEPENDENCE, PERMUTATION, POISON].map(|name| CheckResult::skipped(name, why)).into();
    }
    let all = small(tested);
    let found = run(tested, &all, None);
    let mut checks = compared(tested, INDEPENDENCE, &all, &found, &tested.outputs, None);
    let Ok(found) = found else { return checks };
    let mut together = tested.outputs.clone();
    all.iter().zip(found).for_each(|(crystal, row)| together[*crystal] = row);
    // Odd positions first, both halves from the end.
    let (odd, even): (Vec<usize>, Vec<usize>) = all.iter().rev().partition(|crystal| *crystal % 2 == 1);
    let order = [odd, even].concat();
    checks.extend(compared(tested, PERMUTATION, &order, &run(tested, &order, None), &together, None));
    let poisoned = all[all.len() / 2];
    checks.extend(compared(tested, POISON, &all, &run(tested, &all, Some(poisoned)), &together, Some(poisoned)));
    checks
}

/// The smallest crystals, at least two, that fit one batch.
fn small(tested: &ModelUnderTest<'_>) -> Vec<usize> {
    let atoms = |crystal: &usize| tested.crystals[*crystal].1.len();
    let mut order: Vec<usize> = (0..tested.crystals.len()).collect();
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
fn run(
    tested: &ModelUnderTest<'_>,
    order: &[usize],
    poisoned: Option<usize>,
) -> Result<Vec<CrystalOutputs>, EvaluationError> {
    let structures: Vec<&Structure> = order.iter().map(|crystal| &tested.crystals[*crystal].1).collect();
    let place = poisoned.and_then(|poisoned| order.iter().position(|crystal| *crystal == poisoned));
    tested.model.evaluate_single_batch(&structures, place)
}

/// Holds a batch in an order against known outputs, without the crystal that is meant to be poisoned.
fn compared(
    tested: &ModelUnderTest<'_>,
    name: &'static str,
    order: &[usize],
    found: &Result<Vec<CrystalOutputs>, EvaluationError>,
    expected: &[CrystalOutputs],
    poisoned: Option<usize>,
) -> Vec<CheckResult> {
    let found = match found {
        Ok(found) => found,
        Err(failure) => return vec![CheckResult::broken(name, failure.to_string())],
    };
    let mut largest = LargestDeviation::of(tested.ports());
    for (row, crystal) in found.iter().zip(order).filter(|(_, crystal)| Some(**crystal) != poisoned) {
        let (title, structure) = &tested.crystals[*crystal];
        for (index, largest) in largest.iter_mut().enumerate() {
            largest.compare(&expected[*crystal][index], &row[index], structure.len(), title);
        }
    }
    largest.into_iter().map(|largest| largest.check(name)).collect()
}

/// Whether a crystal has the same numbers alone and in the middle of the tested's crystals: added to `largest`.
pub(super) fn beside_others(
    tested: &ModelUnderTest<'_>,
    largest: &mut [LargestDeviation<'_>],
    name: &'static str,
    structure: &Structure,
) {
    let own = alone(tested.model, structure);
    let others = small(tested).into_iter().take(3);
    let mut batch: Vec<&Structure> = others.map(|crystal| &tested.crystals[crystal].1).collect();
    let place = batch.len() / 2;
    batch.insert(place, structure);
    let rows = tested.model.evaluate_single_batch(&batch, None);
    for (index, largest) in largest.iter_mut().enumerate() {
        match (&own, &rows) {
            (Ok(own), Ok(rows)) => largest.compare(&own[index], &rows[place][index], structure.len(), name),
            (Err(failure), _) | (_, Err(failure)) => largest.fail(failure, name),
        }
    }
}
