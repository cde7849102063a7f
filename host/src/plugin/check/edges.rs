//! Limiting cases. Whatever outcome an absurd crystal gets, it must not affect the others of its batch.

use super::super::Outcome;
use super::compare::{Comparison, TOLERANCE, shown};
use super::sample::{Sample, known_elements};
use super::{CheckStatus, Kit, PluginCheck};

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

/// Spacing of a simple cubic crystal in which most elements have believable neighbours, angstrom.
const SPACING: f64 = 2.9;
/// Edges of a cubic cell, angstrom.
const HUGE: f64 = 1e4;
const TINY: f64 = 0.3;

pub(super) fn checks(kit: &mut Kit<'_>) -> Vec<PluginCheck> {
    let first = kit.samples[0].clone();
    let cube = |edge: f64| {
        let lattice = [[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]];
        vec![Sample { lattice, ..first.clone() }]
    };
    vec![
        empty(kit),
        single_atoms(kit),
        element_119(kit, &first),
        survives(kit, NAMES[3], &cube(HUGE)),
        survives(kit, NAMES[4], &cube(TINY)),
        survives(kit, NAMES[5], &skewed(&first)),
        not_a_number(
            kit,
            NAMES[6],
            |sample| sample.lattice = [[f64::NAN; 3]; 3],
            |sample| [0.7, 1.03, 1.6].map(|factor| sample.scaled(factor)).into(),
        ),
        not_a_number(
            kit,
            NAMES[7],
            |sample| sample.fractional.fill([f64::NAN; 3]),
            |sample| [0.02, 0.1, 0.3, 0.5].map(|amplitude| sample.rattled(amplitude)).into(),
        ),
        unknown_energies(kit, &first),
    ]
}

fn empty(kit: &mut Kit<'_>) -> PluginCheck {
    match kit.subject.ask(&[]) {
        Ok(_) => PluginCheck::passed(NAMES[0], ""),
        Err(error) => PluginCheck::broken(NAMES[0], error),
    }
}

/// Each element that it knows as a cell of one atom.
fn single_atoms(kit: &mut Kit<'_>) -> PluginCheck {
    let name = NAMES[1];
    let lattice = [[SPACING, 0.0, 0.0], [0.0, SPACING, 0.0], [0.0, 0.0, SPACING]];
    let atom = |number: u8, symbol: &str| Sample::new(symbol.to_owned(), lattice, vec![number], vec![[0.0; 3]]);
    let elements = known_elements(&kit.subject.properties);
    let atoms: Vec<Sample> = elements.iter().map(|element| atom(element.number(), element.symbol())).collect();
    let wrong: Vec<String> = match kit.subject.ask(&atoms) {
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
                let error = kit.subject.ask_alone(atom).err()?;
                Some(format!("{}: {error}", atom.name))
            });
            let found: Vec<String> = alone.take(3).collect();
            if found.is_empty() { vec![format!("all at once: {error}")] } else { found }
        }
    };
    PluginCheck::count(name, &wrong, "elements")
}

fn element_119(kit: &mut Kit<'_>, first: &Sample) -> PluginCheck {
    if kit.subject.properties.elements.is_some() {
        return PluginCheck::skipped(NAMES[2], "it lists its elements, so it is never asked about others");
    }
    let mut sample = first.clone();
    sample.numbers[0] = 119;
    survives(kit, NAMES[2], &[sample])
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
fn survives(kit: &mut Kit<'_>, name: &'static str, hostile: &[Sample]) -> PluginCheck {
    let mut comparison = Comparison::default();
    let mut said = Vec::new();
    for sample in hostile {
        said.extend(between(kit, sample, &mut comparison).map(|outcome| shown(&outcome)));
    }
    let note = said.join("; ");
    let check = comparison.check(name, TOLERANCE);
    match check.status {
        CheckStatus::Pass => PluginCheck::passed(name, format!("gives {note}")),
        _ => check,
    }
}

/// The outcome of a crystal between two sane ones, whose outcomes are compared.
fn between(kit: &mut Kit<'_>, sample: &Sample, comparison: &mut Comparison) -> Option<Outcome> {
    let neighbours = [kit.samples[0].clone(), kit.samples[kit.samples.len() / 2].clone()];
    let [left, right] = neighbours;
    let names = [left.name.clone(), right.name.clone()].map(|name| format!("{name}, beside it"));
    // A value that depends on the place in the batch is found elsewhere: the neighbours are where they were.
    let expected = kit.subject.ask(&[left.clone(), left.clone(), right.clone()]);
    let found = kit.subject.ask(&[left, sample.clone(), right]);
    match (expected.as_deref(), found.as_deref()) {
        (Ok([left, _, right]), Ok([found_left, own, found_right])) => {
            if kit.unsteady.is_none() {
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
    kit: &mut Kit<'_>,
    name: &'static str,
    spoil: fn(&mut Sample),
    changes: fn(&Sample) -> Vec<Sample>,
) -> PluginCheck {
    let mut comparison = Comparison::default();
    let mut valued = Vec::new();
    for sample in kit.samples.clone() {
        let mut spoilt = sample.clone();
        spoil(&mut spoilt);
        match between(kit, &spoilt, &mut comparison) {
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
        depends(kit, sample, &changes(sample)).then(|| format!("{}: {value} where none can be", sample.name))
    };
    let made_up: Vec<String> = valued.iter().filter_map(of_changed).collect();
    PluginCheck::count(name, &made_up, "values made up")
}

/// Whether the value of a crystal is another one after any of these changes.
fn depends(kit: &mut Kit<'_>, sample: &Sample, changed: &[Sample]) -> bool {
    let mut comparison = Comparison::default();
    // Alone, as they are, so that a place in the batch is no change.
    if let (None, Ok(expected)) = (kit.unsteady, kit.subject.ask_alone(sample)) {
        let found = changed.iter().filter_map(|sample| kit.subject.ask_alone(sample).ok());
        found.for_each(|found| comparison.row(&expected, &found, ""));
    }
    comparison.largest() > TOLERANCE
}

fn unknown_energies(kit: &mut Kit<'_>, first: &Sample) -> PluginCheck {
    if !kit.is_sent_energies() {
        return PluginCheck::skipped(NAMES[8], "it does not request energies");
    }
    survives(kit, NAMES[8], &[Sample { energy: f64::NAN, ..first.clone() }])
}
