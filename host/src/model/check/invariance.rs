//! The same crystal described otherwise, and more of the same crystal.

use super::change::{Change, doubled, permuted, redescribed, rotated, translated};
use super::{LargestDeviation, ModelUnderTest, alone};
use crate::conformance::CheckResult;
use crate::crystal::Structure;
use crate::model::OnnxModel;

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
            compare(tested.model, &mut largest, crystal, structure.len(), outputs, &change);
        }
    }
    largest.into_iter().map(|largest| largest.check(name)).collect()
}

/// Compares the outputs of a changed crystal with what becomes of the old ones.
pub(super) fn compare(
    model: &OnnxModel,
    largest: &mut [LargestDeviation<'_>],
    crystal: &str,
    atoms: usize,
    outputs: &[Vec<f64>],
    change: &Change,
) {
    let found = alone(model, &change.structure);
    for (index, (largest, port)) in largest.iter_mut().zip(&model.contract().outputs).enumerate() {
        match &found {
            Ok(found) => {
                let expected = change.expected(port.kind, &outputs[index], atoms);
                let times = change.structure.len() as f64 / atoms as f64;
                largest.compare_per_cell(&expected, &found[index], change.structure.len(), times, crystal);
            }
            Err(failure) => largest.fail(failure, crystal),
        }
    }
}
