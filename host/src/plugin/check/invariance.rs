//! Independence of a value from the description of its crystal, as far as declared, and from the rest of its batch.

use super::super::{Outcome, Properties};
use super::compare::{Comparison, TOLERANCE};
use super::sample::Sample;
use super::{Kit, PluginCheck};

pub(super) const NAMES: [&str; 5] = ["translation", "rotation", "permutation", "batch order", "batch split"];

/// Whether it is claimed, and the change that keeps the value.
type Claim = (fn(&Properties) -> bool, fn(&Sample) -> Sample);

const CLAIMS: [Claim; 3] = [
    (|claimed| claimed.translation_invariant, Sample::translated),
    (|claimed| claimed.rotation_invariant, Sample::rotated),
    (|claimed| claimed.permutation_invariant, Sample::reversed),
];

pub(super) fn checks(kit: &mut Kit<'_>) -> Vec<PluginCheck> {
    if kit.unsteady.is_some() {
        return kit.skip(&NAMES);
    }
    let claims = NAMES.iter().zip(CLAIMS);
    let mut checks: Vec<PluginCheck> = claims.map(|(name, claim)| described_otherwise(kit, name, claim)).collect();
    checks.extend([order(kit), split(kit)]);
    checks
}

fn described_otherwise(kit: &mut Kit<'_>, name: &'static str, (claimed, change): Claim) -> PluginCheck {
    if !claimed(&kit.subject.properties) {
        return PluginCheck::skipped(name, "it is not claimed");
    }
    let changed: Vec<Sample> = kit.samples.iter().map(change).collect();
    let found = kit.subject.ask(&changed);
    let mut comparison = Comparison::default();
    comparison.batch(&kit.outcomes.iter().collect::<Vec<_>>(), &found, &kit.names());
    comparison.check(name, TOLERANCE)
}

/// The batch from its end.
fn order(kit: &mut Kit<'_>) -> PluginCheck {
    let reversed: Vec<Sample> = kit.samples.iter().rev().cloned().collect();
    let found = kit.subject.ask(&reversed);
    let mut names = kit.names();
    names.reverse();
    let expected: Vec<&Outcome> = kit.outcomes.iter().rev().collect();
    let mut comparison = Comparison::default();
    comparison.batch(&expected, &found, &names);
    comparison.check(NAMES[3], TOLERANCE)
}

/// Each crystal alone.
fn split(kit: &mut Kit<'_>) -> PluginCheck {
    let mut comparison = Comparison::default();
    for (sample, expected) in kit.samples.iter().zip(&kit.outcomes) {
        match kit.subject.ask_alone(sample) {
            Ok(found) => comparison.row(expected, &found, &sample.name),
            Err(error) => {
                comparison.fail(&error, &sample.name);
                break;
            }
        }
    }
    comparison.check(NAMES[4], TOLERANCE)
}
