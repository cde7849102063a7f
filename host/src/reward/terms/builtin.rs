//! Terms that need no model.

pub use temper_charge_neutrality::Tables;

use rayon::prelude::*;
use temper_charge_neutrality::{Undecided, charge_neutral};

use super::{Cost, TermBatch, TermKind};
use crate::crystal::{Composition, Element, SYMPREC, Structure, Tokens, smallest_distance, tokenise};
use crate::hint::Hint;
use crate::reward::{Failure, Outcome};
use crate::spelling::nearest;

/// A built-in term by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltinTerm {
    /// One that the structure alone decides.
    OfStructure(Builtin),
    /// `novelty`: 1 if the reduced composition is in no list of known ones, else 0.
    Novelty,
    /// `uniqueness`: 1 / n where n crystals of the batch have the reduced composition. The mean over a batch is its share of
    /// different compositions.
    Uniqueness,
    /// `diversity`: falls below 1 as more crystals of the family come in the last batches.
    Diversity,
}

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
    /// `n_atoms`: number of atoms in the cell as it is given.
    NAtoms,
    /// `n_sites`: number of occupied Wyckoff positions, by a symmetry search within 0.01 A; the same for every choice of cell.
    NSites,
    /// `space_group`: its number, by a symmetry search within 0.01 A.
    SpaceGroup,
    /// `has_element(Li)`: 1 if the element is there, else 0.
    HasElement(Element),
    /// `charge_neutral`: 1 if the composition passes SMACT's rule, else 0; the tables of SMACT 3.2.0, or those of
    /// `charge_neutral(2.2.1)`.
    ChargeNeutral(Tables),
}

const NAMES: [&str; 12] = [
    "min_distance",
    "density",
    "volume_per_atom",
    "n_elements",
    "n_atoms",
    "n_sites",
    "space_group",
    "has_element",
    "charge_neutral",
    "novelty",
    "uniqueness",
    "diversity",
];

/// u / A^3 in g/cm^3 (the atomic mass constant of CODATA 2022).
const DENSITY: f64 = 1.660_539_068_92;

/// Why a text names no built-in term.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BuiltinError {
    /// No such term.
    #[error("no built-in term is called `{name}`")]
    Unknown {
        /// The name as written.
        name: String,
        /// The term that it most resembles.
        nearest: Option<&'static str>,
    },
    /// An argument that the term does not take, or none where it takes one.
    #[error("{usage}; found `{found}`")]
    Argument {
        /// How the term is written.
        usage: &'static str,
        /// What stood after its name.
        found: String,
    },
}

impl Hint for BuiltinError {
    fn hints(&self) -> Vec<String> {
        match self {
            Self::Unknown { nearest, .. } => {
                let nearest = nearest.map(|name| format!("did you mean `{name}`?"));
                nearest.into_iter().chain([format!("there are {}", NAMES.join(", "))]).collect()
            }
            Self::Argument { .. } => Vec::new(),
        }
    }
}

impl std::str::FromStr for BuiltinTerm {
    type Err = BuiltinError;

    fn from_str(text: &str) -> Result<Self, BuiltinError> {
        let text = text.trim();
        let (name, argument) = text.split_at(text.find('(').unwrap_or(text.len()));
        let inside = argument.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).map(str::trim);
        let refused = |usage| BuiltinError::Argument { usage, found: argument.into() };
        let term = match (name.trim_end(), inside) {
            ("min_distance", None) => Builtin::MinDistance,
            ("density", None) => Builtin::Density,
            ("volume_per_atom", None) => Builtin::VolumePerAtom,
            ("n_elements", None) => Builtin::NElements,
            ("n_atoms", None) => Builtin::NAtoms,
            ("n_sites", None) => Builtin::NSites,
            ("space_group", None) => Builtin::SpaceGroup,
            ("has_element", symbol) => {
                let element = symbol.and_then(Element::from_symbol).map(Builtin::HasElement);
                element.ok_or_else(|| refused("has_element takes one element, as in `has_element(Li)`"))?
            }
            ("charge_neutral", None) if argument.is_empty() => Builtin::ChargeNeutral(Tables::default()),
            ("charge_neutral", Some("3.2.0")) => Builtin::ChargeNeutral(Tables::Smact3),
            ("charge_neutral", Some("2.2.1")) => Builtin::ChargeNeutral(Tables::Smact2),
            ("charge_neutral", _) => {
                return Err(refused("charge_neutral takes a version of SMACT's tables, 3.2.0 (the default) or 2.2.1"));
            }
            ("novelty", None) if argument.is_empty() => return Ok(Self::Novelty),
            ("uniqueness", None) if argument.is_empty() => return Ok(Self::Uniqueness),
            ("diversity", None) if argument.is_empty() => return Ok(Self::Diversity),
            (name, _) if NAMES.contains(&name) => return Err(refused("this term takes no argument")),
            (name, _) => return Err(BuiltinError::Unknown { name: name.into(), nearest: nearest(name, NAMES) }),
        };
        if inside.is_none() && !argument.is_empty() {
            return Err(refused("a closing `)` is missing"));
        }
        Ok(Self::OfStructure(term))
    }
}

impl Builtin {
    /// The value for a structure.
    ///
    /// # Errors
    /// [`Failure::Symmetry`] or [`Failure::Oxidation`] where the term is not defined; the others always are.
    pub fn value(self, structure: &Structure) -> Result<f64, Failure> {
        let atoms = structure.len() as f64;
        match self {
            Self::MinDistance => Ok(smallest_distance(structure)),
            Self::Density => Ok(density(structure)),
            Self::VolumePerAtom => Ok(structure.lattice.volume() / atoms),
            Self::NElements => Ok(composition(structure)?.elements().len() as f64),
            Self::NAtoms => Ok(atoms),
            Self::NSites => Ok(tokens(structure)?.sites.len() as f64),
            Self::SpaceGroup => Ok(f64::from(tokens(structure)?.group.number())),
            Self::HasElement(element) => Ok(f64::from(u8::from(structure.species.contains(&element)))),
            Self::ChargeNeutral(tables) => neutral(&composition(structure)?, tables),
        }
    }
}

impl TermKind for Builtin {
    fn cost(&self) -> Cost {
        Cost::Structure
    }

    fn range(&self) -> [f64; 2] {
        match self {
            Self::MinDistance | Self::Density | Self::VolumePerAtom => [0.0, f64::INFINITY],
            Self::NElements => [1.0, 118.0],
            Self::NAtoms | Self::NSites => [1.0, f64::INFINITY],
            Self::SpaceGroup => [1.0, 230.0],
            Self::HasElement(_) | Self::ChargeNeutral(_) => [0.0, 1.0],
        }
    }

    fn evaluate(&self, batch: &TermBatch<'_>) -> Vec<Outcome> {
        batch.structures.par_iter().map(|structure| self.value(structure).into()).collect()
    }
}

/// Mass per volume, g/cm^3.
pub fn density(structure: &Structure) -> f64 {
    DENSITY * structure.species.iter().map(|element| element.mass()).sum::<f64>() / structure.lattice.volume()
}

/// 1 if a composition can be charge neutral, else 0.
fn neutral(composition: &Composition, tables: Tables) -> Result<f64, Failure> {
    let atoms: Vec<(u8, u32)> = composition.amounts().iter().map(|(e, n)| (e.number(), n.round() as u32)).collect();
    let refused = |undecided| match undecided {
        Undecided::Element(number) => Element::from_number(number).map(Failure::Oxidation),
        Undecided::NoAtoms | Undecided::NoStates => None,
    };
    match charge_neutral(&atoms, tables) {
        Ok(yes) => Ok(f64::from(u8::from(yes))),
        Err(error) => Err(refused(error.clone()).unwrap_or_else(|| Failure::NoStructure(error.to_string()))),
    }
}

fn tokens(structure: &Structure) -> Result<Tokens, Failure> {
    tokenise(structure, SYMPREC).map_err(|error| Failure::Symmetry(error.to_string()))
}

fn composition(structure: &Structure) -> Result<Composition, Failure> {
    Composition::of_structure(structure).map_err(|error| Failure::NoStructure(error.to_string()))
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
        let value = |term: &str| match term.parse().unwrap() {
            BuiltinTerm::OfStructure(term) => term.value(&rock_salt()).unwrap(),
            other => panic!("{other:?}"),
        };
        // Halite: 2.165 g/cm^3 from the cell, in every mineralogy table.
        assert!((value("density") - 2.165) < 2e-3 && value("density") > 2.16);
        assert!((value("min_distance") - 2.8201).abs() < 1e-9);
        assert!((value("volume_per_atom") - 5.6402f64.powi(3) / 8.0).abs() < 1e-9);
        assert_eq!((value("n_elements"), value("n_atoms"), value("n_sites")), (2.0, 8.0, 2.0));
        assert_eq!(value("space_group"), 225.0);
        assert_eq!((value("charge_neutral"), value("charge_neutral( 2.2.1 )")), (1.0, 1.0));
        assert_eq!((value("has_element(Na)"), value("has_element( Li )")), (1.0, 0.0));
    }

    #[test]
    fn charges_of_compositions() {
        let neutral = |formula: &str| neutral(&formula.parse().unwrap(), Tables::default());
        assert_eq!((neutral("Na4Cl4"), neutral("NaCl2")), (Ok(1.0), Ok(0.0)));
        assert_eq!(neutral("RfO2"), Err(Failure::Oxidation(Element::from_symbol("Rf").unwrap())));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let message = |text: &str| text.parse::<BuiltinTerm>().unwrap_err().to_string();
        assert_eq!(message("densty"), "no built-in term is called `densty`");
        assert_eq!(message("has_element"), "has_element takes one element, as in `has_element(Li)`; found ``");
        assert_eq!(message("has_element(Xx)"), "has_element takes one element, as in `has_element(Li)`; found `(Xx)`");
        assert_eq!(message("density(Li)"), "this term takes no argument; found `(Li)`");
        assert_eq!(message("density("), "a closing `)` is missing; found `(`");
        assert!(message("charge_neutral(1.0)").starts_with("charge_neutral takes a version of SMACT's tables, 3.2.0"));
        assert!(message("novelty(").starts_with("this term takes no argument"));
        assert!(message("").starts_with("no built-in term"));
        assert_eq!(" uniqueness ".parse(), Ok(BuiltinTerm::Uniqueness));
    }

    #[test]
    fn sites_do_not_depend_on_the_cell() {
        let sites = |s: &Structure| Builtin::NSites.value(s).unwrap();
        let Structure { lattice: Lattice([a, b, c]), species, frac } = rock_salt();
        let doubled = Lattice([a, b, c.map(|x| 2.0 * x)]);
        let copies = |shift: f64| frac.iter().map(move |[x, y, z]| [*x, *y, 0.5 * z + shift]);
        let twice =
            Structure::new(doubled, [species.clone(), species].concat(), copies(0.0).chain(copies(0.5)).collect());
        assert_eq!(sites(&twice.unwrap()), 2.0);
        // A cell that no symmetry search would end on has no number of sites, and a reason.
        let thin = Lattice([[300.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 0.02]]);
        let iron = vec![Element::from_symbol("Fe").unwrap()];
        let failure = Builtin::NSites.value(&Structure::new(thin, iron, vec![[0.0; 3]]).unwrap()).unwrap_err();
        assert_eq!(failure.kind(), "no symmetry");
    }
}
