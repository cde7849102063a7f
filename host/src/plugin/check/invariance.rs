//! Independence of a value from the description of its crystal, as far as declared, and from the rest of its batch.

use super::super::{Outcome, Properties};
use super::CheckSession;
use super::compare::{Comparison, TOLERANCE};
use super::sample::Sample;
use crate::conformance::CheckResult;

pub(super) const NAMES: [&str; 5] = ["translation", "rotation", "permutation", "batch order", "batch split"];

/// Whether it is claimed, and the change that keeps the value.
type Claim = (fn(&Properties) -> bool, fn(&Sample) -> Sample);

const CLAIMS: [Claim; 3] = [
    (|claimed| claimed.translation_invariant, Sample::translated),
    (|claimed| claimed.rotation_invariant, Sample::rotated),
    (|claimed| claimed.permutation_invariant, Sample::reversed),
];

pub(super) fn checks(session: &mut CheckSession<'_>) -> Vec<CheckResult> {
    if session.unsteady.is_some() {
        return session.skip(&NAMES);
    }
    let claims = NAMES.iter().zip(CLAIMS);
    let mut checks: Vec<CheckResult> = claims.map(|(name, claim)| described_otherwise(session, name, claim)).collect();
    checks.extend([order(session), split(session)]);
    checks
}

fn described_otherwise(session: &mut CheckSession<'_>, name: &'static str, (claimed, change): Claim) -> CheckResult {
    if !claimed(&session.plugin.properties) {
        return CheckResult::skipped(name, "it is not claimed");
    }
    let changed: Vec<Sample> = session.samples.iter().map(change).collect();
    let found = session.plugin.ask(&changed);
    let mut comparison = Comparison::default();
    comparison.batch(&session.outcomes.iter().collect::<Vec<_>>(), &found, &session.names());
    comparison.check(name, TOLERANCE)
}

/// The batch from its end.
fn order(session: &mut CheckSession<'_>) -> CheckResult {
    let reversed: Vec<Sample> = session.samples.iter().rev().cloned().collect();
    let found = session.plugin.ask(&reversed);
    let mut names = session.names();
    names.reverse();
    let expected: Vec<&Outcome> = session.outcomes.iter().rev().collect();
    let mut comparison = Comparison::default();
    comparison.batch(&expected, &found, &names);
    comparison.check(NAMES[3], TOLERANCE)
}

/// Each crystal alone.
fn split(session: &mut CheckSession<'_>) -> CheckResult {
    let mut comparison = Comparison::default();
    for (sample, expected) in session.samples.iter().zip(&session.outcomes) {
        match session.plugin.ask_alone(sample) {
            Ok(found) => comparison.row(expected, &found, &sample.name),
            Err(error) => {
                comparison.fail(&error, &sample.name);
                break;
            }
        }
    }
    comparison.check(NAMES[4], TOLERANCE)
}
