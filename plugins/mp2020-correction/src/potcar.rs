//! The pseudopotentials of the Materials Project's relaxation set: the POTCAR table of pymatgen's `MPRelaxSet.yaml` (MIT licence).

use std::collections::BTreeSet;

use crate::Incompatible;
use crate::elements::symbol;

/// What follows an element's symbol in the name of its pseudopotential, and the elements with it; others have none.
const SUFFIXES: [(&str, &[u8]); 6] = [
    (
        "",
        &[
            1, 2, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17, 18, 27, 30, 33, 34, 35, 36, 46, 47, 48, 51, 52, 53, 54, 57,
            58, 63, 64, 77, 78, 79, 80, 83, 89, 90, 91, 92, 93, 94,
        ],
    ),
    ("_d", &[31, 32, 49, 50, 81, 82]),
    ("_pv", &[11, 12, 22, 23, 24, 25, 26, 28, 29, 41, 42, 43, 44, 45, 72, 73, 74, 75, 76]),
    ("_sv", &[3, 4, 19, 20, 21, 37, 38, 39, 40, 55, 56]),
    ("_2", &[70]),
    ("_3", &[59, 60, 61, 62, 65, 66, 67, 68, 69, 71]),
];

/// The name of an element's pseudopotential, if the set has one.
fn potcar(element: u8) -> Option<String> {
    let (suffix, _) = SUFFIXES.iter().find(|(_, elements)| elements.contains(&element))?;
    Some(format!("{}{suffix}", symbol(element)))
}

/// Refuses pseudopotentials that are not the set's for exactly the elements of a composition.
pub(crate) fn check(composition: &[(u8, f64)], symbols: &[String]) -> Result<(), Incompatible> {
    let expected: BTreeSet<String> = composition
        .iter()
        .map(|(element, _)| potcar(*element).unwrap_or_else(|| format!("none for {}", symbol(*element))))
        .collect();
    let found: BTreeSet<String> = symbols.iter().cloned().collect();
    let list = |names: BTreeSet<String>| names.into_iter().collect::<Vec<_>>().join(", ");
    if found == expected { Ok(()) } else { Err(Incompatible::Potcar { found: list(found), expected: list(expected) }) }
}
