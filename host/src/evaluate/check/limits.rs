//! Limiting cases: every element, one atom, no neighbours, no triplets, the same crystal twice, and the speed.

use std::time::{Duration, Instant};

use super::batches::beside_others;
use super::change::doubled;
use super::crystals::{dimer, known_elements, simple_cubic, within_cutoff};
use super::{Check, Status, Subject, Worst, alone, invariance};
use crate::crystal::{Element, Lattice, Structure};
use crate::model::{EvaluationError, InputKind};

/// Spacing of a simple cubic crystal in which most elements have believable neighbours, angstrom.
const SPACING: f64 = 2.9;
/// How long the throughput is measured, at least.
const MEASURED: Duration = Duration::from_millis(500);
/// Crystals that are evaluated at once for the throughput.
const AT_ONCE: usize = 64;

pub(super) fn checks(subject: &Subject<'_>) -> Vec<Check> {
    let mut checks = vec![elements(subject)];
    checks.extend(single_atoms(subject));
    checks.extend(no_edges(subject));
    checks.extend(no_triplets(subject));
    checks.extend(determinism(subject));
    checks.push(throughput(subject));
    checks
}

/// Each element as a simple cubic crystal, and each beside another element in caesium chloride's structure.
fn elements(subject: &Subject<'_>) -> Check {
    let known = known_elements(subject.model.contract());
    let cutoff = subject.model.contract().cutoff;
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
        let reason = match alone(subject.model, crystal) {
            Ok(outputs) if outputs.iter().flatten().all(|x| x.is_finite()) => continue,
            Ok(_) => format!("{element}: not finite"),
            Err(failure) => format!("{element}: {failure}"),
        };
        if wrong.last() != Some(&reason) {
            wrong.push(reason);
        }
    }
    Check::count("all declared elements", wrong, "elements")
}

/// Cells of one atom, whose only neighbours are its own images, against two of them.
fn single_atoms(subject: &Subject<'_>) -> Vec<Check> {
    let name = "single atoms";
    let contract = subject.model.contract();
    let Some(&element) = known_elements(contract).first() else { return Vec::new() };
    let element = Element::from_symbol("Al").filter(|al| contract.knows(*al)).unwrap_or(element);
    let cells = [([90.0; 3], SPACING), ([60.0; 3], SPACING), ([109.4712; 3], SPACING)];
    let mut worst = Worst::of(subject.ports());
    for (angles, length) in cells {
        let Ok(lattice) = Lattice::from_parameters([length; 3], angles) else { continue };
        let crystal = Structure { lattice, species: vec![element], frac: vec![[0.0; 3]] };
        let crystal = within_cutoff(crystal, contract.cutoff);
        let at = format!("{element}, angles of {} degrees", angles[0]);
        match alone(subject.model, &crystal) {
            Ok(outputs) => {
                for change in doubled(&crystal) {
                    invariance::compare(subject, &mut worst, &at, 1, &outputs, &change);
                }
            }
            Err(failure) => worst.iter_mut().for_each(|worst| worst.fail(&failure, &at)),
        }
    }
    worst.into_iter().map(|worst| worst.check(name)).collect()
}

/// An atom without neighbours: the host never gives one to a model, and the bare file must not let it disturb the crystal
/// beside it. What the file makes of the atom itself is noted.
fn no_edges(subject: &Subject<'_>) -> Vec<Check> {
    let name = "no edges";
    let contract = subject.model.contract();
    let (Some(cutoff), Some((_, first))) = (contract.cutoff, subject.crystals.first()) else {
        return vec![Check::skipped(name, "", "the model takes no edges, or no crystal is left")];
    };
    let lonely = simple_cubic(first.species[0], 3.0 * cutoff);
    let refused = subject.model.evaluate(&[&lonely], &subject.model.quantities());
    if !matches!(refused[..], [Err(EvaluationError::Isolated { .. })]) {
        return vec![Check::broken(name, "", format!("an atom without neighbours gave {refused:?}"))];
    }
    let itself = match subject.model.evaluate_with_isolated_atoms(&[&lonely]) {
        Ok(rows) if rows.iter().flatten().flatten().all(|x| x.is_finite()) => "the file gives the atom a number".into(),
        Ok(_) => "the file gives the atom no finite number; the host never asks".into(),
        Err(failure) => format!("the file cannot run without any edge ({failure}); the host never asks"),
    };
    let mut worst = Worst::of(subject.ports());
    if !contract.one_at_a_time {
        let rows = subject.model.evaluate_with_isolated_atoms(&[&lonely, first]);
        for (index, worst) in worst.iter_mut().enumerate() {
            match &rows {
                Ok(rows) => worst.compare(&subject.outputs[0][index], &rows[1][index], first.len(), "beside it"),
                Err(failure) => worst.fail(failure, "the crystal beside it"),
            }
        }
    }
    let noted = |check: Check| match check.status {
        Status::Fail => check,
        _ => Check { note: itself.clone(), ..check },
    };
    worst.into_iter().map(|worst| noted(worst.check(name))).collect()
}

/// Crystals with edges and without triplets, alone and beside others.
fn no_triplets(subject: &Subject<'_>) -> Vec<Check> {
    let name = "no triplets";
    let contract = subject.model.contract();
    let triplets = contract.inputs.iter().any(|input| input.kind == InputKind::TripletIndex);
    let (Some(cutoff), Some(triplet), true) = (contract.cutoff, contract.triplet_cutoff, triplets) else {
        return vec![Check::skipped(name, "", "the model takes no triplets")];
    };
    let Some((_, first)) = subject.crystals.first() else { return Vec::new() };
    let element = first.species[0];
    // One edge per atom makes no pair of edges; nor do edges beyond the triplets' cutoff.
    let mut crystals = vec![("two atoms", dimer([element, element], 0.7 * triplet, cutoff))];
    if cutoff > 1.1 * triplet {
        crystals.push(("edges, all beyond the triplets' cutoff", simple_cubic(element, 0.5 * (cutoff + triplet))));
    }
    let mut worst = Worst::of(subject.ports());
    for (title, crystal) in &crystals {
        if contract.one_at_a_time {
            match alone(subject.model, crystal) {
                Ok(own) => worst.iter_mut().zip(&own).for_each(|(worst, x)| worst.compare(x, x, crystal.len(), title)),
                Err(failure) => worst.iter_mut().for_each(|worst| worst.fail(&failure, title)),
            }
        } else {
            beside_others(subject, &mut worst, title, crystal);
        }
    }
    worst.into_iter().map(|worst| worst.check(name)).collect()
}

/// The same crystals again: on a processor to the same bits.
fn determinism(subject: &Subject<'_>) -> Vec<Check> {
    let mut worst = Worst::of(subject.ports());
    for ((title, structure), outputs) in subject.crystals.iter().zip(&subject.outputs) {
        let again = alone(subject.model, structure);
        for (index, worst) in worst.iter_mut().enumerate() {
            match &again {
                Ok(again) => worst.compare(&outputs[index], &again[index], structure.len(), title),
                Err(failure) => worst.fail(failure, title),
            }
        }
    }
    worst.into_iter().map(|worst| worst.check("determinism")).collect()
}

/// Crystals per second, neighbour lists included.
fn throughput(subject: &Subject<'_>) -> Check {
    let name = "throughput";
    let quantities = subject.model.quantities();
    if subject.crystals.is_empty() || quantities.is_empty() {
        return Check::skipped(name, "", "nothing to measure");
    }
    let batch: Vec<&Structure> = subject.crystals.iter().map(|(_, s)| s).cycle().take(AT_ONCE).collect();
    let atoms: usize = batch.iter().map(|structure| structure.len()).sum();
    let start = Instant::now();
    let mut evaluated = 0;
    while start.elapsed() < MEASURED {
        evaluated += subject.model.evaluate(&batch, &quantities).len();
    }
    let rate = evaluated as f64 / start.elapsed().as_secs_f64();
    let note = format!("{:.1} atoms each on average, {}", atoms as f64 / AT_ONCE as f64, quantities.join(", "));
    Check { status: Status::Pass, number: Some(rate), unit: "crystals/s", note, ..Check::skipped(name, "", "") }
}
