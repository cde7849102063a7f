//! Terms that need no model.

use crate::crystal::{Element, Structure, smallest_distance};

/// A term that is computed from the structure alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builtin {
    /// `min_distance`: smallest distance between two atoms, images included, angstrom.
    MinDistance,
    /// `density`: g/cm^3.
    Density,
    /// `volume_per_atom`: A^3.
    VolumePerAtom,
    /// `n_elements`: number of different elements.
    NElements,
    /// `n_sites`: number of atoms in the cell.
    NSites,
    /// `has_element(Li)`: 1 if the element is there, else 0.
    HasElement(Element),
}

const NAMES: [&str; 6] = ["min_distance", "density", "volume_per_atom", "n_elements", "n_sites", "has_element"];

/// u / A^3 in g/cm^3 (the atomic mass constant of CODATA 2022).
const DENSITY: f64 = 1.660_539_068_92;

/// Why a text names no built-in term.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuiltinError {
    /// No such term.
    #[error("no built-in term is called `{name}`{}; there are {}", did_you_mean(*.nearest), NAMES.join(", "))]
    Unknown {
        /// The name as written.
        name: String,
        /// The term that it most resembles.
        nearest: Option<&'static str>,
    },
    /// `has_element` without one, or with what is none.
    #[error("has_element takes one element, as in `has_element(Li)`; found `{found}`")]
    Element {
        /// What stood in the parentheses.
        found: String,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

impl std::str::FromStr for Builtin {
    type Err = BuiltinError;

    fn from_str(text: &str) -> Result<Self, BuiltinError> {
        let text = text.trim();
        let (name, argument) = text.split_once('(').unwrap_or((text, ""));
        match name.trim_end() {
            "min_distance" if argument.is_empty() => Ok(Self::MinDistance),
            "density" if argument.is_empty() => Ok(Self::Density),
            "volume_per_atom" if argument.is_empty() => Ok(Self::VolumePerAtom),
            "n_elements" if argument.is_empty() => Ok(Self::NElements),
            "n_sites" if argument.is_empty() => Ok(Self::NSites),
            "has_element" => {
                let symbol = argument.strip_suffix(')').map(str::trim);
                let element = symbol.and_then(Element::from_symbol).map(Self::HasElement);
                element.ok_or_else(|| BuiltinError::Element { found: text["has_element".len()..].into() })
            }
            _ => Err(BuiltinError::Unknown { name: text.into(), nearest: super::nearest(text, NAMES) }),
        }
    }
}

impl Builtin {
    /// The value for a structure.
    pub fn evaluate(self, structure: &Structure) -> f64 {
        let atoms = structure.len() as f64;
        let volume = structure.lattice.volume();
        match self {
            Self::MinDistance => smallest_distance(structure),
            Self::Density => DENSITY * structure.species.iter().map(|element| element.mass()).sum::<f64>() / volume,
            Self::VolumePerAtom => volume / atoms,
            Self::NElements => {
                let mut elements = structure.species.clone();
                elements.sort_unstable();
                elements.dedup();
                elements.len() as f64
            }
            Self::NSites => atoms,
            Self::HasElement(element) => f64::from(u8::from(structure.species.contains(&element))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::Lattice;

    /// Rock salt in its conventional cell.
    fn rock_salt() -> Structure {
        let [na, cl] = ["Na", "Cl"].map(|s| Element::from_symbol(s).unwrap());
        let face = [[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]];
        let mut frac = face.to_vec();
        frac.extend(face.map(|[x, y, z]| [x + 0.5, y, z]));
        let a = 5.6402;
        let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        Structure::new(lattice, [[na; 4], [cl; 4]].concat(), frac).unwrap()
    }

    #[test]
    fn values_of_rock_salt() {
        let value = |term: &str| term.parse::<Builtin>().unwrap().evaluate(&rock_salt());
        // Halite: 2.165 g/cm^3 from the cell, in every mineralogy table.
        assert!((value("density") - 2.165) < 2e-3 && value("density") > 2.16);
        assert!((value("min_distance") - 2.8201).abs() < 1e-9);
        assert!((value("volume_per_atom") - 5.6402f64.powi(3) / 8.0).abs() < 1e-9);
        assert_eq!((value("n_elements"), value("n_sites")), (2.0, 8.0));
        assert_eq!((value("has_element(Na)"), value("has_element( Li )")), (1.0, 0.0));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let message = |text: &str| text.parse::<Builtin>().unwrap_err().to_string();
        assert!(message("densty").starts_with("no built-in term is called `densty`; did you mean `density`?"));
        assert_eq!(message("has_element"), "has_element takes one element, as in `has_element(Li)`; found ``");
        assert_eq!(message("has_element(Xx)"), "has_element takes one element, as in `has_element(Li)`; found `(Xx)`");
        assert!(message("density(Li)").starts_with("no built-in term"));
        assert!(message("").starts_with("no built-in term"));
    }
}
