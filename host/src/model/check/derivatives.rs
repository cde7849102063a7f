//! Forces and stress, the file's own or derived from its energy, against central differences of the energy.

use super::change::rattled;
use super::{LargestDeviation, ModelUnderTest, alone};
use crate::conformance::{CheckResult, NamedCrystal};
use crate::crystal::Structure;
use crate::model::{EvaluationError, ForceModel, ModelOutput, OutputKind};

/// Crystals that are differentiated, and the most atoms of one.
const MOST_CRYSTALS: usize = 4;
const MOST_ATOMS: usize = 12;
/// Atoms of a crystal that are displaced.
const DISPLACED: usize = 4;
/// Displacements (angstrom) and strains. The long step drowns the rounding of a float32 energy (about 1e-5 eV), the short one
/// stays clear of corners in the energy, such as those of an arc cosine near straight bonds: a derivative agrees with one.
const STEPS: [f64; 2] = [0.03, 0.01];
const STRAINS: [f64; 2] = [0.005, 0.002];
/// What is left of rounding and of the formula.
const FORCE_TOLERANCE: f64 = 5e-3;
const STRESS_TOLERANCE: f64 = 1e-3;

pub(super) fn checks(tested: &ModelUnderTest<'_>, forces: Result<&ForceModel, &str>) -> Vec<CheckResult> {
    let index = |wanted: &[OutputKind]| tested.ports().iter().position(|port| wanted.contains(&port.kind));
    let kinds = [("forces", OutputKind::Forces), ("stress", OutputKind::Stress)];
    let Some(energy) = index(&[OutputKind::Energy, OutputKind::EnergyPerAtom]) else {
        return kinds.map(|(name, _)| CheckResult::skipped("differences", "the model gives no energy").of(name)).into();
    };
    let crystals = chosen(tested);
    let check = |(name, kind): (&'static str, OutputKind)| match (index(&[kind]), forces) {
        (Some(place), _) => {
            let given = |structure: &Structure| Ok(alone(tested.model, structure)?[place].clone());
            check("differences", tested, &tested.ports()[place], &given, energy, &crystals)
        }
        (None, Ok(forces)) => {
            let port = forces.outputs()[usize::from(kind == OutputKind::Stress)];
            check("derived", tested, port, &|structure| derived(forces, kind, structure), energy, &crystals)
        }
        (None, Err(reason)) => CheckResult::skipped("derived", reason).of(name),
    };
    kinds.map(check).into()
}

/// Forces or stress that are derived from the energy, as the outputs of a file have them.
fn derived(forces: &ForceModel, kind: OutputKind, structure: &Structure) -> Result<Vec<f64>, EvaluationError> {
    let row = forces.evaluate(&[structure], &[]).pop();
    let (_, response) =
        row.unwrap_or_else(|| Err(EvaluationError::Failed("it gives nothing for one crystal".into())))?;
    let numbers = if kind == OutputKind::Forces { response.forces } else { response.stress.to_vec() };
    Ok(numbers.into_flattened())
}

/// Small crystals, without the symmetry that makes forces vanish.
fn chosen(tested: &ModelUnderTest<'_>) -> Vec<NamedCrystal> {
    let small = tested.crystals.iter().filter(|(_, structure)| (2..=MOST_ATOMS).contains(&structure.len()));
    let mut small: Vec<&NamedCrystal> = small.collect();
    // Those with the most atoms first.
    small.sort_by_key(|(_, structure)| std::cmp::Reverse(structure.len()));
    let displaced = |(name, structure): &&NamedCrystal| (format!("{name}, displaced"), rattled(structure, 0.06));
    small.iter().take(MOST_CRYSTALS).map(displaced).collect()
}

fn check(
    name: &'static str,
    tested: &ModelUnderTest<'_>,
    port: &ModelOutput,
    given: &dyn Fn(&Structure) -> Result<Vec<f64>, EvaluationError>,
    energy: usize,
    crystals: &[NamedCrystal],
) -> CheckResult {
    let mut largest = LargestDeviation::new(port);
    for (title, structure) in crystals {
        let of = |changed: &Structure| alone(tested.model, changed).map(|outputs| outputs[energy][0]);
        let pair = given(structure).and_then(|given| match port.kind {
            OutputKind::Forces => forces(structure, &given, &of),
            _ => stress(structure, &given, &of).map(|differences| (given, differences)),
        });
        match pair {
            Ok((given, differences)) => largest.compare(&differences, &given, structure.len(), title),
            Err(failure) => largest.fail(&failure, title),
        }
    }
    match port.kind {
        OutputKind::Forces => largest.check_within(name, FORCE_TOLERANCE, "eV/A / (1 + max)"),
        _ => largest.check_within(name, STRESS_TOLERANCE, "eV/A^3"),
    }
}

type Energy<'a> = dyn Fn(&Structure) -> Result<f64, EvaluationError> + 'a;

/// The fourth-order central difference of `f` at 0 with that of two steps that is nearer to `given`.
fn slope(given: f64, steps: [f64; 2], f: impl Fn(f64) -> Result<f64, EvaluationError>) -> Result<f64, EvaluationError> {
    let with = |step: f64| -> Result<f64, EvaluationError> {
        let near = f(step)? - f(-step)?;
        let far = f(2.0 * step)? - f(-2.0 * step)?;
        Ok((8.0 * near - far) / (12.0 * step))
    };
    let [long, short] = [with(steps[0])?, with(steps[1])?];
    Ok(if (short - given).abs() < (long - given).abs() { short } else { long })
}

/// The given forces on some atoms, and the differences for the same.
fn forces(structure: &Structure, given: &[f64], energy: &Energy<'_>) -> Result<(Vec<f64>, Vec<f64>), EvaluationError> {
    let mut pair = (Vec::new(), Vec::new());
    for (atom, force) in given.chunks(3).enumerate().take(DISPLACED) {
        for (axis, component) in force.iter().enumerate() {
            let along = |h: f64| std::array::from_fn(|k| if k == axis { h } else { 0.0 });
            let moved = |h: f64| energy(&structure.displaced(atom, along(h)));
            pair.0.push(*component);
            pair.1.push(-slope(-component, STEPS, moved)?);
        }
    }
    Ok(pair)
}

/// dE/dstrain / V in row-major order, by symmetric strains at fixed fractional coordinates.
fn stress(structure: &Structure, given: &[f64], energy: &Energy<'_>) -> Result<Vec<f64>, EvaluationError> {
    let volume = structure.lattice.volume();
    let component = |(index, given): (usize, &f64)| -> Result<f64, EvaluationError> {
        let strained = |h: f64| energy(&structure.strained([index / 3, index % 3], h));
        Ok(slope(given * volume, STRAINS, strained)? / volume)
    };
    given.iter().enumerate().map(component).collect()
}
