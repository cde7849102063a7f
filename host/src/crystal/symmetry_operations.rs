//! The symmetry operations of a structure in its own cell.

use super::tokenise::{TokeniseError, search};
use super::{Lattice, Structure};

/// Comparisons of atoms with atoms under all operations: enough for a cell of 1,000 atoms with 192 operations.
const MOST_COMPARISONS: usize = 200_000_000;

/// An operation x -> rotation x + translation of fractional coordinates that takes a crystal onto itself.
#[derive(Clone, Debug, PartialEq)]
pub struct SymmetryOperation {
    /// Rows of the linear part.
    pub rotation: [[i32; 3]; 3],
    /// In units of the lattice vectors; as inexact as the atoms are.
    pub translation: [f64; 3],
    /// The atom whose image each atom is taken onto.
    pub onto: Vec<usize>,
}

/// All symmetry operations of a structure, translations within its cell included, that a search with the tolerance `symprec` (angstrom)
/// finds.
///
/// # Errors
/// Those of the search, and [`TokeniseError::Search`] for a cell of too many atoms and operations.
pub fn symmetry_operations(structure: &Structure, symprec: f64) -> Result<Vec<SymmetryOperation>, TokeniseError> {
    let found = search(structure, symprec)?.operations;
    let refused = |reason: String| TokeniseError::Search { symprec, reason };
    if found.len().saturating_mul(structure.len().pow(2)) > MOST_COMPARISONS {
        let (operations, atoms) = (found.len(), structure.len());
        return Err(refused(format!("{operations} symmetry operations of {atoms} atoms are too many")));
    }
    let operation = |operation: &moyo::base::Operation| {
        let (rotation, translation) = (operation.rotation_as_array(), operation.translation_as_array());
        let image = |x: &[f64; 3]| -> [f64; 3] {
            std::array::from_fn(|i| (0..3).map(|k| f64::from(rotation[i][k]) * x[k]).sum::<f64>() + translation[i])
        };
        let onto: Vec<usize> =
            (0..structure.len()).filter_map(|atom| nearest(structure, atom, image(&structure.frac[atom]))).collect();
        let mut reached = vec![false; structure.len()];
        onto.iter().for_each(|atom| reached[*atom] = true);
        match reached.iter().all(|reached| *reached) {
            true => Ok(SymmetryOperation { rotation, translation, onto }),
            false => Err(refused("a symmetry operation takes two atoms onto one".into())),
        }
    };
    found.iter().map(operation).collect()
}

/// The atom of the same element whose image is nearest to a point.
fn nearest(structure: &Structure, atom: usize, point: [f64; 3]) -> Option<usize> {
    let Structure { lattice, species, frac } = structure;
    let alike = (0..frac.len()).filter(|other| species[*other] == species[atom]);
    alike.map(|other| (other, distance(lattice, frac[other], point))).min_by(|a, b| a.1.total_cmp(&b.1)).map(|a| a.0)
}

/// Squared distance of two points that are near each other but for lattice vectors.
fn distance(lattice: &Lattice, x: [f64; 3], y: [f64; 3]) -> f64 {
    let step = std::array::from_fn(|k| x[k] - y[k] - (x[k] - y[k]).round());
    lattice.cartesian(step).iter().map(|d| d * d).sum()
}
