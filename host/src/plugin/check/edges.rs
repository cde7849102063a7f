//! The edges of what a plugin may be asked. Whatever a senseless crystal gets, its neighbours in the batch must not feel it.

use super::super::Outcome;
use super::CheckSession;
use super::compare::{Comparison, TOLERANCE, shown};
use super::sample::{Sample, known_elements};
use crate::conformance::{CheckResult, CheckStatus, SPACING};

pub(super) const NAMES: [&str; 9] = [
    "empty batch",
    "single atoms",
    "element 119",
    "huge cell",
    "tiny cell",
    "skewed and flat cells",
    "NaN in lattices",
    "NaN in coordinates",
    "unknown energies",
];

/// Edges of a cubic cell, angstrom.
const HUGE: f64 = 1e4;
const TINY: f64 = 0.3;

pub(super) fn checks(session: &mut CheckSession<'_>) -> Vec<CheckResult> {
    let first = session.samples[0].clone();
    let cube = |edge: f64| {
        let lattice = [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]];
        vec![Sample { lattice, ..first.clone() }]
    };
    vec![
        empty(session),
        single_atoms(session),
        element_119(session, &first),
        survives(session, NAMES[3], &cube(HUGE)),
        survives(session, NAMES[4], &cube(TINY)),
        survives(session, NAMES[5], &skewed(&first)),
        not_a_number(
            session,
            NAMES[6],
            |sample| sample.lattice = [[f64::NAN; 3]; 3],
            |sample| [0.7, 1.03, 1.6].map(|factor| sample.scaled(factor)).into(),
        ),
        not_a_number(
            session,
            NAMES[7],
            |sample| sample.fractional.fill([f64::NAN; 3]),
            |sample| [0.02, 0.1, 0.3, 0.5].map(|amplitude| sample.rattled(amplitude)).into(),
        ),
        unknown_energies(session, &first),
    ]
}

fn empty(session: &mut CheckSession<'_>) -> CheckResult {
    match session.plugin.ask(&[]) {
        Ok(_) => CheckResult::passed(NAMES[0], ""),
        Err(error) => CheckResult::broken(NAMES[0], error),
    }
}

/// Each element that it knows as a cell of one atom.
fn single_atoms(session: &mut CheckSession<'_>) -> CheckResult {
    let name = NAMES[1];
    let lattice = [[SPACING, 0.0, 0.0], [0.0, SPACING, 0.0], [0.0, 0.0, SPACING]];
    let atom = |number: u8, symbol: &str| Sample::new(symbol.to_owned(), lattice, vec![number], vec![[0.0; 3]]);
    let elements = known_elements(&session.plugin.properties);
    let atoms: Vec<Sample> = elements.iter().map(|element| atom(element.number(), element.symbol())).collect();
    let wrong: Vec<String> = match session.plugin.ask(&atoms) {
        Ok(outcomes) => {
            let not_finite = |(atom, outcome): (&Sample, &Outcome)| match outcome {
                Outcome::Value(value) if !value.is_finite() => Some(format!("{}: {value}", atom.name)),
                _ => None,
            };
            atoms.iter().zip(&outcomes).filter_map(not_finite).collect()
        }
        Err(error) => {
            // Which of them it was.
            let alone = atoms.iter().filter_map(|atom| {
                let error = session.plugin.ask_alone(atom).err()?;
                Some(format!("{}: {error}", atom.name))
            });
            let found: Vec<String> = alone.take(3).collect();
            if found.is_empty() { vec![format!("all at once: {error}")] } else { found }
        }
    };
    CheckResult::count(name, &wrong, "elements")
}

fn element_119(session: &mut CheckSession<'_>, first: &Sample) -> CheckResult {
    if session.plugin.properties.elements.is_some() {
        return CheckResult::skipped(NAMES[2], "it lists its elements, so it is never asked about others");
    }
    let mut sample = first.clone();
    sample.numbers[0] = 119;
    survives(session, NAMES[2], &[sample])
}

/// A cell with angles of a few degrees, and one without a volume.
fn skewed(first: &Sample) -> Vec<Sample> {
    let [a, b, c] = first.lattice;
    let sum = |u: [f64; 3], n: f64, v: [f64; 3]| std::array::from_fn(|k| u[k] + n * v[k]);
    let skewed = [a, sum(b, 9.0, a), sum(sum(c, -7.0, b), 20.0, a)];
    let flat = [a, b, sum(a, 1.0, b)];
    [skewed, flat].map(|lattice| Sample { lattice, ..first.clone() }).into()
}

/// Whether it lives through each of these, and its neighbours keep their outcomes.
fn survives(session: &mut CheckSession<'_>, name: &'static str, hostile: &[Sample]) -> CheckResult {
    let mut comparison = Comparison::default();
    let mut said = Vec::new();
    for sample in hostile {
        said.extend(between(session, sample, &mut comparison).map(|outcome| shown(&outcome)));
    }
    let note = said.join("; ");
    let check = comparison.check(name, TOLERANCE);
    match check.status {
        CheckStatus::Pass => CheckResult::passed(name, format!("gives {note}")),
        _ => check,
    }
}

/// The outcome of a crystal between two sane ones, whose outcomes are compared.
fn between(session: &mut CheckSession<'_>, sample: &Sample, comparison: &mut Comparison) -> Option<Outcome> {
    let neighbours = [session.samples[0].clone(), session.samples[session.samples.len() / 2].clone()];
    let [left, right] = neighbours;
    let names = [left.name.clone(), right.name.clone()].map(|name| format!("{name}, beside it"));
    // A value that depends on the place in the batch is found elsewhere: the neighbours are where they were.
    let expected = session.plugin.ask(&[left.clone(), left.clone(), right.clone()]);
    let found = session.plugin.ask(&[left, sample.clone(), right]);
    match (expected.as_deref(), found.as_deref()) {
        (Ok([left, _, right]), Ok([found_left, own, found_right])) => {
            if session.unsteady.is_none() {
                comparison.row(left, found_left, &names[0]);
                comparison.row(right, found_right, &names[1]);
            } else {
                comparison.row(own, own, "");
            }
            Some(own.clone())
        }
        _ => {
            let error = found.err().or(expected.err());
            error.iter().for_each(|error| comparison.fail(error, "a batch with it"));
            None
        }
    }
}

/// A value of what is not a number is made up, unless changes of the same kind do not matter to the crystal's value either.
fn not_a_number(
    session: &mut CheckSession<'_>,
    name: &'static str,
    spoil: fn(&mut Sample),
    changes: fn(&Sample) -> Vec<Sample>,
) -> CheckResult {
    let mut comparison = Comparison::default();
    let mut valued = Vec::new();
    for sample in session.samples.clone() {
        let mut spoilt = sample.clone();
        spoil(&mut spoilt);
        match between(session, &spoilt, &mut comparison) {
            Some(Outcome::Value(value)) if value.is_finite() => valued.push((sample, value)),
            Some(_) => {}
            None => break,
        }
    }
    let check = comparison.check(name, TOLERANCE);
    if check.status != CheckStatus::Pass {
        return check;
    }
    let of_changed = |(sample, value): &(Sample, f64)| {
        depends(session, sample, &changes(sample)).then(|| format!("{}: {value} where none can be", sample.name))
    };
    let made_up: Vec<String> = valued.iter().filter_map(of_changed).collect();
    CheckResult::count(name, &made_up, "values made up")
}

/// Whether the value of a crystal is another one after any of these changes.
fn depends(session: &mut CheckSession<'_>, sample: &Sample, changed: &[Sample]) -> bool {
    let mut comparison = Comparison::default();
    // Alone, as they are, so that a place in the batch is no change.
    if let (None, Ok(expected)) = (session.unsteady, session.plugin.ask_alone(sample)) {
        let found = changed.iter().filter_map(|sample| session.plugin.ask_alone(sample).ok());
        found.for_each(|found| comparison.row(&expected, &found, ""));
    }
    comparison.largest() > TOLERANCE
}

fn unknown_energies(session: &mut CheckSession<'_>, first: &Sample) -> CheckResult {
    if !session.is_sent_energies() {
        return CheckResult::skipped(NAMES[8], "it does not ask for energies");
    }
    survives(session, NAMES[8], &[Sample { energy: f64::NAN, ..first.clone() }])
}
