//! Holding the symmetry of a crystal while it moves.

use nalgebra::{Matrix3, Vector3};

use super::coordinates::{Coordinates, lattice, rows};
use crate::crystal::{Structure, SymmetryOperation, TokeniseError, symmetry_operations};

/// Rounds in which atoms and translations are brought into agreement.
const ROUNDS: usize = 20;

/// The symmetry operations of a crystal. Forces that they leave as they are move atoms and cell in the freedom of the Wyckoff positions
/// only.
pub(super) struct HeldSymmetry {
    /// Each Cartesian rotation, and the atom onto which it takes each atom.
    operations: Vec<(Matrix3<f64>, Vec<usize>)>,
}

impl HeldSymmetry {
    /// The symmetry that a search finds within `symprec` (angstrom), and the crystal that has it exactly.
    pub fn of(structure: &Structure, symprec: f64) -> Result<(Structure, Self), TokeniseError> {
        let operations = symmetry_operations(structure, symprec)?;
        let exact = symmetrised(structure, operations.clone());
        let basis = rows(&exact.lattice).transpose();
        // The volume of a structure is not zero.
        let inverse = basis.try_inverse().unwrap_or_else(Matrix3::identity);
        let cartesian = |operation: SymmetryOperation| (basis * rotation(&operation) * inverse, operation.onto);
        Ok((exact, Self { operations: operations.into_iter().map(cartesian).collect() }))
    }

    /// The part of the forces that has the symmetry: their mean over all operations.
    pub fn project(&self, forces: &Coordinates) -> Coordinates {
        let weight = 1.0 / self.operations.len() as f64;
        let mut mean = Coordinates { atoms: vec![Vector3::zeros(); forces.atoms.len()], cell: Matrix3::zeros() };
        for (rotation, onto) in &self.operations {
            for (force, atom) in forces.atoms.iter().zip(onto) {
                mean.atoms[*atom] += weight * rotation * force;
            }
            mean.cell += weight * rotation * forces.cell * rotation.transpose();
        }
        mean
    }
}

/// The structure with exactly these symmetries: the lattice of the mean metric, turned as little as possible, and atoms in the mean of
/// their images. Translations that the search found are as inexact as the atoms were, so both are settled in turn.
fn symmetrised(structure: &Structure, mut operations: Vec<SymmetryOperation>) -> Structure {
    let lattice = symmetrised_lattice(structure, &operations);
    let mut frac: Vec<Vector3<f64>> = structure.frac.iter().map(|x| Vector3::from(*x)).collect();
    let weight = 1.0 / operations.len() as f64;
    for _ in 0..ROUNDS {
        let mut moved = frac.clone();
        for operation in &operations {
            for (x, onto) in frac.iter().zip(&operation.onto) {
                moved[*onto] += weight * nearest(image(operation, x) - frac[*onto]);
            }
        }
        frac = moved;
        for operation in &mut operations {
            let off = frac.iter().zip(&operation.onto).map(|(x, onto)| nearest(frac[*onto] - image(operation, x)));
            let shift: [f64; 3] = (off.sum::<Vector3<f64>>() / frac.len() as f64).into();
            (0..3).for_each(|k| operation.translation[k] += shift[k]);
        }
    }
    Structure { lattice, species: structure.species.clone(), frac: frac.into_iter().map(Into::into).collect() }
}

/// With the basis A in columns, a rotation W leaves the metric `A^T A` as it is if `W^T A^T A W` equals it; the symmetric matrix S for
/// which `S A` has the mean metric turns nothing.
fn symmetrised_lattice(structure: &Structure, operations: &[SymmetryOperation]) -> crate::crystal::Lattice {
    let basis = rows(&structure.lattice).transpose();
    let metric = basis.tr_mul(&basis);
    let turned = operations.iter().map(|operation| rotation(operation).tr_mul(&metric) * rotation(operation));
    let mean = turned.sum::<Matrix3<f64>>() / operations.len() as f64;
    let inverse = basis.try_inverse().unwrap_or_else(Matrix3::identity);
    let mut square = (inverse.tr_mul(&mean) * inverse).symmetric_eigen();
    square.eigenvalues.apply(|x| *x = x.sqrt());
    lattice(&(square.recompose() * basis).transpose())
}

fn rotation(operation: &SymmetryOperation) -> Matrix3<f64> {
    Matrix3::from_fn(|i, j| f64::from(operation.rotation[i][j]))
}

fn image(operation: &SymmetryOperation, x: &Vector3<f64>) -> Vector3<f64> {
    rotation(operation) * x + Vector3::from(operation.translation)
}

fn nearest(x: Vector3<f64>) -> Vector3<f64> {
    x.map(|t| t - t.round())
}
