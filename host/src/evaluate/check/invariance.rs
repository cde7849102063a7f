//! Equivalent descriptions of a crystal, and supercells.

use super::change::{Change, doubled, permuted, redescribed, rotated, translated};
use super::{Check, Subject, Worst, alone};
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
pub(super) fn checks(subject: &Subject<'_>) -> Vec<Check> {
    CHANGES.iter().flat_map(|(name, make)| check(subject, name, make)).collect()
}

fn check(subject: &Subject<'_>, name: &str, make: &Make) -> Vec<Check> {
    let mut worst = Worst::of(subject.ports());
    for ((crystal, structure), outputs) in subject.crystals.iter().zip(&subject.outputs) {
        for change in make(structure) {
            compare(subject, &mut worst, crystal, structure.len(), outputs, &change);
        }
    }
    worst.into_iter().map(|worst| worst.check(name)).collect()
}

/// Compares the outputs of a changed crystal with what becomes of the old ones.
pub(super) fn compare(
    subject: &Subject<'_>,
    worst: &mut [Worst<'_>],
    crystal: &str,
    atoms: usize,
    outputs: &[Vec<f64>],
    change: &Change,
) {
    let found = alone(subject.model, &change.structure);
    for (index, (worst, port)) in worst.iter_mut().zip(subject.ports()).enumerate() {
        match &found {
            Ok(found) => {
                let expected = change.expected(port.kind, &outputs[index], atoms);
                worst.compare(&expected, &found[index], change.structure.len(), crystal);
            }
            Err(failure) => worst.fail(failure, crystal),
        }
    }
}
