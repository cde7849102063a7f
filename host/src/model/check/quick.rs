//! The cheap part of the check: whether a few small crystals keep their numbers when they are described otherwise.

use super::change::{Change, doubled, permuted, redescribed, rotated, translated};
use super::crystals::textbook_crystals;
use super::{LargestDeviation, alone, invariance};
use crate::conformance::{CheckResult, NamedCrystal, failed};
use crate::crystal::Structure;
use crate::model::{CrystalOutputs, OnnxModel};

/// Crystals that are tried, and the most atoms of one.
const CRYSTALS: usize = 3;
const MOST_ATOMS: usize = 6;

/// The name of the check that a crystal can be run at all.
const RUNNING: &str = "running";

type Make = fn(&Structure) -> Vec<Change>;

const CHANGES: [(&str, Make); 5] = [
    ("translation", translated),
    ("rotation", rotated),
    ("lattice re-description", redescribed),
    ("supercell", |structure| doubled(structure).into_iter().take(1).collect()),
    ("atom permutation", |structure| permuted(structure).into_iter().take(1).collect()),
];

/// What the cheap part of a check found.
pub struct QuickCheck {
    /// The checks in order.
    pub checks: Vec<CheckResult>,
    /// The numbers of the crystals as they are.
    pub(in crate::model) outputs: Vec<CrystalOutputs>,
}

impl QuickCheck {
    /// Whether nothing is wrong, and something was compared.
    pub fn passed(&self) -> bool {
        !self.outputs.is_empty() && failed(&self.checks).next().is_none()
    }

    /// Whether the model could be run.
    pub(in crate::model) fn ran(&self) -> bool {
        !self.outputs.is_empty() && !self.checks.iter().any(|check| check.name == RUNNING)
    }

    /// The first thing that is wrong, in words.
    pub fn complaint(&self) -> Option<String> {
        let failed = failed(&self.checks).next()?;
        let by = match failed.number {
            Some(number) if number.is_finite() => format!(" by {number:.2e} {}", failed.unit),
            _ => String::new(),
        };
        Some(match failed.output.as_str() {
            "" => format!("{}: {}", failed.name, failed.note),
            output => format!("{output} is wrong under {}{by} ({})", failed.name, failed.note),
        })
    }
}

/// Compares a few small crystals with the same ones translated (and so wrapped elsewhere), turned, in other cells, doubled and in
/// another order.
pub fn check_quickly(model: &OnnxModel) -> QuickCheck {
    check_until(model, false)
}

/// The same; with `first`, nothing is checked after the first thing that is wrong.
pub(in crate::model) fn check_until(model: &OnnxModel, first: bool) -> QuickCheck {
    let mut crystals: Vec<NamedCrystal> = textbook_crystals(model.contract()).named;
    crystals.retain(|(_, structure)| structure.len() <= MOST_ATOMS);
    // Those without symmetry come last in the list.
    crystals.reverse();
    let mut checks = Vec::new();
    let mut known: Vec<(NamedCrystal, CrystalOutputs)> = Vec::new();
    for (name, structure) in crystals {
        match alone(model, &structure) {
            Ok(outputs) if outputs.iter().flatten().all(|x| x.is_finite()) => known.push(((name, structure), outputs)),
            Ok(_) => checks.push(CheckResult::broken("finite numbers", format!("{name} has none"))),
            Err(failure) if failure.is_of_the_model() => {
                checks.push(CheckResult::broken(RUNNING, format!("{name}: {failure}")));
            }
            // Nothing that the model claims to know.
            Err(_) => (),
        }
        if known.len() == CRYSTALS || checks.len() == CRYSTALS {
            break;
        }
    }
    for (name, make) in CHANGES {
        if first && failed(&checks).next().is_some() {
            break;
        }
        let mut largest = LargestDeviation::of(&model.contract().outputs);
        for ((title, structure), outputs) in &known {
            for change in make(structure) {
                invariance::compare(model, &mut largest, title, structure.len(), outputs, &change);
            }
        }
        checks.extend(largest.into_iter().map(|largest| largest.check(name)));
    }
    QuickCheck { checks, outputs: known.into_iter().map(|(_, outputs)| outputs).collect() }
}
