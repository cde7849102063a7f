//! The coordinates in which a crystal is relaxed: atoms in the undeformed cell, and the logarithm of the cell's deformation.
//!
//! ASE's `FrechetCellFilter`. The deformation F takes the cell at the start (rows) to `cell F^T`; its logarithm U is a coordinate, so
//! that none is ever computed. With the stress s and the volume V, the force on F is `-V s F^-T`, and the force on U its image under
//! the adjoint derivative of the exponential, which is the derivative at the transpose.

use nalgebra::{Matrix3, Matrix6, Vector3};

use crate::crystal::{Lattice, Structure};
use crate::model::Response;

/// Coordinates of a crystal, or forces on them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Coordinates {
    /// Atoms in the undeformed cell, Cartesian, angstrom; forces in eV/A.
    pub atoms: Vec<Vector3<f64>>,
    /// The logarithm of the deformation times the number of atoms; forces in eV.
    pub cell: Matrix3<f64>,
}

impl Coordinates {
    /// Those of a structure that is not deformed.
    pub fn of(structure: &Structure) -> Self {
        Self { atoms: structure.positions().into_iter().map(Vector3::from).collect(), cell: Matrix3::zeros() }
    }

    /// The crystal at these coordinates; `start` is the undeformed one.
    pub fn structure(&self, start: &Structure) -> Structure {
        let basis = rows(&start.lattice) * self.deformation().transpose();
        let frac = self.atoms.iter().map(|r| start.lattice.fractional((*r).into())).collect();
        Structure { lattice: lattice(&basis), species: start.species.clone(), frac }
    }

    /// The forces on these coordinates in a crystal of the volume `volume` (A^3).
    pub fn forces(&self, response: &Response, volume: f64) -> Self {
        let deformation = self.deformation();
        let atoms = response.forces.iter().map(|force| deformation.tr_mul(&Vector3::from(*force))).collect();
        let stress = Matrix3::from_fn(|i, j| response.stress[i][j]);
        // The inverse transposed of exp(U).
        let on_deformation = -volume * stress * (-self.logarithm()).exp().transpose();
        let cell = exp_derivative(&self.logarithm().transpose(), &on_deformation) / self.atoms.len() as f64;
        Self { atoms, cell }
    }

    /// Moves every coordinate; `step` is in the order of [`Self::flat`].
    pub fn advance(&mut self, step: &[f64]) {
        let (atoms, cell) = step.split_at(3 * self.atoms.len());
        self.atoms.iter_mut().zip(atoms.as_chunks::<3>().0).for_each(|(r, dr)| *r += Vector3::from(*dr));
        self.cell += Matrix3::from_row_slice(cell);
    }

    /// All numbers: atoms, then the rows of the cell.
    pub fn flat(&self) -> Vec<f64> {
        self.atoms.iter().flat_map(|r| [r.x, r.y, r.z]).chain(self.cell.transpose().iter().copied()).collect()
    }

    fn deformation(&self) -> Matrix3<f64> {
        self.logarithm().exp()
    }

    fn logarithm(&self) -> Matrix3<f64> {
        self.cell / self.atoms.len() as f64
    }
}

/// The derivative of the exponential at `at` in the direction `along`: the corner of a block's exponential (Najfeld and Havel, Adv. Appl.
/// Math. 16, 321 (1995), theorem 4.5).
fn exp_derivative(at: &Matrix3<f64>, along: &Matrix3<f64>) -> Matrix3<f64> {
    let mut block = Matrix6::zeros();
    block.fixed_view_mut::<3, 3>(0, 0).copy_from(at);
    block.fixed_view_mut::<3, 3>(3, 3).copy_from(at);
    block.fixed_view_mut::<3, 3>(0, 3).copy_from(along);
    block.exp().fixed_view::<3, 3>(0, 3).into_owned()
}

/// A lattice's vectors as rows.
pub(super) fn rows(lattice: &Lattice) -> Matrix3<f64> {
    Matrix3::from_fn(|i, j| lattice.0[i][j])
}

/// The lattice with these rows.
pub(super) fn lattice(rows: &Matrix3<f64>) -> Lattice {
    Lattice(std::array::from_fn(|i| std::array::from_fn(|j| rows[(i, j)])))
}
