//! The results of a check, in numbers.

use crate::conformance::{CheckResult, failed};
use crate::model::{EvaluationError, ModelOutput, OnnxModel, OutputKind};

/// Everything that was found.
#[derive(Clone, Debug)]
pub struct ModelReport {
    /// The checks in order.
    pub checks: Vec<CheckResult>,
    /// Crystals that were used.
    pub crystals: usize,
    /// Crystals that the model cannot be asked about, and why.
    pub set_aside: Vec<String>,
    /// What a failure most likely comes from.
    pub advice: Option<String>,
}

impl ModelReport {
    pub(super) fn new() -> Self {
        Self { checks: Vec::new(), crystals: 0, set_aside: Vec::new(), advice: None }
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        failed(&self.checks)
    }

    /// Whether nothing failed.
    pub fn passed(&self) -> bool {
        self.failed().next().is_none()
    }

    pub(super) fn explain(&mut self, model: &OnnxModel) {
        let sums = ["permutation", "supercell", "batch", "single atoms"];
        let about_sums = self.failed().any(|check| sums.iter().any(|name| check.name.contains(name)));
        self.advice = model.advice().filter(|_| about_sums);
    }
}

impl OnnxModel {
    /// What sums that are wrong most likely come from.
    pub fn advice(&self) -> Option<String> {
        let n = self.contract().operators.overwriting();
        (n > 0).then(|| {
            format!(
                "the file has {n} scatter node{} without a reduction, which overwrite instead of adding up; exporters make them \
                 of index_add: export it with scatter_add",
                if n == 1 { "" } else { "s" }
            )
        })
    }
}

/// The largest deviation of an output in a check.
pub(super) struct LargestDeviation<'a> {
    output: &'a ModelOutput,
    number: f64,
    compared: usize,
    note: String,
    /// The largest deviation from what a property or energy would be that grows with the cell where it should not, or does not where
    /// it should.
    otherwise: f64,
    /// Comparisons that `otherwise` knows of.
    compared_otherwise: usize,
}

impl<'a> LargestDeviation<'a> {
    pub fn new(output: &'a ModelOutput) -> Self {
        Self { output, number: 0.0, compared: 0, note: String::new(), otherwise: 0.0, compared_otherwise: 0 }
    }

    /// One for each output.
    pub fn of(outputs: &'a [ModelOutput]) -> Vec<Self> {
        outputs.iter().map(Self::new).collect()
    }

    /// Compares an output of a crystal of so many atoms; `at` names the crystal.
    pub fn compare(&mut self, expected: &[f64], found: &[f64], atoms: usize, at: &str) {
        self.add(deviation(self.output.kind, expected, found, atoms), at);
    }

    /// Whether two values of the output are further apart than this share of the tolerance.
    pub fn exceeds(&self, share: f64, expected: &[f64], found: &[f64], atoms: usize) -> bool {
        deviation(self.output.kind, expected, found, atoms) > share * tolerance(self.output.kind).0
    }

    /// As [`Self::compare`], for a cell that holds `times` as much as the one whose output is expected: a property may be the same or
    /// grow with the cell, as long as it does the same in every comparison. So it is seen, too, that an energy is not per atom as
    /// the file says, or is.
    pub fn compare_per_cell(&mut self, expected: &[f64], found: &[f64], atoms: usize, times: f64, at: &str) {
        let factor = match self.output.kind {
            OutputKind::Property | OutputKind::MeanEigenvalue | OutputKind::EnergyPerAtom => Some(times),
            OutputKind::Energy => Some(1.0 / times),
            _ => None,
        };
        if let Some(factor) = factor {
            let otherwise: Vec<f64> = expected.iter().map(|x| x * factor).collect();
            self.otherwise = self.otherwise.max(deviation(self.output.kind, &otherwise, found, atoms));
            self.compared_otherwise += 1;
        }
        self.add(deviation(self.output.kind, expected, found, atoms), at);
    }

    /// Takes a deviation that was measured elsewhere, in the unit of the output.
    pub fn add(&mut self, deviation: f64, at: &str) {
        self.compared += 1;
        if deviation > self.number {
            (self.number, self.note) = (deviation, at.to_owned());
        }
    }

    /// There is no number to compare.
    pub fn fail(&mut self, failure: &EvaluationError, at: &str) {
        self.add(f64::INFINITY, &format!("{at}: {failure}"));
    }

    /// The check, with the tolerance that float32 allows.
    pub fn check(self, name: &'static str) -> CheckResult {
        let (tolerance, unit) = tolerance(self.output.kind);
        let otherwise =
            self.number > tolerance && self.otherwise <= tolerance && self.compared_otherwise == self.compared;
        match self.output.kind {
            OutputKind::Property | OutputKind::MeanEigenvalue if otherwise => {
                let check = CheckResult::measured(name, self.otherwise, tolerance, unit).of(&self.output.quantity);
                return check.noting("it grows with the cell");
            }
            OutputKind::Energy if otherwise => {
                let note = "twice the cell has the same energy: if it is one per atom, say energy_per_atom = true";
                return self.check_within(name, tolerance, unit).noting(note);
            }
            OutputKind::EnergyPerAtom if otherwise => {
                let note = "twice the cell has twice the energy: it is not one per atom, as energy_per_atom says";
                return self.check_within(name, tolerance, unit).noting(note);
            }
            _ => (),
        }
        self.check_within(name, tolerance, unit)
    }

    /// The check with another tolerance.
    pub fn check_within(self, name: &'static str, tolerance: f64, unit: &'static str) -> CheckResult {
        let check = match self.compared {
            0 => CheckResult::skipped(name, "nothing to compare"),
            _ => CheckResult::measured(name, self.number, tolerance, unit).noting(self.note),
        };
        check.of(&self.output.quantity)
    }
}

/// What float32 allows: PyTorch's CHGNet differs from itself in float64 by 1.2e-5 eV/atom and 1.9e-4 of 1 + the largest force.
fn tolerance(kind: OutputKind) -> (f64, &'static str) {
    use OutputKind::{Energy, EnergyPerAtom, Forces, Magmoms, MeanEigenvalue, Property, Stress};
    match kind {
        Energy | EnergyPerAtom => (1e-4, "eV/atom"),
        Forces => (5e-4, "eV/A / (1 + max)"),
        Stress => (5e-4, "eV/A^3"),
        Magmoms => (5e-4, "muB"),
        Property | MeanEigenvalue => (2e-4, "of 1 + |value|"),
    }
}

/// Half of the last digit of float32, relative.
const HALF_DIGIT: f64 = 1.0 / (1 << 24) as f64;

/// What float32 may leave out of a total energy (eV) that so many atoms were added up to: a digit when it is stored, and half of one
/// for each sum on the way, of which the errors add up as in a random walk.
pub(super) fn resolution(energy: f64, atoms: usize) -> f64 {
    HALF_DIGIT * energy.abs() * (2.0 + (atoms as f64).sqrt())
}

/// How far two values of an output are apart, in the unit of its tolerance; infinite if one is not a number or their
/// sizes differ.
fn deviation(kind: OutputKind, expected: &[f64], found: &[f64], atoms: usize) -> f64 {
    use OutputKind::{Energy, EnergyPerAtom, Forces, Magmoms, MeanEigenvalue, Property, Stress};
    if expected.len() != found.len() {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    let scale = match kind {
        Energy | EnergyPerAtom => atoms as f64,
        Forces | Property | MeanEigenvalue => 1.0 + largest,
        Stress | Magmoms => 1.0,
    };
    let rounding = match kind {
        Energy | EnergyPerAtom => 2.0 * resolution(largest, atoms),
        _ => 0.0,
    };
    let difference = |(e, f): (&f64, &f64)| {
        let d = ((e - f).abs() - rounding).max(0.0) / scale;
        if d.is_nan() || !(e - f).is_finite() { f64::INFINITY } else { d }
    };
    expected.iter().zip(found).map(difference).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_measured_in_the_unit_of_the_tolerance() {
        let of = |kind, e: &[f64], f: &[f64]| deviation(kind, e, f, 4);
        assert!((of(OutputKind::Energy, &[-8.0], &[-7.0]) - 0.25).abs() < 1e-6);
        assert_eq!(of(OutputKind::Forces, &[3.0, 0.0], &[3.0, 1.0]), 0.25);
        assert_eq!(of(OutputKind::Stress, &[3.0], &[2.5]), 0.5);
        assert_eq!(of(OutputKind::Property, &[-1.0], &[0.0]), 0.5);
        for broken in [&[f64::NAN][..], &[f64::INFINITY], &[], &[1.0, 2.0]] {
            assert_eq!(of(OutputKind::Property, &[1.0], broken), f64::INFINITY);
        }
        assert_eq!(of(OutputKind::Stress, &[f64::INFINITY], &[f64::INFINITY]), f64::INFINITY);
        assert_eq!(of(OutputKind::Energy, &[f64::NAN], &[1.0]), f64::INFINITY);
        assert_eq!(of(OutputKind::Energy, &[f64::INFINITY], &[1.0]), f64::INFINITY);
    }
}
