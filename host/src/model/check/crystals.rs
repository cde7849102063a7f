//! Crystals to check a model on: structures of every textbook, and some without any symmetry.

use super::change::rattled;
use crate::conformance::{CheckCrystals, NamedCrystal};
use crate::crystal::{Element, Lattice, Structure, TEXTBOOK, TextbookCrystal, smallest_distance};
use crate::model::Contract;

/// Neighbours nearer than this fraction of a model's cutoff: a crystal with longer bonds is shrunk.
const BOND_OF_CUTOFF: f64 = 0.8;

/// The built-in crystals, in elements that the model declares and with bonds inside its cutoff; two more are displaced.
pub fn textbook_crystals(contract: &Contract) -> CheckCrystals {
    let mut named: Vec<NamedCrystal> = TEXTBOOK.iter().filter_map(|entry| crystal(entry, contract)).collect();
    let displaced =
        |at: usize| named.get(at).map(|(name, structure)| (format!("{name}, displaced"), rattled(structure, 0.08)));
    let more: Vec<NamedCrystal> = [4, 6].into_iter().filter_map(displaced).collect();
    named.extend(more);
    CheckCrystals { named, set_aside: Vec::new() }
}

fn crystal(entry: &TextbookCrystal, contract: &Contract) -> Option<NamedCrystal> {
    let elements = entry.elements_of(&known_elements(contract))?;
    let structure = entry.structure(&elements)?;
    let swapped = elements.iter().map(|e| e.symbol()).ne(entry.symbols.iter().copied());
    let list = || elements.iter().map(|e| e.symbol()).collect::<Vec<_>>().join(", ");
    let name = if swapped { format!("{}, with {}", entry.name, list()) } else { entry.name.to_owned() };
    Some((name, within_cutoff(structure, contract.cutoff)))
}

/// Every element that the model declares.
pub(in crate::model) fn known_elements(contract: &Contract) -> Vec<Element> {
    (1..=118).filter_map(Element::from_number).filter(|element| contract.knows(*element)).collect()
}

/// The crystal, shrunk if its shortest bond is too long for the model's cutoff.
pub(super) fn within_cutoff(structure: Structure, cutoff: Option<f64>) -> Structure {
    let scale = cutoff.map_or(1.0, |cutoff| (BOND_OF_CUTOFF * cutoff / smallest_distance(&structure)).min(1.0));
    Structure { lattice: Lattice(structure.lattice.0.map(|v| v.map(|x| scale * x))), ..structure }
}

/// A simple cubic crystal of one atom with this spacing, angstrom.
pub(in crate::model) fn simple_cubic(element: Element, spacing: f64) -> Structure {
    let lattice = Lattice([[spacing, 0.0, 0.0], [0.0, spacing, 0.0], [0.0, 0.0, spacing]]);
    Structure { lattice, species: vec![element], frac: vec![[0.0; 3]] }
}

/// Two atoms at a distance (angstrom) in a cubic box so wide that no image is within the cutoff.
pub(in crate::model) fn dimer(elements: [Element; 2], distance: f64, cutoff: f64) -> Structure {
    let width = 2.0 * cutoff + 2.0 * distance;
    let cubic = simple_cubic(elements[0], width);
    Structure { species: elements.to_vec(), frac: vec![[0.0; 3], [distance / width, 0.0, 0.0]], ..cubic }
}
