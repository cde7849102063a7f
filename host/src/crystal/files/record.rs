//! One row of a file: a structure, or the reason why there is none.

use super::super::{Element, Lattice, OVERLAP, Orbits, Structure, StructureError, closest_pair};

/// Atoms that a structure read from a file may have.
pub const MAX_ATOMS: usize = 10_000;
/// The longest lattice vector that a structure read from a file may have, angstrom.
pub const MAX_VECTOR: f64 = 1e5;

/// One structure of a file, or the reason why the row has none.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its name in the file, else the file's name and the number of the row. Not necessarily unique.
    pub id: String,
    /// Where it is in the file, from 1: the line on which it begins, in a CSV the row below the header.
    pub line: usize,
    /// The structure.
    pub structure: Result<Structure, RowError>,
    /// The symmetry in which the structure stands, if it is known: a CIF is written with it. Readers leave it open.
    pub orbits: Option<Orbits>,
    /// What else the row holds: other columns of a CSV (as text), other keys of JSON lines and of extended XYZ's comments.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// What in the row speaks against its structure.
    pub warnings: Vec<RecordWarning>,
}

/// A row as its format gives it: a [`Record`] whose name may be missing.
pub(super) struct RawRecord {
    pub id: Option<String>,
    pub line: usize,
    pub structure: Result<Structure, RowError>,
    pub extra: serde_json::Map<String, serde_json::Value>,
    pub warnings: Vec<RecordWarning>,
}

/// What speaks against a structure that was read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RecordWarning {
    /// A chemical formula that the atoms do not have.
    #[error("the chemical formula is {listed}, the sites and symmetry operators give {read}")]
    Formula {
        /// The formula of the file.
        listed: String,
        /// The formula of the cell.
        read: String,
    },
    /// A number of formula units that the cell does not hold.
    #[error("the cell should hold {listed} of {formula}, the sites and symmetry operators give {read}")]
    Units {
        /// Formula units that the file says, or at least one.
        listed: String,
        /// The formula of the file.
        formula: String,
        /// The formula of the cell.
        read: String,
    },
    /// A site with another number of images than the file says.
    #[error("site {site} has multiplicity {listed}, the symmetry operators give {read}: {formula} in all")]
    Multiplicity {
        /// Label of the site.
        site: String,
        /// Multiplicity of the file.
        listed: f64,
        /// Number of its images.
        read: usize,
        /// The formula of the cell.
        formula: String,
    },
    /// Symmetry operators whose products are not all among them.
    #[error("the {count} symmetry operators are not a group")]
    NotAGroup {
        /// Number of different operators.
        count: usize,
    },
    /// Listed operators that give other atoms than the space group that is named.
    #[error("the listed symmetry operators give {read}, those of space group {name} would give {named}")]
    OtherGroup {
        /// The space group's name.
        name: String,
        /// The formula of the cell.
        read: String,
        /// The formula of the cell under the operators of the space group.
        named: String,
    },
    /// A name of the space group that stands in no table.
    #[error("the space group {unknown} is unknown: {taken} is taken")]
    UnknownGroup {
        /// The name.
        unknown: String,
        /// The setting in its place.
        taken: String,
    },
    /// The oxygen atom of a water molecule whose hydrogen atoms are not there.
    #[error("site {site} is the oxygen of water, and no hydrogen atoms are listed")]
    Water {
        /// Label of the site.
        site: String,
    },
}

/// Why a row has no structure. Lines count from the file's first line, in a CSV from the cell's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum RowError {
    /// The text does not follow its format.
    #[error("line {line}: {what}")]
    Syntax {
        /// Line.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The file ends inside a quoted cell.
    #[error("the file ends inside a quoted cell")]
    Unclosed,
    /// Something that a structure needs is not there.
    #[error("no {what}")]
    Missing {
        /// Name of the column, key or part.
        what: String,
    },
    /// A value of the wrong kind.
    #[error("{what} is {found}, not {expected}")]
    Value {
        /// Which value.
        what: String,
        /// Its text.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Not the symbol or number of an element.
    #[error("unknown element {found}")]
    Element {
        /// Its text.
        found: String,
    },
    /// A site label that does not tell the element.
    #[error("no element is certain from the site label {label}: give _atom_site_type_symbol")]
    Label {
        /// The label.
        label: String,
    },
    /// A site that stands for several atoms.
    #[error("site {site} stands for several atoms, {missing} among them without coordinates")]
    Group {
        /// Label of the site.
        site: String,
        /// What is not there.
        missing: &'static str,
    },
    /// A site that is not occupied by exactly one atom.
    #[error("site {site} has occupancy {occupancy}: disordered structures cannot be used, order them first")]
    PartialOccupancy {
        /// Label of the site.
        site: String,
        /// Its occupancy.
        occupancy: f64,
    },
    /// Symmetry that cannot be applied.
    #[error("{0}")]
    Symmetry(String),
    /// Numbers that make no structure.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// A lattice vector beyond [`MAX_VECTOR`].
    #[error("a lattice vector of {length:.3e} A is longer than {MAX_VECTOR} A")]
    LongVector {
        /// Its length, angstrom.
        length: f64,
    },
    /// Atoms closer than [`OVERLAP`].
    #[error("atoms {first} and {second} overlap: {distance:.4} A apart")]
    Overlap {
        /// Symbol and number (from 1) of an atom.
        first: String,
        /// The other, or an image of the same.
        second: String,
        /// Smallest distance between their images, angstrom.
        distance: f64,
    },
    /// More than [`MAX_ATOMS`] atoms.
    #[error("more than {MAX_ATOMS} atoms")]
    TooManyAtoms,
}

impl RowError {
    pub(super) fn syntax(line: usize, what: impl Into<String>) -> Self {
        Self::Syntax { line, what: what.into() }
    }

    pub(super) fn missing(what: impl Into<String>) -> Self {
        Self::Missing { what: what.into() }
    }

    pub(super) fn value(what: impl Into<String>, found: &str, expected: &'static str) -> Self {
        Self::Value { what: what.into(), found: excerpt(found), expected }
    }

    pub(super) fn element(found: &str) -> Self {
        Self::Element { found: excerpt(found) }
    }
}

/// Text of a file as a message shows it: quoted and not longer than a line.
pub(super) fn excerpt(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| x.is_finite())
}

/// A structure whose cell has sane lengths and whose atoms do not overlap.
pub(super) fn checked(lattice: Lattice, species: Vec<Element>, frac: Vec<[f64; 3]>) -> Result<Structure, RowError> {
    measured(lattice, species, frac).map(|(structure, _)| structure)
}

/// A structure as [`checked`], with its smallest distance, angstrom.
pub(super) fn measured(
    lattice: Lattice,
    species: Vec<Element>,
    frac: Vec<[f64; 3]>,
) -> Result<(Structure, f64), RowError> {
    if species.len() > MAX_ATOMS {
        return Err(RowError::TooManyAtoms);
    }
    let structure = Structure::new(lattice, species, frac)?;
    let length = structure.lattice.0.iter().flatten().fold(0.0f64, |longest, x| longest.max(x.abs()));
    if length > MAX_VECTOR {
        return Err(RowError::LongVector { length });
    }
    let closest = closest_pair(&structure);
    if closest.distance < OVERLAP {
        let name = |atom: usize| format!("{}{}", structure.species[atom], atom + 1);
        let (first, second) = (name(closest.first), name(closest.second));
        return Err(RowError::Overlap { first, second, distance: closest.distance });
    }
    Ok((structure, closest.distance))
}
