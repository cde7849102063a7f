//! A structure in the one form that comparisons start from.

use super::niggli::niggli_cell;
use super::primitive::{gcd, primitive_cell};
use crate::crystal::{Element, Lattice, Structure, StructureError};

/// Most atoms of a structure that is compared: the search for a primitive cell takes memory in proportion to their square.
pub(super) const MOST_ATOMS: usize = 1_000;

/// A structure in its Niggli cell, made primitive if the matcher wants that.
#[derive(Clone, Debug)]
pub struct ReducedStructure {
    pub(super) lattice: Lattice,
    pub(super) species: Vec<Element>,
    pub(super) frac: Vec<[f64; 3]>,
}

/// Why a structure cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ReduceError {
    /// The search for a primitive cell would take too much memory.
    #[error("{atoms} atoms are too many to compare (at most {MOST_ATOMS})")]
    TooManyAtoms {
        /// Atoms in the cell.
        atoms: usize,
    },
    /// The lattice has no Niggli cell within rounding.
    #[error("the cell cannot be reduced: lengths {lengths:?} A, angles {angles:?} degrees")]
    Niggli {
        /// a, b, c in angstrom.
        lengths: [f64; 3],
        /// alpha, beta, gamma in degrees.
        angles: [f64; 3],
    },
    /// The cell is so elongated that a comparison would take too long.
    #[error("the reduced cell is too elongated to compare: lengths {lengths:?} A, volume {volume:.3} A^3")]
    Elongated {
        /// a, b, c in angstrom.
        lengths: [f64; 3],
        /// A^3.
        volume: f64,
    },
    /// What the reduction gives is no structure.
    #[error(transparent)]
    Structure(#[from] StructureError),
}

impl ReducedStructure {
    /// The reduced cell as a structure.
    ///
    /// # Errors
    /// [`StructureError`], which what was reduced does not cause.
    pub fn to_structure(&self) -> Result<Structure, StructureError> {
        Structure::new(self.lattice, self.species.clone(), self.frac.clone())
    }

    /// The Niggli cell of a structure, or of a primitive cell of it.
    pub(super) fn new(structure: &Structure, primitive: bool) -> Result<Self, ReduceError> {
        if structure.len() > MOST_ATOMS {
            return Err(ReduceError::TooManyAtoms { atoms: structure.len() });
        }
        let mut reduced =
            Self { lattice: structure.lattice, species: structure.species.clone(), frac: structure.frac.clone() };
        reduced.describe_in_niggli_cell()?;
        if primitive {
            let mut smaller = false;
            while let Some(cell) = primitive_cell(&reduced) {
                (reduced, smaller) = (cell, true);
            }
            if smaller {
                reduced.describe_in_niggli_cell()?;
            }
        }
        Ok(reduced)
    }

    /// Atoms in the cell.
    pub fn len(&self) -> usize {
        self.species.len()
    }

    /// Never true: no structure is empty.
    pub fn is_empty(&self) -> bool {
        self.species.is_empty()
    }

    /// Elements, ascending, with their amounts in lowest terms.
    pub(super) fn reduced_composition(&self) -> Vec<(Element, usize)> {
        let mut species = self.species.clone();
        species.sort_unstable();
        let counts: Vec<(Element, usize)> = species.chunk_by(|a, b| a == b).map(|same| (same[0], same.len())).collect();
        let divisor = counts.iter().map(|(_, count)| *count).fold(0, gcd);
        counts.into_iter().map(|(element, count)| (element, count / divisor)).collect()
    }

    /// Describes the same atoms in the Niggli cell, coordinates in [0, 1).
    fn describe_in_niggli_cell(&mut self) -> Result<(), ReduceError> {
        let positions: Vec<[f64; 3]> = self.frac.iter().map(|r| self.lattice.cartesian(*r)).collect();
        self.lattice = niggli_cell(&self.lattice)?;
        self.frac = positions.iter().map(|r| self.lattice.fractional(*r).map(|x| x - x.floor())).collect();
        Structure::new(self.lattice, self.species.clone(), self.frac.clone())?;
        Ok(())
    }
}
