//! The same crystal described otherwise, and more of the same crystal.

use super::change::{Change, doubled, permuted, redescribed, rotated, translated};
use super::{LargestDeviation, ModelUnderTest, alone};
use crate::conformance::CheckResult;
use crate::crystal::Structure;

/// Other descriptions of a crystal.
type Make = fn(&Structure) -> Vec<Change>;

const CHANGES: [(&str, Make); 5] = [
    ("translation", translated),
    ("rotation", rotated),
    ("atom permutation", permuted),
    ("supercell", doubled),
    ("lattice re-description", redescribed),
];

/// Every output of every crystal under every change.
pub(super) fn checks(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    CHANGES.iter().flat_map(|(name, make)| check(tested, name, make)).collect()
}

fn check(tested: &ModelUnderTest<'_>, name: &'static str, make: &Make) -> Vec<CheckResult> {
    let mut largest = LargestDeviation::of(tested.ports());
    for ((crystal, structure), outputs) in tested.crystals.iter().zip(&tested.outputs) {
        for change in make(structure) {
            compare(tested, &mut largest, crystal, structure.len(), outputs, &change);
        }
    }
    largest.into_iter().map(|largest| largest.check(name)).collect()
}

/// Compares the outputs of a changed crystal with what becomes of the old ones.
pub(super) fn compare(
    tested: &ModelUnderTest<'_>,
    largest: &mut [LargestDeviation<'_>],
    crystal: &str,
    atoms: usize,
    outputs: &[Vec<f64>],
    change: &Change,
) {
    let found = alone(tested.model, &change.structure);
    for (index, (largest, port)) in largest.iter_mut().zip(tested.ports()).enumerate() {
        match &found {
            Ok(found) => {
                let expected = change.expected(port.kind, &outputs[index], atoms);
                largest.compare(&expected, &found[index], change.structure.len(), crystal);
            }
            Err(failure) => largest.fail(failure, crystal),
        }
    }
}
