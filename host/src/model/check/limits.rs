//! Limiting cases: every element, one atom, no neighbours, no triplets, the same crystal twice, and the speed.

use std::time::{Duration, Instant};

use super::batches::beside_others;
use super::change::doubled;
use super::crystals::{dimer, known_elements, simple_cubic, within_cutoff};
use super::{LargestDeviation, ModelUnderTest, alone, invariance};
use crate::conformance::{CheckResult, CheckStatus, SPACING};
use crate::crystal::{Element, Lattice, Structure};
use crate::model::{EvaluationError, InputKind};

/// How long the throughput is measured, at least.
const MEASURED: Duration = Duration::from_millis(500);
/// Crystals that are evaluated at once for the throughput.
const AT_ONCE: usize = 64;

pub(super) fn checks(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let mut checks = vec![elements(tested)];
    checks.extend(single_atoms(tested));
    checks.extend(no_edges(tested));
    checks.extend(no_triplets(tested));
    checks.extend(determinism(tested));
    checks.push(throughput(tested));
    checks
}

/// Each element as a simple cubic crystal, and each beside another element in caesium chloride's structure.
fn elements(tested: &ModelUnderTest<'_>) -> CheckResult {
    let known = known_elements(tested.model.contract());
    let cutoff = tested.model.contract().cutoff;
    let partner = |element: Element| {
        let oxygen = Element::from_symbol("O").filter(|o| known.contains(o) && *o != element);
        oxygen.or_else(|| known.iter().copied().find(|other| *other != element)).unwrap_or(element)
    };
    let crystals: Vec<(Element, Structure)> = known
        .iter()
        .flat_map(|&element| {
            let pair = simple_cubic(element, 1.2 * SPACING);
            let pair = Structure { species: vec![element, partner(element)], frac: vec![[0.0; 3], [0.5; 3]], ..pair };
            [simple_cubic(element, SPACING), pair].map(|crystal| (element, within_cutoff(crystal, cutoff)))
        })
        .collect();
    let mut wrong: Vec<String> = Vec::new();
    for (element, crystal) in &crystals {
        let reason = match alone(tested.model, crystal) {
            Ok(outputs) if outputs.iter().flatten().all(|x| x.is_finite()) => continue,
            Ok(_) => format!("{element}: not finite"),
            Err(failure) => format!("{element}: {failure}"),
        };
        if wrong.last() != Some(&reason) {
            wrong.push(reason);
        }
    }
    CheckResult::count("all declared elements", &wrong, "elements")
}

/// Cells of one atom, whose only neighbours are its own images, against two of them.
fn single_atoms(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let name = "single atoms";
    let contract = tested.model.contract();
    let Some(&element) = known_elements(contract).first() else { return Vec::new() };
    let element = Element::from_symbol("Al").filter(|al| contract.knows(*al)).unwrap_or(element);
    let cells = [([90.0; 3], SPACING), ([60.0; 3], SPACING), ([109.4712; 3], SPACING)];
    let mut largest = LargestDeviation::of(tested.ports());
    for (angles, length) in cells {
        let Ok(lattice) = Lattice::from_parameters([length; 3], angles) else { continue };
        let crystal = Structure { lattice, species: vec![element], frac: vec![[0.0; 3]] };
        let crystal = within_cutoff(crystal, contract.cutoff);
        let at = format!("{element}, angles of {} degrees", angles[0]);
        match alone(tested.model, &crystal) {
            Ok(outputs) => {
                for change in doubled(&crystal) {
                    invariance::compare(tested.model, &mut largest, &at, 1, &outputs, &change);
                }
            }
            Err(failure) => largest.iter_mut().for_each(|largest| largest.fail(&failure, &at)),
        }
    }
    largest.into_iter().map(|largest| largest.check(name)).collect()
}

/// An atom without neighbours: the host never gives one to a model, and the bare file must not let it disturb the crystal
/// beside it. What the file makes of the atom itself is noted.
fn no_edges(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let name = "no edges";
    let contract = tested.model.contract();
    let (Some(cutoff), Some((_, first))) = (contract.cutoff, tested.crystals.first()) else {
        return vec![CheckResult::skipped(name, "the model takes no edges, or no crystal is left")];
    };
    let lonely = simple_cubic(first.species[0], 3.0 * cutoff);
    let refused = tested.model.evaluate(&[&lonely], &tested.model.quantities());
    if !matches!(refused[..], [Err(EvaluationError::Isolated { .. })]) {
        return vec![CheckResult::broken(name, format!("an atom without neighbours gave {refused:?}"))];
    }
    let itself = match tested.model.evaluate_with_isolated_atoms(&[&lonely]) {
        Ok(rows) if rows.iter().flatten().flatten().all(|x| x.is_finite()) => "the file gives the atom a number".into(),
        Ok(_) => "the file gives the atom no finite number; the host never asks".into(),
        Err(failure) => format!("the file cannot run without any edge ({failure}); the host never asks"),
    };
    let mut largest = LargestDeviation::of(tested.ports());
    if !contract.one_at_a_time {
        let rows = tested.model.evaluate_with_isolated_atoms(&[&lonely, first]);
        for (index, largest) in largest.iter_mut().enumerate() {
            match &rows {
                Ok(rows) => largest.compare(&tested.outputs[0][index], &rows[1][index], first.len(), "beside it"),
                Err(failure) => largest.fail(failure, "the crystal beside it"),
            }
        }
    }
    let noted = |check: CheckResult| match check.status {
        CheckStatus::Fail => check,
        _ => CheckResult { note: itself.clone(), ..check },
    };
    largest.into_iter().map(|largest| noted(largest.check(name))).collect()
}

/// Crystals with edges and without triplets, alone and beside others.
fn no_triplets(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let name = "no triplets";
    let contract = tested.model.contract();
    let triplets = contract.inputs.iter().any(|input| input.kind == InputKind::TripletIndex);
    let (Some(cutoff), Some(triplet), true) = (contract.cutoff, contract.triplet_cutoff, triplets) else {
        return vec![CheckResult::skipped(name, "the model takes no triplets")];
    };
    let Some((_, first)) = tested.crystals.first() else { return Vec::new() };
    let element = first.species[0];
    // One edge per atom makes no pair of edges; nor do edges beyond the triplets' cutoff.
    let mut crystals = vec![("two atoms", dimer([element, element], 0.7 * triplet, cutoff))];
    if cutoff > 1.1 * triplet {
        crystals.push(("edges, all beyond the triplets' cutoff", simple_cubic(element, 0.5 * (cutoff + triplet))));
    }
    let mut largest = LargestDeviation::of(tested.ports());
    for (title, crystal) in &crystals {
        if contract.one_at_a_time {
            match alone(tested.model, crystal) {
                Ok(own) => {
                    largest.iter_mut().zip(&own).for_each(|(largest, x)| largest.compare(x, x, crystal.len(), title))
                }
                Err(failure) => largest.iter_mut().for_each(|largest| largest.fail(&failure, title)),
            }
        } else {
            beside_others(tested, &mut largest, title, crystal);
        }
    }
    largest.into_iter().map(|largest| largest.check(name)).collect()
}

/// The same crystals again: on a processor to the same bits.
fn determinism(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let mut largest = LargestDeviation::of(tested.ports());
    for ((title, structure), outputs) in tested.crystals.iter().zip(&tested.outputs) {
        let again = alone(tested.model, structure);
        for (index, largest) in largest.iter_mut().enumerate() {
            match &again {
                Ok(again) => largest.compare(&outputs[index], &again[index], structure.len(), title),
                Err(failure) => largest.fail(failure, title),
            }
        }
    }
    largest.into_iter().map(|largest| largest.check("determinism")).collect()
}

/// Crystals per second, neighbour lists included.
fn throughput(tested: &ModelUnderTest<'_>) -> CheckResult {
    let name = "throughput";
    let quantities = tested.model.quantities();
    if tested.crystals.is_empty() || quantities.is_empty() {
        return CheckResult::skipped(name, "nothing to measure");
    }
    let batch: Vec<&Structure> = tested.crystals.iter().map(|(_, s)| s).cycle().take(AT_ONCE).collect();
    let atoms: usize = batch.iter().map(|structure| structure.len()).sum();
    let start = Instant::now();
    let mut evaluated = 0;
    while start.elapsed() < MEASURED {
        evaluated += tested.model.evaluate(&batch, &quantities).len();
    }
    let rate = evaluated as f64 / start.elapsed().as_secs_f64();
    let note = format!("{:.1} atoms each on average, {}", atoms as f64 / AT_ONCE as f64, quantities.join(", "));
    CheckResult {
        status: CheckStatus::Pass,
        number: Some(rate),
        unit: "crystals/s",
        note,
        ..CheckResult::skipped(name, "")
    }
}
