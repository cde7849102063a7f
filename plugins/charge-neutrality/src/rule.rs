//! The rule.

use std::collections::HashSet;

use crate::Tables;
use crate::smact::{ELECTRONEGATIVITIES, METALS, STATES_2_2_1, STATES_3_2_0, ZIRCONIUM_2_2_1};

const ZIRCONIUM: u8 = 40;

/// Why the rule says nothing of a composition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// An element without known oxidation states.
    #[error("SMACT's tables have no oxidation state of the element with the atomic number {0}")]
    Element(u8),
    /// There is nothing to judge.
    #[error("there are no atoms")]
    NoAtoms,
    /// No charge is left over because none can be assigned, as in an oxide of fluorine, which would need a cation.
    #[error("the rule allows no oxidation states of these elements beside each other")]
    NoStates,
}

/// An element of a composition, with what the rule needs of it.
struct Ion {
    /// Atoms in the reduced formula.
    count: i64,
    /// Oxidation states that it may have.
    states: &'static [i64],
    /// Pauling's, where there is one.
    electronegativity: Option<f64>,
}

/// Whether every element can have an oxidation state, one per element, so that the charges cancel and every cation is less
/// electronegative than every anion. Elements and alloys of metals alone pass. Takes atomic numbers, each once, and how many
/// atoms of them there are, in any unit.
///
/// # Errors
/// [`Undecided`], but never [`Undecided::NoStates`]: what cannot be assigned cannot cancel.
pub fn charge_neutral(atoms: &[(u8, u32)], tables: Tables) -> Result<bool, Undecided> {
    Ok(left_over(atoms, tables)? == Some(0.0))
}

/// The least charge per atom (e, without its sign) that oxidation states leave over, chosen as [`charge_neutral`] chooses them: 0
/// for what that lets pass.
///
/// # Errors
/// [`Undecided`].
pub fn imbalance(atoms: &[(u8, u32)], tables: Tables) -> Result<f64, Undecided> {
    left_over(atoms, tables)?.ok_or(Undecided::NoStates)
}

/// The least charge per atom; nothing where no choice of states is allowed.
fn left_over(atoms: &[(u8, u32)], tables: Tables) -> Result<Option<f64>, Undecided> {
    let mut atoms: Vec<(u8, u32)> = atoms.iter().copied().filter(|(_, count)| *count > 0).collect();
    atoms.sort_unstable();
    let is_known = |number: u8| (1..=ELECTRONEGATIVITIES.len()).contains(&usize::from(number));
    if let Some((number, _)) = atoms.iter().find(|(number, _)| !is_known(*number)) {
        return Err(Undecided::Element(*number));
    }
    match atoms.len() {
        0 => return Err(Undecided::NoAtoms),
        1 => return Ok(Some(0.0)),
        _ if atoms.iter().all(|(number, _)| METALS.contains(number)) => return Ok(Some(0.0)),
        _ => (),
    }
    let ions = atoms.iter().map(|(number, count)| ion(*number, *count, tables).ok_or(Undecided::Element(*number)));
    let ions = reduced(ions.collect::<Result<_, _>>()?);
    let least = match ions.iter().position(|ion| ion.electronegativity.is_none()) {
        Some(first) => least_beside_unknown(&ions, first),
        None => least_by_pauling(&ions),
    };
    let total: i64 = ions.iter().map(|ion| ion.count).sum();
    Ok(least.map(|charge| charge as f64 / total as f64))
}

fn ion(number: u8, count: u32, tables: Tables) -> Option<Ion> {
    let place = usize::from(number) - 1;
    let (states, electronegativity) = match tables {
        Tables::Smact2 if number == ZIRCONIUM => (STATES_2_2_1[place], ZIRCONIUM_2_2_1),
        Tables::Smact2 => (STATES_2_2_1[place], ELECTRONEGATIVITIES[place]),
        Tables::Smact3 => (STATES_3_2_0[place]?, ELECTRONEGATIVITIES[place]),
    };
    let electronegativity = (electronegativity > 0.0).then_some(electronegativity);
    Some(Ion { count: i64::from(count), states, electronegativity })
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
fn least_by_pauling(ions: &[Ion]) -> Option<i64> {
    let borders = ions.iter().filter_map(|ion| ion.electronegativity);
    borders
        .filter_map(|border| least(ions, |place, state| (state > 0) == (ions[place].electronegativity <= Some(border))))
        .min()
}

/// SMACT compares the elements pair by pair, in ascending atomic number, and ends at the first pair that lacks an
/// electronegativity: opposite charges there pass, equal ones do not. All such pairs up to that one have the first element
/// in common, so only its charge constrains the others.
fn least_beside_unknown(ions: &[Ion], first: usize) -> Option<i64> {
    let decisive = first.max(1);
    let choices = [1, -1].into_iter().filter_map(|sign| {
        least(ions, |place, state| match place {
            0 => state.signum() == sign,
            _ if place == decisive => state.signum() == -sign,
            _ if place < decisive && state.signum() == -sign => {
                let (one, other) = (ions[0].electronegativity, ions[place].electronegativity);
                if sign > 0 { one < other } else { one > other }
            }
            _ => true,
        })
    });
    choices.min()
}

/// The least that allowed states, one per ion and each times its count, can sum to, without its sign.
fn least(ions: &[Ion], allowed: impl Fn(usize, i64) -> bool) -> Option<i64> {
    let mut sums = HashSet::from([0]);
    for (place, ion) in ions.iter().enumerate() {
        let states: Vec<i64> = ion.states.iter().copied().filter(|state| allowed(place, *state)).collect();
        sums = sums.iter().flat_map(|sum| states.iter().map(move |state| sum + state * ion.count)).collect();
    }
    sums.into_iter().map(i64::abs).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYMBOLS: [(&str, u8); 20] = [
        ("H", 1),
        ("He", 2),
        ("Li", 3),
        ("N", 7),
        ("O", 8),
        ("F", 9),
        ("Na", 11),
        ("Si", 14),
        ("P", 15),
        ("Cl", 17),
        ("Fe", 26),
        ("Cu", 29),
        ("Zn", 30),
        ("Pm", 61),
        ("Hg", 80),
        ("Pb", 82),
        ("Po", 84),
        ("At", 85),
        ("Rn", 86),
        ("Rf", 104),
    ];

    /// A formula such as `Fe 2 O 3`.
    fn atoms(formula: &str) -> Vec<(u8, u32)> {
        let words: Vec<&str> = formula.split_whitespace().collect();
        let number = |symbol: &str| SYMBOLS.iter().find(|(known, _)| *known == symbol).unwrap().1;
        words.chunks(2).map(|pair| (number(pair[0]), pair[1].parse().unwrap())).collect()
    }

    fn neutral(formula: &str, tables: Tables) -> Result<bool, Undecided> {
        charge_neutral(&atoms(formula), tables)
    }

    #[test]
    fn salts_alloys_and_elements() {
        for tables in [Tables::Smact2, Tables::Smact3] {
            for formula in ["Na 1 Cl 1", "Fe 2 O 3", "Fe 3 O 4 N 1", "Li 1 Fe 1 P 1 O 4", "Cu 1 Zn 1", "Si 1", "O 2"] {
                assert_eq!(neutral(formula, tables), Ok(true), "{formula}");
            }
            for formula in ["Na 1 Cl 2", "Na 1 O 5", "Li 1 F 7"] {
                assert_eq!(neutral(formula, tables), Ok(false), "{formula}");
            }
            assert_eq!(neutral("Rf 1 O 2", tables), Err(Undecided::Element(104)));
            assert_eq!(neutral("", tables), Err(Undecided::NoAtoms));
        }
        // One oxidation state per element: SMACT knows no mixed valence.
        assert_eq!(neutral("Fe 3 O 4", Tables::Smact3), Ok(false));
        // Helium has an empty list in one version and none in the other.
        assert_eq!(neutral("He 1 O 1", Tables::Smact2), Ok(false));
        assert_eq!(neutral("He 1 O 1", Tables::Smact3), Err(Undecided::Element(2)));
    }

    /// Verdicts of SMACT 2.2.1's own comparison, which depends on the order of elements where one has no electronegativity.
    #[test]
    fn elements_without_electronegativity_are_judged_as_version_2_does() {
        for formula in [
            "Pm 2 O 3",
            "Fe 1 Pm 1 O 3",
            "Pm 1 H 1 O 2",
            "Pm 1 F 2 Cl 1",
            "Si 1 Pb 1 Pm 1",
            "Pm 1 At 3",
            "Rn 1 F 2",
            "Pm 2 Po 3 Rn 1",
            "Pm 1 N 1 O 1 F 1",
        ] {
            assert_eq!(neutral(formula, Tables::Smact2), Ok(true), "{formula}");
        }
        for formula in ["Pm 1 Hg 1 At 1", "He 1 O 1"] {
            assert_eq!(neutral(formula, Tables::Smact2), Ok(false), "{formula}");
        }
    }

    /// By hand.
    #[test]
    fn charges_that_are_left_over() {
        let left = |formula: &str| imbalance(&atoms(formula), Tables::Smact3);
        // Iron +3 and oxygen -2: nine charges against eight, on seven atoms. Twice the cell is the same.
        assert_eq!(left("Fe 3 O 4"), Ok(1.0 / 7.0));
        assert_eq!(left("Fe 6 O 8"), Ok(1.0 / 7.0));
        assert_eq!(left("Na 1 Cl 2"), Ok(1.0 / 3.0));
        assert_eq!(left("O 2 Li 1"), Ok(1.0 / 3.0));
        assert_eq!((left("Na 1 Cl 1"), left("Cu 1 Zn 1")), (Ok(0.0), Ok(0.0)));
        // Neither oxygen nor fluorine may be positive in version 3, but oxygen in version 2.
        assert_eq!(left("O 1 F 2"), Err(Undecided::NoStates));
        assert_eq!(imbalance(&atoms("O 1 F 2"), Tables::Smact2), Ok(0.0));
    }

    #[test]
    fn absurd_counts_do_no_harm() {
        assert_eq!(imbalance(&[(11, u32::MAX), (17, 1)], Tables::Smact3), Ok(4_294_967_294.0 / 4_294_967_296.0));
    }
}
