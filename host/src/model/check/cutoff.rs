//! Whether the declared cutoff is as long as the model's own: neighbours beyond it must change nothing.

use super::change::rattled;
use super::crystals::{textbook_crystals, within_cutoff};
use super::{LargestDeviation, ModelUnderTest};
use crate::conformance::{CheckResult, CheckStatus};
use crate::crystal::Structure;
use crate::model::{Contract, EvaluationError};

const NAME: &str = "cutoff";

/// The declared cutoff times these; the first is that of the file.
const TIMES: [f64; 6] = [1.0, 1.15, 1.3, 1.6, 2.0, 2.5];

/// Crystals that are tried, and the most atoms of one.
const CRYSTALS: usize = 2;
const MOST_ATOMS: usize = 6;

/// Numbers that differ by less than this share of the tolerance have not changed: what only fades with distance has no cutoff.
const NOTHING: f64 = 0.02;

/// How far atoms are moved to see whether an output notices, angstrom.
const RATTLED: f64 = 0.1;

/// The numbers with more and more neighbours. A model with a cutoff of its own gives the same from that on. If it is longer than the
/// declared one, the numbers are others than those the model was made for. A model without one, whose numbers change with every
/// neighbour, is taken at its word.
pub(super) fn checks(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let contract = tested.model.contract();
    let Some(cutoff) = contract.cutoff else {
        return vec![CheckResult::skipped(NAME, "the model takes no edges")];
    };
    let mut crystals = textbook_crystals(contract).named;
    crystals.retain(|(_, structure)| structure.len() <= MOST_ATOMS);
    crystals.reverse();
    crystals.truncate(CRYSTALS);
    let longer: Vec<f64> = TIMES.iter().map(|times| times * cutoff).collect();
    let mut checks = Vec::new();
    for (index, port) in tested.ports().iter().enumerate() {
        let mut largest = LargestDeviation::new(port);
        let mut without_own = 0;
        for (title, structure) in &crystals {
            let rows = numbers(tested, structure, &longer, contract);
            let Some((first, others)) = rows.split_first() else { continue };
            let apart =
                |a: &[Vec<f64>], b: &[Vec<f64>]| largest.exceeds(NOTHING, &a[index], &b[index], structure.len());
            // From which on nothing changes, of at least two.
            let settled = others.iter().rev().skip(1).take_while(|row| !apart(row, &others[others.len() - 1])).count();
            match others.len().checked_sub(settled + 1) {
                Some(at) if settled > 0 && !saturated(tested, structure, index, longer[rows.len() - 1]) => {
                    let at_cutoff = format!("{title}: the same from {:.1} A on, and not at {cutoff} A", longer[at + 1]);
                    largest.compare(&others[at][index], &first[index], structure.len(), &at_cutoff);
                }
                _ => without_own += 1,
            }
        }
        let note = "it has no cutoff of its own that shows, so the declared one is taken at its word";
        checks.push(match largest.check(NAME) {
            check if check.status == CheckStatus::Skipped && without_own > 0 => {
                CheckResult { note: note.into(), ..check }
            }
            check if check.status == CheckStatus::Pass => check.noting("neighbours beyond it change nothing"),
            check => check,
        });
    }
    checks
}

/// Whether an output of a crystal does not notice either that its atoms are elsewhere, as one that is clipped.
fn saturated(tested: &ModelUnderTest<'_>, structure: &Structure, index: usize, cutoff: f64) -> bool {
    let largest = LargestDeviation::new(&tested.ports()[index]);
    let of = |structure: &Structure| numbers(tested, structure, &[cutoff], tested.model.contract()).pop();
    match (of(structure), of(&rattled(structure, RATTLED))) {
        (Some(before), Some(after)) => !largest.exceeds(NOTHING, &before[index], &after[index], structure.len()),
        _ => true,
    }
}

/// The outputs of a crystal with each cutoff, as far as it can be evaluated.
fn numbers(
    tested: &ModelUnderTest<'_>,
    structure: &Structure,
    cutoffs: &[f64],
    contract: &Contract,
) -> Vec<Vec<Vec<f64>>> {
    let structure = within_cutoff(structure.clone(), contract.cutoff);
    let run = |cutoff: &f64| -> Result<Vec<Vec<f64>>, EvaluationError> {
        let mut rows = tested.model.evaluate_with_cutoff(&structure, *cutoff)?;
        rows.pop().ok_or_else(|| EvaluationError::Failed("it gives nothing for one crystal".into()))
    };
    cutoffs.iter().map_while(|cutoff| run(cutoff).ok()).collect()
}
