//! Crystals to check a model on: textbook structures, and some without any symmetry.

use std::path::Path;

use super::Named;
use super::change::rattled;
use crate::crystal::{
    Element, Lattice, ReadError, Structure, TEXTBOOK, TextbookCrystal, read_structures, smallest_distance,
};
use crate::model::Contract;

/// Crystals that a model is checked on at most, and the most atoms of one.
const MOST_CRYSTALS: usize = 32;
const MOST_ATOMS: usize = 200;
/// Neighbours nearer than this fraction of a model's cutoff: a crystal with longer bonds is shrunk.
const BOND_OF_CUTOFF: f64 = 0.8;

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

fn crystal(entry: &TextbookCrystal, contract: &Contract) -> Option<Named> {
    let elements = entry.elements_of(&known_elements(contract))?;
    let structure = entry.structure(&elements)?;
    let swapped = elements.iter().map(|e| e.symbol()).ne(entry.symbols.iter().copied());
    let list = || elements.iter().map(|e| e.symbol()).collect::<Vec<_>>().join(", ");
    let name = if swapped { format!("{}, with {}", entry.name, list()) } else { entry.name.to_owned() };
    Some((name, within_cutoff(structure, contract.cutoff)))
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
