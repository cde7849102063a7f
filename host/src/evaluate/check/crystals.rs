//! Crystals to check a model on: structures of every textbook, and some without any symmetry.

use std::path::Path;

use super::Named;
use super::change::rattled;
use crate::crystal::{Element, Lattice, ReadError, Structure, read_structures, smallest_distance};
use crate::reward::Contract;

/// Crystals that a model is checked on at most, and the most atoms of one.
const MOST_CRYSTALS: usize = 32;
const MOST_ATOMS: usize = 200;
/// Neighbours nearer than this fraction of a model's cutoff: a crystal with longer bonds is shrunk.
const BOND_OF_CUTOFF: f64 = 0.8;

/// Name, lengths (angstrom), angles (degrees), elements, and the atoms: index of the element and fractional coordinates.
type Entry = (&'static str, [f64; 3], [f64; 3], &'static [&'static str], &'static [(usize, [f64; 3])]);

/// Lattice constants from C. Kittel, Introduction to Solid State Physics, 8th edition, chapter 1, and R. W. G. Wyckoff,
/// Crystal Structures, volumes 1 and 2, rounded. One-atom cells are given as primitive cells.
const TEXTBOOK: [Entry; 10] = [
    ("fcc Al, one atom", [2.864; 3], [60.0; 3], &["Al"], &[(0, [0.0; 3])]),
    ("bcc Fe, one atom", [2.485; 3], [109.4712; 3], &["Fe"], &[(0, [0.0; 3])]),
    (
        "hcp Mg",
        [3.21, 3.21, 5.21],
        [90.0, 90.0, 120.0],
        &["Mg"],
        &[(0, [1.0 / 3.0, 2.0 / 3.0, 0.25]), (0, [2.0 / 3.0, 1.0 / 3.0, 0.75])],
    ),
    ("diamond Si", [3.84; 3], [60.0; 3], &["Si"], &[(0, [0.0; 3]), (0, [0.25; 3])]),
    (
        "rock salt NaCl",
        [5.64; 3],
        [90.0; 3],
        &["Na", "Cl"],
        &[
            (0, [0.0, 0.0, 0.0]),
            (0, [0.0, 0.5, 0.5]),
            (0, [0.5, 0.0, 0.5]),
            (0, [0.5, 0.5, 0.0]),
            (1, [0.5, 0.0, 0.0]),
            (1, [0.5, 0.5, 0.5]),
            (1, [0.0, 0.0, 0.5]),
            (1, [0.0, 0.5, 0.0]),
        ],
    ),
    ("caesium chloride", [4.12; 3], [90.0; 3], &["Cs", "Cl"], &[(0, [0.0; 3]), (1, [0.5; 3])]),
    (
        "perovskite SrTiO3",
        [3.905; 3],
        [90.0; 3],
        &["Sr", "Ti", "O"],
        &[(0, [0.0; 3]), (1, [0.5; 3]), (2, [0.5, 0.5, 0.0]), (2, [0.5, 0.0, 0.5]), (2, [0.0, 0.5, 0.5])],
    ),
    (
        "rutile TiO2",
        [4.594, 4.594, 2.959],
        [90.0; 3],
        &["Ti", "O"],
        &[
            (0, [0.0; 3]),
            (0, [0.5; 3]),
            (1, [0.305, 0.305, 0.0]),
            (1, [0.695, 0.695, 0.0]),
            (1, [0.195, 0.805, 0.5]),
            (1, [0.805, 0.195, 0.5]),
        ],
    ),
    (
        "graphite C",
        [2.461, 2.461, 6.708],
        [90.0, 90.0, 120.0],
        &["C"],
        &[
            (0, [0.0, 0.0, 0.25]),
            (0, [0.0, 0.0, 0.75]),
            (0, [1.0 / 3.0, 2.0 / 3.0, 0.25]),
            (0, [2.0 / 3.0, 1.0 / 3.0, 0.75]),
        ],
    ),
    (
        "triclinic Li2SiO, made up",
        [4.1, 5.3, 6.2],
        [62.0, 83.0, 71.0],
        &["Li", "Si", "O"],
        &[(0, [0.03, 0.11, 0.07]), (0, [0.47, 0.62, 0.13]), (1, [0.21, 0.33, 0.52]), (2, [0.71, 0.09, 0.44])],
    ),
];

/// What a model is checked on.
#[derive(Clone, Debug, Default)]
pub struct Crystals {
    /// The crystals.
    pub named: Vec<Named>,
    /// Others that cannot be used, and why.
    pub set_aside: Vec<String>,
}

impl Crystals {
    /// The built-in crystals, in elements that the model declares and with bonds inside its cutoff; two more are displaced.
    pub fn textbook(contract: &Contract) -> Self {
        let mut named: Vec<Named> = TEXTBOOK.iter().filter_map(|entry| crystal(entry, contract)).collect();
        let displaced =
            |at: usize| named.get(at).map(|(name, structure)| (format!("{name}, displaced"), rattled(structure, 0.08)));
        let more: Vec<Named> = [4, 6].into_iter().filter_map(displaced).collect();
        named.extend(more);
        Self { named, set_aside: Vec::new() }
    }

    /// The first crystals of a file that are small enough.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut crystals = Self::default();
        for record in read_structures(path)? {
            let record = record?;
            match record.structure {
                _ if crystals.named.len() == MOST_CRYSTALS => {
                    crystals
                        .set_aside
                        .push(format!("{} and what follows: {MOST_CRYSTALS} crystals are enough", record.id));
                    break;
                }
                Ok(structure) if structure.len() > MOST_ATOMS => {
                    let atoms = structure.len();
                    crystals.set_aside.push(format!("{}: {atoms} atoms, more than {MOST_ATOMS}", record.id));
                }
                Ok(structure) => crystals.named.push((record.id, structure)),
                Err(error) => crystals.set_aside.push(format!("{} (line {}): {error}", record.id, record.line)),
            }
        }
        Ok(crystals)
    }
}

fn crystal((name, lengths, angles, symbols, atoms): &Entry, contract: &Contract) -> Option<Named> {
    let elements = elements(symbols, contract)?;
    let lattice = Lattice::from_parameters(*lengths, *angles).ok()?;
    let species = atoms.iter().map(|(element, _)| elements[*element]).collect();
    let frac = atoms.iter().map(|(_, r)| *r).collect();
    let structure = Structure::new(lattice, species, frac).ok()?;
    let swapped = elements.iter().map(|e| e.symbol()).ne(symbols.iter().copied());
    let list = || elements.iter().map(|e| e.symbol()).collect::<Vec<_>>().join(", ");
    let name = if swapped { format!("{name}, with {}", list()) } else { (*name).to_owned() };
    Some((name, within_cutoff(structure, contract.cutoff)))
}

/// Each element itself where the model knows it, else one that it knows and that is not taken yet where there is one.
fn elements(symbols: &[&str], contract: &Contract) -> Option<Vec<Element>> {
    let known: Vec<Element> = known_elements(contract);
    let mut chosen: Vec<Element> = Vec::new();
    for symbol in symbols {
        let own = Element::from_symbol(symbol).filter(|element| contract.knows(*element));
        let free = known.iter().copied().find(|element| !chosen.contains(element));
        chosen.push(own.or(free).or(known.first().copied())?);
    }
    Some(chosen)
}

/// Every element that the model declares.
pub(super) fn known_elements(contract: &Contract) -> Vec<Element> {
    (1..=118).filter_map(Element::from_number).filter(|element| contract.knows(*element)).collect()
}

/// The crystal, shrunk if its shortest bond is too long for the model's cutoff.
pub(super) fn within_cutoff(structure: Structure, cutoff: Option<f64>) -> Structure {
    let scale = cutoff.map_or(1.0, |cutoff| (BOND_OF_CUTOFF * cutoff / smallest_distance(&structure)).min(1.0));
    Structure { lattice: Lattice(structure.lattice.0.map(|v| v.map(|x| scale * x))), ..structure }
}

/// A simple cubic crystal of one atom with this spacing, angstrom.
pub(super) fn simple_cubic(element: Element, spacing: f64) -> Structure {
    let lattice = Lattice([[spacing, 0.0, 0.0], [0.0, spacing, 0.0], [0.0, 0.0, spacing]]);
    Structure { lattice, species: vec![element], frac: vec![[0.0; 3]] }
}

/// Two atoms at a distance (angstrom) in a cubic box so wide that no image is within the cutoff.
pub(super) fn dimer(elements: [Element; 2], distance: f64, cutoff: f64) -> Structure {
    let width = 2.0 * cutoff + 2.0 * distance;
    let cubic = simple_cubic(elements[0], width);
    Structure { species: elements.to_vec(), frac: vec![[0.0; 3], [distance / width, 0.0, 0.0]], ..cubic }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bonds_are_as_in_the_textbooks() {
        // Nearest neighbours: Kittel table 9 of chapter 1 (Al 2.86, Fe 2.48, Mg 3.20, Si 2.35 A); half of a in rock salt and
        // perovskite; sqrt(3)/2 of a in caesium chloride; 1.95 A in rutile; 1.42 A in graphite.
        let bonds = [2.86, 2.485, 3.20, 2.35, 2.82, 3.57, 1.95, 1.95, 1.42];
        for (entry, bond) in TEXTBOOK.iter().zip(bonds) {
            let lattice = Lattice::from_parameters(entry.1, entry.2).unwrap();
            let species = vec![Element::from_symbol("H").unwrap(); entry.4.len()];
            let structure = Structure::new(lattice, species, entry.4.iter().map(|(_, r)| *r).collect()).unwrap();
            let found = smallest_distance(&structure);
            assert!((found - bond).abs() < 0.01, "{}: {found} instead of {bond}", entry.0);
        }
    }
}
