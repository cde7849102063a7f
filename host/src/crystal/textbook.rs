//! Textbook structures, on which models and plugins are tested.

use super::{Element, Lattice, Structure};

/// A structure of the textbooks, whose elements may be exchanged for others.
#[derive(Clone, Copy, Debug)]
pub struct TextbookCrystal {
    /// Structure type and compound.
    pub name: &'static str,
    /// Lengths, angstrom.
    pub lengths: [f64; 3],
    /// Angles, degrees.
    pub angles: [f64; 3],
    /// Symbols of its elements.
    pub symbols: &'static [&'static str],
    /// The atoms: index of the element and fractional coordinates.
    pub atoms: &'static [(usize, [f64; 3])],
}

impl TextbookCrystal {
    /// The crystal with these elements in the place of its own; `None` if they are too few.
    pub fn structure(&self, elements: &[Element]) -> Option<Structure> {
        let lattice = Lattice::from_parameters(self.lengths, self.angles).ok()?;
        let species: Option<Vec<Element>> =
            self.atoms.iter().map(|(element, _)| elements.get(*element).copied()).collect();
        Structure::new(lattice, species?, self.atoms.iter().map(|(_, r)| *r).collect()).ok()
    }

    /// The crystal in its own elements; `None` for a symbol that is no element, which the table does not have.
    pub fn as_published(&self) -> Option<Structure> {
        let elements: Option<Vec<Element>> = self.symbols.iter().map(|symbol| Element::from_symbol(symbol)).collect();
        self.structure(&elements?)
    }

    /// Its own elements where they are among the known ones, else known ones that are not taken yet where there are any; `None` if
    /// none is known.
    pub fn elements_of(&self, known: &[Element]) -> Option<Vec<Element>> {
        let mut chosen: Vec<Element> = Vec::new();
        for symbol in self.symbols {
            let own = Element::from_symbol(symbol).filter(|element| known.contains(element));
            let free = known.iter().copied().find(|element| !chosen.contains(element));
            chosen.push(own.or(free).or(known.first().copied())?);
        }
        Some(chosen)
    }
}

/// Lattice constants from C. Kittel, Introduction to Solid State Physics, 8th edition, chapter 1, and R. W. G. Wyckoff,
/// Crystal Structures, volumes 1 and 2, rounded. One-atom cells are given as primitive cells.
pub const TEXTBOOK: [TextbookCrystal; 10] = [
    TextbookCrystal {
        name: "fcc Al, one atom",
        lengths: [2.864; 3],
        angles: [60.0; 3],
        symbols: &["Al"],
        atoms: &[(0, [0.0; 3])],
    },
    TextbookCrystal {
        name: "bcc Fe, one atom",
        lengths: [2.485; 3],
        angles: [109.4712; 3],
        symbols: &["Fe"],
        atoms: &[(0, [0.0; 3])],
    },
    TextbookCrystal {
        name: "hcp Mg",
        lengths: [3.21, 3.21, 5.21],
        angles: [90.0, 90.0, 120.0],
        symbols: &["Mg"],
        atoms: &[(0, [1.0 / 3.0, 2.0 / 3.0, 0.25]), (0, [2.0 / 3.0, 1.0 / 3.0, 0.75])],
    },
    TextbookCrystal {
        name: "diamond Si",
        lengths: [3.84; 3],
        angles: [60.0; 3],
        symbols: &["Si"],
        atoms: &[(0, [0.0; 3]), (0, [0.25; 3])],
    },
    TextbookCrystal {
        name: "rock salt NaCl",
        lengths: [5.64; 3],
        angles: [90.0; 3],
        symbols: &["Na", "Cl"],
        atoms: &[
            (0, [0.0, 0.0, 0.0]),
            (0, [0.0, 0.5, 0.5]),
            (0, [0.5, 0.0, 0.5]),
            (0, [0.5, 0.5, 0.0]),
            (1, [0.5, 0.0, 0.0]),
            (1, [0.5, 0.5, 0.5]),
            (1, [0.0, 0.0, 0.5]),
            (1, [0.0, 0.5, 0.0]),
        ],
    },
    TextbookCrystal {
        name: "caesium chloride",
        lengths: [4.12; 3],
        angles: [90.0; 3],
        symbols: &["Cs", "Cl"],
        atoms: &[(0, [0.0; 3]), (1, [0.5; 3])],
    },
    TextbookCrystal {
        name: "perovskite SrTiO3",
        lengths: [3.905; 3],
        angles: [90.0; 3],
        symbols: &["Sr", "Ti", "O"],
        atoms: &[(0, [0.0; 3]), (1, [0.5; 3]), (2, [0.5, 0.5, 0.0]), (2, [0.5, 0.0, 0.5]), (2, [0.0, 0.5, 0.5])],
    },
    TextbookCrystal {
        name: "rutile TiO2",
        lengths: [4.594, 4.594, 2.959],
        angles: [90.0; 3],
        symbols: &["Ti", "O"],
        atoms: &[
            (0, [0.0; 3]),
            (0, [0.5; 3]),
            (1, [0.305, 0.305, 0.0]),
            (1, [0.695, 0.695, 0.0]),
            (1, [0.195, 0.805, 0.5]),
            (1, [0.805, 0.195, 0.5]),
        ],
    },
    TextbookCrystal {
        name: "graphite C",
        lengths: [2.461, 2.461, 6.708],
        angles: [90.0, 90.0, 120.0],
        symbols: &["C"],
        atoms: &[
            (0, [0.0, 0.0, 0.25]),
            (0, [0.0, 0.0, 0.75]),
            (0, [1.0 / 3.0, 2.0 / 3.0, 0.25]),
            (0, [2.0 / 3.0, 1.0 / 3.0, 0.75]),
        ],
    },
    TextbookCrystal {
        name: "triclinic Li2SiO, made up",
        lengths: [4.1, 5.3, 6.2],
        angles: [62.0, 83.0, 71.0],
        symbols: &["Li", "Si", "O"],
        atoms: &[(0, [0.03, 0.11, 0.07]), (0, [0.47, 0.62, 0.13]), (1, [0.21, 0.33, 0.52]), (2, [0.71, 0.09, 0.44])],
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::smallest_distance;

    #[test]
    fn bonds_are_as_in_the_textbooks() {
        // Nearest neighbours: Kittel table 9 of chapter 1 (Al 2.86, Fe 2.48, Mg 3.20, Si 2.35 A); half of a in rock salt and
        // perovskite; sqrt(3)/2 of a in caesium chloride; 1.95 A in rutile; 1.42 A in graphite.
        let bonds = [2.86, 2.485, 3.20, 2.35, 2.82, 3.57, 1.95, 1.95, 1.42];
        let all: Vec<Element> = (1..=118).filter_map(Element::from_number).collect();
        for (entry, bond) in TEXTBOOK.iter().zip(bonds) {
            let structure = entry.structure(&entry.elements_of(&all).unwrap()).unwrap();
            assert_eq!(entry.as_published().as_ref(), Some(&structure));
            let found = smallest_distance(&structure);
            assert!((found - bond).abs() < 0.01, "{}: {found} instead of {bond}", entry.name);
            assert_eq!(structure.species[0].symbol(), entry.symbols[0]);
        }
    }

    #[test]
    fn elements_that_are_not_known_are_exchanged() {
        let known = [8, 22, 38].map(|z| Element::from_number(z).unwrap());
        let of =
            |name: &str| TEXTBOOK.iter().find(|entry| entry.name.contains(name)).unwrap().elements_of(&known).unwrap();
        let symbols = |elements: Vec<Element>| elements.iter().map(|e| e.symbol()).collect::<Vec<_>>();
        assert_eq!(symbols(of("SrTiO3")), ["Sr", "Ti", "O"]);
        assert_eq!(symbols(of("NaCl")), ["O", "Ti"]);
        assert_eq!(TEXTBOOK[0].elements_of(&[]), None);
    }
}
