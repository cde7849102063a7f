//! Forces and stress, the file's own or derived from its energy, against central differences of the energy.

use super::change::rattled;
use super::report::resolution;
use super::{LargestDeviation, ModelUnderTest, alone};
use crate::conformance::{CheckResult, NamedCrystal};
use crate::crystal::Structure;
use crate::model::{EvaluationError, ForceModel, ModelOutput, OutputKind};

/// Crystals that are differentiated, and the most atoms of one.
const MOST_CRYSTALS: usize = 4;
const MOST_ATOMS: usize = 12;
/// Atoms of a crystal that are displaced.
const DISPLACED: usize = 4;
/// Displacements (angstrom) and strains. The long steps drown the rounding of a float32 energy, the short ones stay clear of corners
/// in the energy, such as those of an arc cosine near straight bonds: a derivative agrees with one. The longest is for energies so
/// large that float32 leaves them few digits behind the point.
const STEPS: [f64; 3] = [0.1, 0.03, 0.01];
const STRAINS: [f64; 3] = [0.02, 0.005, 0.002];
/// What is left of the formula.
const FORCE_TOLERANCE: f64 = 5e-3;
const STRESS_TOLERANCE: f64 = 1e-3;
/// Rounding may make this share of 1 + the largest force or stress uncertain. Where it makes more so, differences say nothing.
const MOST_ROUNDING: f64 = 0.25;
/// By how much the rounding of four energies may change the difference formula, in units of that of one over the step:
/// `(8 + 8 + 1 + 1) / 12`.
const AMPLIFIED: f64 = 1.5;

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
    small.iter().map(displaced).collect()
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
    let (mut compared, mut hidden) = (0, None);
    for (title, structure) in crystals {
        if compared == MOST_CRYSTALS {
            break;
        }
        let of = |changed: &Structure| alone(tested.model, changed).map(|outputs| outputs[energy][0]);
        let deviation = given(structure).and_then(|given| {
            let total = of(structure)?;
            let difference = Difference::new(port.kind, structure, &given, total, &of);
            difference.largest_deviation(structure, &given).map(|deviation| (deviation, total))
        });
        match deviation {
            Ok((Some(deviation), _)) => largest.add(deviation, title),
            Ok((None, total)) => {
                hidden.get_or_insert(total);
                continue;
            }
            Err(failure) => largest.fail(&failure, title),
        }
        compared += 1;
    }
    match (compared, hidden) {
        (0, Some(total)) => {
            let digits = resolution(total, 1);
            let why =
                format!("float32 resolves an energy of {total:.0} eV to {digits:.0e} eV, too coarse for differences");
            CheckResult::skipped(name, why).of(&port.quantity)
        }
        _ if port.kind == OutputKind::Forces => largest.check_within(name, FORCE_TOLERANCE, "eV/A / (1 + max)"),
        _ => largest.check_within(name, STRESS_TOLERANCE, "eV/A^3"),
    }
}

type Energy<'a> = dyn Fn(&Structure) -> Result<f64, EvaluationError> + 'a;

/// Differences of the energy for the components of forces or stress of one crystal.
struct Difference<'a> {
    kind: OutputKind,
    energy: &'a Energy<'a>,
    /// Steps that are worth taking, each with what rounding may add to a component.
    steps: Vec<(f64, f64)>,
    /// A deviation is measured in units of this.
    scale: f64,
    volume: f64,
}

impl<'a> Difference<'a> {
    fn new(kind: OutputKind, structure: &Structure, given: &[f64], total: f64, energy: &'a Energy<'a>) -> Self {
        let largest = given.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let volume = structure.lattice.volume();
        let digits = resolution(total, structure.len());
        let (steps, per, scale, tolerance) = match kind {
            OutputKind::Forces => (STEPS, 1.0, 1.0 + largest, FORCE_TOLERANCE),
            _ => (STRAINS, volume, 1.0, STRESS_TOLERANCE),
        };
        let rounding = |step: f64| AMPLIFIED * digits / (step * per);
        let [longest, usual @ ..] = steps;
        // The formula's own error is least for short steps: longer ones only where rounding demands them.
        let fine: Vec<f64> = usual.into_iter().filter(|step| rounding(*step) <= tolerance * scale).collect();
        let steps = if fine.is_empty() { vec![longest] } else { fine };
        let steps = steps.into_iter().map(|step| (step, rounding(step))).collect();
        Self { kind, energy, steps, scale, volume }
    }

    /// By how much the given components differ from differences, beyond what rounding may do; `None` where it may do anything.
    fn largest_deviation(&self, structure: &Structure, given: &[f64]) -> Result<Option<f64>, EvaluationError> {
        let largest = given.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        if self.steps.iter().all(|(_, rounding)| *rounding > MOST_ROUNDING * (1.0 + largest)) {
            return Ok(None);
        }
        if given.iter().any(|x| !x.is_finite()) {
            return Ok(Some(f64::INFINITY));
        }
        let mut worst = 0.0_f64;
        for (index, component) in given.iter().enumerate() {
            let moved = |h: f64| match self.kind {
                OutputKind::Forces => structure.displaced(index / 3, along(index % 3, -h)),
                _ => structure.strained([index / 3, index % 3], h),
            };
            if self.kind == OutputKind::Forces && index >= 3 * DISPLACED {
                break;
            }
            worst = worst.max(self.deviation(*component, &moved)?);
        }
        Ok(Some(worst / self.scale))
    }

    /// Of one component: the least over the steps. The fourth-order central difference is taken at each.
    fn deviation(&self, given: f64, moved: &dyn Fn(f64) -> Structure) -> Result<f64, EvaluationError> {
        let energy = |h: f64| (self.energy)(&moved(h));
        let per = if self.kind == OutputKind::Forces { 1.0 } else { self.volume };
        let mut least = f64::INFINITY;
        for (step, rounding) in &self.steps {
            let near = energy(*step)? - energy(-step)?;
            let far = energy(2.0 * step)? - energy(-2.0 * step)?;
            let slope = (8.0 * near - far) / (12.0 * step) / per;
            least = least.min(((given - slope).abs() - rounding).max(0.0));
        }
        Ok(least)
    }
}

fn along(axis: usize, h: f64) -> [f64; 3] {
    std::array::from_fn(|k| if k == axis { h } else { 0.0 })
}
