//! The outcomes for textbook crystals, with which all later ones are compared.

use super::super::Outcome;
use super::CheckSession;
use super::sample::Sample;
use crate::conformance::CheckResult;

pub(super) const NAMES: [&str; 2] = ["values", "range"];

/// So many crystals in a row without an outcome are enough.
const ENOUGH: usize = 3;

pub(super) fn checks(session: &mut CheckSession<'_>) -> Vec<CheckResult> {
    let mut wrong = Vec::new();
    match session.plugin.ask(&session.samples) {
        Ok(outcomes) => session.outcomes = outcomes,
        Err(error) => {
            wrong.push(format!("all at once: {error}"));
            one_by_one(session, &mut wrong);
        }
    }
    wrong.extend(
        session.samples.iter().zip(&session.outcomes).filter_map(|(sample, outcome)| complaint(sample, outcome)),
    );
    let mut check = CheckResult::count(NAMES[0], &wrong, "failures");
    if !session.outcomes.is_empty() && session.outcomes.iter().all(|outcome| *outcome == Outcome::Abstain) {
        "it abstains from all of them".clone_into(&mut check.note);
    }
    vec![check, range(session)]
}

/// Keeps the crystals that it can be asked about alone.
fn one_by_one(session: &mut CheckSession<'_>, wrong: &mut Vec<String>) {
    let mut failures = 0;
    for sample in std::mem::take(&mut session.samples) {
        if failures == ENOUGH && session.samples.is_empty() {
            break;
        }
        match session.plugin.ask_alone(&sample) {
            Ok(outcome) => {
                session.outcomes.push(outcome);
                session.samples.push(sample);
            }
            Err(error) => {
                failures += 1;
                wrong.push(format!("{}: {error}", sample.name));
            }
        }
    }
}

fn complaint(sample: &Sample, outcome: &Outcome) -> Option<String> {
    let name = &sample.name;
    match outcome {
        Outcome::Value(value) => (!value.is_finite()).then(|| format!("{name}: {value}")),
        Outcome::Abstain => None,
        Outcome::Failed(reason) if reason.trim().is_empty() => Some(format!("{name}: failed without a reason")),
        Outcome::Failed(reason) => Some(format!("{name}: {reason}")),
    }
}

fn range(session: &CheckSession<'_>) -> CheckResult {
    let [least, greatest] = session.plugin.properties.range;
    if least.or(greatest).is_none() {
        return CheckResult::skipped(NAMES[1], "none is claimed");
    }
    let outside = |(sample, outcome): (&Sample, &Outcome)| match outcome {
        Outcome::Value(value) if least.is_some_and(|x| *value < x) || greatest.is_some_and(|x| *value > x) => {
            Some(format!("{}: {value}", sample.name))
        }
        _ => None,
    };
    let wrong: Vec<String> = session.samples.iter().zip(&session.outcomes).filter_map(outside).collect();
    CheckResult::count(NAMES[1], &wrong, "values outside")
}
