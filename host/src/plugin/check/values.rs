//! The outcomes for textbook crystals, with which all later ones are compared.

use super::super::Outcome;
use super::sample::Sample;
use super::{Kit, PluginCheck};

pub(super) const NAMES: [&str; 2] = ["values", "range"];

/// So many crystals in a row without an outcome are enough.
const ENOUGH: usize = 3;

pub(super) fn checks(kit: &mut Kit<'_>) -> Vec<PluginCheck> {
    let mut wrong = Vec::new();
    match kit.subject.ask(&kit.samples) {
        Ok(outcomes) => kit.outcomes = outcomes,
        Err(error) => {
            wrong.push(format!("all at once: {error}"));
            one_by_one(kit, &mut wrong);
        }
    }
    wrong.extend(kit.samples.iter().zip(&kit.outcomes).filter_map(|(sample, outcome)| complaint(sample, outcome)));
    let mut check = PluginCheck::count(NAMES[0], &wrong, "failures");
    if !kit.outcomes.is_empty() && kit.outcomes.iter().all(|outcome| *outcome == Outcome::Abstain) {
        "it abstains from all of them".clone_into(&mut check.note);
    }
    vec![check, range(kit)]
}

/// Keeps the crystals that it can be asked about alone.
fn one_by_one(kit: &mut Kit<'_>, wrong: &mut Vec<String>) {
    let mut failures = 0;
    for sample in std::mem::take(&mut kit.samples) {
        if failures == ENOUGH && kit.samples.is_empty() {
            break;
        }
        match kit.subject.ask_alone(&sample) {
            Ok(outcome) => {
                kit.outcomes.push(outcome);
                kit.samples.push(sample);
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

fn range(kit: &Kit<'_>) -> PluginCheck {
    let [least, greatest] = kit.subject.properties.range;
    if least.or(greatest).is_none() {
        return PluginCheck::skipped(NAMES[1], "none is claimed");
    }
    let outside = |(sample, outcome): (&Sample, &Outcome)| match outcome {
        Outcome::Value(value) if least.is_some_and(|x| *value < x) || greatest.is_some_and(|x| *value > x) => {
            Some(format!("{}: {value}", sample.name))
        }
        _ => None,
    };
    let wrong: Vec<String> = kit.samples.iter().zip(&kit.outcomes).filter_map(outside).collect();
    PluginCheck::count(NAMES[1], &wrong, "values outside")
}
