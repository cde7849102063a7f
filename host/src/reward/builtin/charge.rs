//! Whether a composition can be charge neutral: the rule of SMACT (Davies et al., J. Open Source Softw. 4, 1361 (2019)) as
//! CDVAE applies it to generated crystals (Xie et al., arXiv 2110.06197, appendix).

use std::collections::HashSet;

use super::smact::{ELECTRONEGATIVITIES, METALS, STATES_2_2_1, STATES_3_2_0, ZIRCONIUM_2_2_1};
use crate::crystal::{Composition, Element};

/// Whose tables decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Smact {
    /// Version 2.2.1, by which most published validities were computed.
    V2,
    /// Version 3.2.0, with revised oxidation states.
    #[default]
    V3,
}

/// An element of a composition, with what the rule needs of it.
struct Ion {
    /// Atoms in the reduced formula.
    count: i64,
    /// Oxidation states that it may have.
    states: Vec<i64>,
    /// Pauling's, where there is one.
    electronegativity: Option<f64>,
}

/// Whether every element can have an oxidation state, one per element, so that the charges cancel and every cation is less
/// electronegative than every anion. Elements and alloys of metals alone pass.
///
/// # Errors
/// The element that the tables know no oxidation state of: about it the rule says nothing.
pub(super) fn charge_neutral(composition: &Composition, version: Smact) -> Result<bool, Element> {
    let known = usize::from;
    if let Some(element) = composition.elements().find(|e| known(e.number()) > ELECTRONEGATIVITIES.len()) {
        return Err(element);
    }
    if composition.elements().len() == 1 || composition.elements().all(|e| METALS.contains(&e.number())) {
        return Ok(true);
    }
    let ions = composition.amounts().iter().map(|(e, amount)| ion(*e, *amount, version).ok_or(*e));
    let ions = reduced(ions.collect::<Result<_, _>>()?);
    Ok(match ions.iter().position(|ion| ion.electronegativity.is_none()) {
        Some(first) => neutral_beside_unknown(&ions, first),
        None => neutral_by_pauling(&ions),
    })
}

fn ion(element: Element, amount: f64, version: Smact) -> Option<Ion> {
    let place = usize::from(element.number()) - 1;
    let (states, electronegativity) = match version {
        Smact::V2 if element.symbol() == "Zr" => (STATES_2_2_1[place], ZIRCONIUM_2_2_1),
        Smact::V2 => (STATES_2_2_1[place], ELECTRONEGATIVITIES[place]),
        Smact::V3 => (STATES_3_2_0[place]?, ELECTRONEGATIVITIES[place]),
    };
    let electronegativity = (electronegativity > 0.0).then_some(electronegativity);
    Some(Ion { count: amount.round() as i64, states: states.to_vec(), electronegativity })
}

/// The same with counts divided by their common factor.
fn reduced(mut ions: Vec<Ion>) -> Vec<Ion> {
    let gcd = |mut a: i64, mut b: i64| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let factor = ions.iter().fold(0, |factor, ion| gcd(factor, ion.count)).max(1);
    ions.iter_mut().for_each(|ion| ion.count /= factor);
    ions
}

/// Cations below some electronegativity, anions above it: trying every border between the two tries every allowed choice.
fn neutral_by_pauling(ions: &[Ion]) -> bool {
    let borders = ions.iter().filter_map(|ion| ion.electronegativity);
    borders
        .into_iter()
        .any(|border| cancel(ions, |place, state| (state > 0) == (ions[place].electronegativity <= Some(border))))
}

/// SMACT compares the elements pair by pair, in ascending atomic number, and ends at the first pair that lacks an
/// electronegativity: opposite charges there pass, equal ones do not. All such pairs up to that one have the first element
/// in common, so only its charge constrains the others.
fn neutral_beside_unknown(ions: &[Ion], first: usize) -> bool {
    let decisive = first.max(1);
    [1, -1].into_iter().any(|sign| {
        cancel(ions, |place, state| match place {
            0 => state.signum() == sign,
            _ if place == decisive => state.signum() == -sign,
            _ if place < decisive && state.signum() == -sign => {
                let (one, other) = (ions[0].electronegativity, ions[place].electronegativity);
                if sign > 0 { one < other } else { one > other }
            }
            _ => true,
        })
    })
}

/// Whether one allowed state per ion, each times its count, can sum to zero.
fn cancel(ions: &[Ion], allowed: impl Fn(usize, i64) -> bool) -> bool {
    let mut sums = HashSet::from([0]);
    for (place, ion) in ions.iter().enumerate() {
        let states: Vec<i64> = ion.states.iter().copied().filter(|state| allowed(place, *state)).collect();
        sums = sums.iter().flat_map(|sum| states.iter().map(move |state| sum + state * ion.count)).collect();
    }
    sums.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reward::testing::{json_lines, shared};

    fn neutral(formula: &str, version: Smact) -> Result<bool, Element> {
        charge_neutral(&formula.parse().unwrap(), version)
    }

    #[test]
    fn salts_alloys_and_elements() {
        for version in [Smact::V2, Smact::V3] {
            for formula in ["NaCl", "Fe2O3", "Fe3O4N", "LiFePO4", "CuZn", "Si", "O2"] {
                assert_eq!(neutral(formula, version), Ok(true), "{formula}");
            }
            for formula in ["NaCl2", "NaO5", "LiF7"] {
                assert_eq!(neutral(formula, version), Ok(false), "{formula}");
            }
            assert!(neutral("RfO2", version).is_err());
        }
        // One oxidation state per element: SMACT knows no mixed valence.
        assert_eq!(neutral("Fe3O4", Smact::V3), Ok(false));
        // Helium has an empty list in one version and none in the other.
        assert_eq!(neutral("HeO", Smact::V2), Ok(false));
        assert_eq!(neutral("HeO", Smact::V3).unwrap_err().symbol(), "He");
    }

    /// Verdicts of SMACT 2.2.1's own comparison, which depends on the order of elements where one has no electronegativity.
    #[test]
    fn elements_without_electronegativity_are_judged_as_version_2_does() {
        for formula in ["Pm2O3", "FePmO3", "PmHO2", "PmF2Cl", "SiPbPm", "PmAt3", "RnF2", "Pm2Po3Rn", "PmNOF"] {
            assert_eq!(neutral(formula, Smact::V2), Ok(true), "{formula}");
        }
        for formula in ["PmHgAt", "HeO"] {
            assert_eq!(neutral(formula, Smact::V2), Ok(false), "{formula}");
        }
    }

    #[test]
    fn verdicts_equal_those_of_both_versions() {
        let Some(shared) = shared() else { return };
        let rows = json_lines(&shared.join("golden/validity.dev.jsonl"));
        assert!(rows.len() >= 250);
        for row in rows {
            let symbols: Vec<String> = serde_json::from_value(row["symbols"].clone()).unwrap();
            let counts: Vec<f64> = serde_json::from_value(row["counts"].clone()).unwrap();
            let elements = symbols.iter().map(|s| Element::from_symbol(s).unwrap());
            let composition = Composition::new(elements.zip(counts)).unwrap();
            for (version, key) in [(Smact::V2, "comp_valid_smact_2.2.1"), (Smact::V3, "comp_valid_smact_3.2.0")] {
                let verdict = charge_neutral(&composition, version).ok();
                assert_eq!(verdict, row[key].as_bool(), "{composition}, {key}");
            }
        }
    }
}
