//! Energies and forces of the potential that ships.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use temper::crystal::Structure;
use temper::model::ForceModel;

use super::crystals::runtime;
use super::measure::Effort;
use super::rewards::{FORCE_TOLERANCE, Reference, TOLERANCE, crystals, potential};

/// Against PyTorch's CHGNet, where its values are at hand; else only whether there is a result.
pub fn golden(effort: Effort) -> Value {
    let (on, crystals) = crystals(effort);
    let structures: Vec<&Structure> = crystals.iter().map(|(structure, _)| structure).collect();
    let model = potential();
    let energies = model.evaluate(&structures, &["energy"]);
    let forces = ForceModel::new(&runtime(), Arc::new(model), None).map(|model| model.evaluate(&structures, &[]));
    let (mut failed, mut reasons) = ([0, 0], BTreeSet::new());
    let (mut worst_energy, mut worst_force) = (0.0_f64, 0.0_f64);
    for ((structure, expected), energy) in crystals.iter().zip(energies) {
        match energy {
            Ok(energy) => {
                let expected = expected.as_ref().map_or(energy[0], |e| e.energy);
                worst_energy = worst_energy.max((energy[0] - expected).abs() / structure.len() as f64);
            }
            Err(error) => _ = (failed[0] += 1, reasons.insert(error.to_string())),
        }
    }
    match forces {
        Ok(rows) => {
            for ((_, expected), row) in crystals.iter().zip(rows) {
                match row {
                    Ok((_, found)) => worst_force = worst_force.max(relative(&found.forces, expected.as_ref())),
                    Err(error) => _ = (failed[1] += 1, reasons.insert(error.to_string())),
                }
            }
        }
        Err(error) => _ = (failed[1] = crystals.len(), reasons.insert(error.to_string())),
    }
    let reasons: Vec<String> = reasons.into_iter().take(5).collect();
    let ok = failed == [0, 0] && worst_energy < TOLERANCE && worst_force < FORCE_TOLERANCE;
    json!({
        "ok": ok, "on": on, "crystals": structures.len(), "without_energy": failed[0], "without_forces": failed[1],
        "worst_energy_ev_per_atom": worst_energy, "worst_force_relative": worst_force, "reasons": reasons,
    })
}

/// Largest deviation of a force component, of 1 + the largest force.
fn relative(found: &[[f64; 3]], expected: Option<&Reference>) -> f64 {
    let expected = expected.map_or(found, |reference| &reference.forces);
    let largest = found.as_flattened().iter().fold(0.0_f64, |largest, x| largest.max(x.abs()));
    let pairs = found.as_flattened().iter().zip(expected.as_flattened());
    pairs.map(|(found, expected)| (found - expected).abs()).fold(0.0, f64::max) / (1.0 + largest)
}
