//! The sum of the corrections, and the rule as a plugin's hull correction.

use serde::Deserialize;
use temper_plugin_api::{Batch, Crystal, HullCorrection, Outcome, Properties, Result};

use crate::{Adjustment, Entry, Incompatible, Known, Run, Structure, adjustments};

/// Elements that there are.
const ELEMENTS: std::ops::RangeInclusive<u8> = 1..=118;

/// All corrections of an energy together, eV per cell.
///
/// # Errors
/// As [`adjustments`].
pub fn correction(entry: &Entry<'_>) -> std::result::Result<f64, Incompatible> {
    let found = adjustments(entry)?;
    // An empty sum of floats is -0, which would stand in tables.
    Ok(found.iter().map(Adjustment::value).fold(0.0, |total, value| total + value))
}

/// The same as CrystalFormer's reinforcement fine-tuning applies it, for comparison only: it knows nothing but the structure, and
/// gives a run type only to what has a U, so that GGA energies stay uncorrected.
///
/// # Errors
/// As [`adjustments`].
pub fn correction_as_crystalformer(structure: Structure<'_>) -> std::result::Result<f64, Incompatible> {
    let run = Run::of_relaxation_set(&structure.composition());
    if run.run_type.as_deref() == Some("GGA+U") { of_structure(structure, &run) } else { Ok(0.0) }
}

fn of_structure(structure: Structure<'_>, run: &Run) -> std::result::Result<f64, Incompatible> {
    let (composition, known) = (structure.composition(), Known::default());
    correction(&Entry { composition: &composition, structure: Some(structure), run, known: &known })
}

/// What the user writes under `config`.
#[derive(Clone, Copy, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// As CrystalFormer's reinforcement fine-tuning applies the rule, for comparison only: GGA energies stay uncorrected.
    pub as_crystalformer: bool,
}

/// From `PBE` to `MP2020`, for energies computed as the Materials Project's relaxation set prescribes. An energy that the rule
/// cannot bring to the scale is a failure with the rule's reason.
pub struct Mp2020(Config);

impl HullCorrection for Mp2020 {
    type Config = Config;

    /// Where two elements are equally electronegative, the later in the cell counts as the anion.
    fn properties() -> Properties {
        Properties::new("eV").scales("PBE", "MP2020").elements(ELEMENTS).not_permutation_invariant()
    }

    fn new(config: Config) -> Result<Self> {
        Ok(Self(config))
    }

    fn correct(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        Ok(batch.crystals().map(|crystal| self.of(&crystal)).collect())
    }
}

impl Mp2020 {
    fn of(&self, crystal: &Crystal<'_>) -> Outcome {
        if let Some(number) = crystal.atomic_numbers.iter().find(|number| !ELEMENTS.contains(number)) {
            return Outcome::failed(format!("no element has the atomic number {number}"));
        }
        // Whether oxygens are near each other would be answered by no.
        if crystal.fractional.as_flattened().iter().any(|x| !x.is_finite()) {
            return Outcome::failed("a coordinate is not finite");
        }
        let structure = Structure {
            lattice: *crystal.lattice,
            atomic_numbers: crystal.atomic_numbers,
            frac_coords: crystal.fractional,
        };
        let value = if self.0.as_crystalformer {
            correction_as_crystalformer(structure)
        } else {
            of_structure(structure, &Run::of_relaxation_set(&structure.composition()))
        };
        value.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use temper_plugin_api::Crystals;

    /// Rock salt's structure, primitive.
    fn push_rock_salt(crystals: &mut Crystals, length: f64, numbers: [u8; 2]) {
        let half = length / 2.0;
        let lattice = [[0.0, half, half], [half, 0.0, half], [half, half, 0.0]];
        crystals.push(&lattice, &numbers, &[[0.0; 3], [0.5; 3]]);
    }

    fn corrections(as_crystalformer: bool, crystals: &Crystals) -> Vec<Outcome> {
        Mp2020::new(Config { as_crystalformer }).unwrap().correct(&crystals.batch()).unwrap()
    }

    #[test]
    fn corrections_of_rock_salts() {
        let mut crystals = Crystals::default();
        push_rock_salt(&mut crystals, 4.3, [26, 8]);
        push_rock_salt(&mut crystals, 5.64, [11, 17]);
        push_rock_salt(&mut crystals, 4.0, [29, 29]);
        let near = |found: Vec<Outcome>, expected: [f64; 3]| {
            let close = |(one, other): (&Outcome, f64)| matches!(one, Outcome::Value(v) if (v - other).abs() < 1e-12);
            assert!(found.iter().zip(expected).all(close), "{found:?}");
        };
        // By hand, from the paper's table: oxide -0.687 and iron -2.256; chloride -0.614; none for an element.
        near(corrections(false, &crystals), [-2.943, -0.614, 0.0]);
        near(corrections(true, &crystals), [-2.943, 0.0, 0.0]);
    }

    #[test]
    fn what_the_rule_cannot_correct_fails_with_its_reason() {
        let mut crystals = Crystals::default();
        push_rock_salt(&mut crystals, 4.3, [119, 8]);
        crystals.push(&[[0.0; 3]; 3], &[8, 11], &[[0.0; 3], [0.5; 3]]);
        crystals.push(&[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]], &[8, 11], &[[0.0; 3], [f64::NAN; 3]]);
        let flat = Incompatible::Cell.to_string();
        for as_crystalformer in [false, true] {
            let found = corrections(as_crystalformer, &crystals);
            assert_eq!(found[0], Outcome::failed("no element has the atomic number 119"));
            assert_eq!(found[2], Outcome::failed("a coordinate is not finite"));
            assert_eq!(found[1], if as_crystalformer { Outcome::Value(0.0) } else { Outcome::failed(&flat) });
        }
    }
}
