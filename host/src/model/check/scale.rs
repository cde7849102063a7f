//! The energies of the check's crystals beside what their elements suggest, so that another unit or zero is seen.

use super::ModelUnderTest;
use crate::conformance::CheckResult;
use crate::crystal::Structure;
use crate::model::OutputKind;

const NAME: &str = "energy scale";

/// Energies of the elements by atomic number, from hydrogen on, eV/atom: the references of the hull that ships (CHGNet 0.3.0 and, where
/// it had no structure, the Materials Project, CC BY 4.0), rounded. NaN where there is none.
const ELEMENTS: [f64; 94] = [
    -3.4,
    -0.0,
    -1.9,
    -3.7,
    -6.5,
    -9.2,
    -8.3,
    -4.9,
    -1.9,
    -0.0,
    -1.3,
    -1.6,
    -3.7,
    -5.4,
    -5.4,
    -4.2,
    -1.9,
    -0.1,
    -1.1,
    -2.0, //
    -6.3,
    -7.9,
    -9.1,
    -9.5,
    -9.2,
    -8.5,
    -7.1,
    -5.8,
    -4.1,
    -1.3,
    -3.0,
    -4.5,
    -4.7,
    -3.5,
    -1.6,
    -0.1,
    -1.0,
    -1.7,
    -6.5,
    -8.5, //
    -10.1,
    -10.8,
    -10.3,
    -9.3,
    -7.4,
    -5.2,
    -2.8,
    -0.9,
    -2.7,
    -4.0,
    -4.1,
    -3.1,
    -1.5,
    -0.0,
    -0.9,
    -1.9,
    -4.9,
    -5.9,
    -4.8, //
    -4.7,
    -4.8,
    -4.7,
    -10.3,
    -14.1,
    -4.6,
    -4.6,
    -4.6,
    -4.5,
    -4.5,
    -1.5,
    -4.5,
    -10.0,
    -11.8,
    -13.0,
    -12.4,
    -11.2,
    -8.8, //
    -6.1,
    -3.2,
    -0.3,
    -2.4,
    -3.7,
    -3.8,
    f64::NAN,
    f64::NAN,
    f64::NAN,
    f64::NAN,
    f64::NAN,
    -4.1,
    -7.4,
    -9.5,
    -11.3,
    -12.9, //
    -14.2,
];

/// Units that energies are taken for eV in, and how many of them make an eV.
const UNITS: [(&str, f64); 5] =
    [("kcal/mol", 23.060_5), ("kJ/mol", 96.485_3), ("Ha", 1.0 / 27.211_4), ("Ry", 1.0 / 13.605_7), ("meV", 1000.0)];

/// A slope is that of a unit if it is within this factor of it.
const ALIKE: f64 = 1.35;
/// The least correlation of energies with those of the elements for their slope to mean something.
const CORRELATION: f64 = 0.9;
/// Crystals that are listed.
const LISTED: usize = 4;

/// Energies per atom, which pass whatever they are: the zero of energy is the model's own affair.
pub(super) fn checks(tested: &ModelUnderTest<'_>) -> Vec<CheckResult> {
    let energy = |port: &crate::model::ModelOutput| matches!(port.kind, OutputKind::Energy | OutputKind::EnergyPerAtom);
    let Some(place) = tested.ports().iter().position(energy) else { return Vec::new() };
    let rows: Vec<(&str, f64, f64)> = tested
        .crystals
        .iter()
        .zip(&tested.outputs)
        .filter_map(|((name, structure), outputs)| {
            let found = outputs.get(place)?.first()? / structure.len() as f64;
            suggested(structure).map(|suggested| (name.as_str(), found, suggested))
        })
        .collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let list = rows.iter().take(LISTED).map(|(name, found, suggested)| format!("{name} {found:.2} ({suggested:.1})"));
    let mut note = format!("eV/atom, and in brackets the elements in PBE: {}", list.collect::<Vec<_>>().join(", "));
    if let Some(unit) = looks_like(&rows) {
        note.push_str(&format!("; this looks like {unit}: see unit.energy"));
    }
    vec![CheckResult::passed(NAME, note).of(&tested.ports()[place].quantity)]
}

/// The mean energy of a crystal's elements, eV/atom.
fn suggested(structure: &Structure) -> Option<f64> {
    let of = |number: u8| ELEMENTS.get(usize::from(number).checked_sub(1)?).copied().filter(|x| !x.is_nan());
    let energies: Option<Vec<f64>> = structure.species.iter().map(|element| of(element.number())).collect();
    energies.map(|energies| energies.iter().sum::<f64>() / structure.len() as f64)
}

/// The unit that energies seem to be in, if they follow those of the elements with another slope than 1.
fn looks_like(rows: &[(&str, f64, f64)]) -> Option<&'static str> {
    let n = rows.len() as f64;
    let mean = |of: &dyn Fn(&(&str, f64, f64)) -> f64| rows.iter().map(of).sum::<f64>() / n;
    let (y, x) = (mean(&|row| row.1), mean(&|row| row.2));
    let (xy, xx, yy) =
        (mean(&|row| (row.1 - y) * (row.2 - x)), mean(&|row| (row.2 - x).powi(2)), mean(&|row| (row.1 - y).powi(2)));
    if xy < CORRELATION * (xx * yy).sqrt() || xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    UNITS.iter().find(|(_, per)| (slope / per).ln().abs() < ALIKE.ln()).map(|(unit, _)| *unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_unit_is_seen_and_another_zero_is_not_taken_for_one() {
        let references = [-3.7, -8.5, -5.4, -1.6, -4.1, -9.2, -1.6];
        let looks = |energy: &dyn Fn(f64) -> f64| {
            let rows: Vec<(&str, f64, f64)> = references.iter().map(|x| ("", energy(*x), *x)).collect();
            looks_like(&rows)
        };
        assert_eq!(looks(&|x| x - 0.3), None);
        assert_eq!(looks(&|x| x - 1000.0), None);
        assert_eq!(looks(&|x| 23.06 * (x - 0.4)), Some("kcal/mol"));
        assert_eq!(looks(&|x| 96.49 * x), Some("kJ/mol"));
        assert_eq!(looks(&|x| x / 27.21), Some("Ha"));
        // Cohesion of no kind.
        assert_eq!(looks(&|x| 23.0 * (10.0 * x).sin()), None);
        assert_eq!(looks(&|_| 1.0), None);
    }
}
