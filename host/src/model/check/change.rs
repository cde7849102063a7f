//! Equivalent descriptions of a crystal, and crystals derived from it, with the expected change of the model's outputs.

use crate::conformance::{self, Matrix, rattling, rotation, times};
use crate::crystal::{Lattice, Structure};
use crate::model::OutputKind;

/// A crystal made from another.
pub(super) struct Change {
    /// The new crystal.
    pub structure: Structure,
    /// The old atom that each new atom was.
    pub order: Vec<usize>,
    /// What Cartesian vectors are multiplied with from the right.
    pub rotation: Option<Matrix>,
}

impl Change {
    fn of(structure: Structure) -> Self {
        Self { order: (0..structure.len()).collect(), structure, rotation: None }
    }

    /// What an output of the new crystal must be, given that of the old.
    pub fn expected(&self, kind: OutputKind, old: &[f64], old_atoms: usize) -> Vec<f64> {
        use OutputKind::{Energy, EnergyPerAtom, Forces, Magmoms, MeanEigenvalue, Property, Stress};
        match kind {
            // Totals of the cell, per atom in the file or not.
            Energy | EnergyPerAtom => old.iter().map(|e| e * self.order.len() as f64 / old_atoms as f64).collect(),
            Property | MeanEigenvalue => old.to_vec(),
            Magmoms => self.order.iter().filter_map(|atom| old.get(*atom).copied()).collect(),
            Forces => {
                let (forces, _) = old.as_chunks::<3>();
                let moved = self.order.iter().filter_map(|atom| forces.get(*atom));
                moved.flat_map(|force| self.rotation.map_or(*force, |r| times(*force, &r))).collect()
            }
            Stress => match (self.rotation, old.as_chunks::<3>().0) {
                (Some(r), [x, y, z]) => {
                    // R^T S R, rows being vectors.
                    let half = [*x, *y, *z].map(|row| times(row, &r));
                    let whole = transposed(&half).map(|row| times(row, &r));
                    transposed(&whole).into_iter().flatten().collect()
                }
                _ => old.to_vec(),
            },
        }
    }
}

/// Every atom moved by the same vector, which is no lattice vector.
pub(super) fn translated(structure: &Structure) -> Vec<Change> {
    let frac = conformance::translated(&structure.frac);
    vec![Change::of(Structure { frac, ..structure.clone() })]
}

/// Turned about an axis that is none of the crystal's.
pub(super) fn rotated(structure: &Structure) -> Vec<Change> {
    let lattice = Lattice(conformance::rotated(&structure.lattice.0));
    vec![Change { rotation: Some(rotation()), ..Change::of(Structure { lattice, ..structure.clone() }) }]
}

/// Atoms in reverse, and in another order.
pub(super) fn permuted(structure: &Structure) -> Vec<Change> {
    let n = structure.len();
    let reversed: Vec<usize> = (0..n).rev().collect();
    // A stride that shares no divisor with the number of atoms visits each once.
    let stride = (2..n).find(|s| gcd(*s, n) == 1).unwrap_or(1);
    let strided: Vec<usize> = (0..n).map(|k| (k * stride + 1) % n).collect();
    [reversed, strided].into_iter().map(|order| picked(structure, order, structure.lattice)).collect()
}

fn picked(structure: &Structure, order: Vec<usize>, lattice: Lattice) -> Change {
    let species = order.iter().map(|atom| structure.species[*atom]).collect();
    let frac = order.iter().map(|atom| structure.frac[*atom]).collect();
    Change { structure: Structure { lattice, species, frac }, order, rotation: None }
}

/// Twice the cell along each vector.
pub(super) fn doubled(structure: &Structure) -> Vec<Change> {
    (0..3).map(|axis| doubled_along(structure, axis)).collect()
}

fn doubled_along(structure: &Structure, axis: usize) -> Change {
    let n = structure.len();
    let mut lattice = structure.lattice;
    lattice.0[axis] = lattice.0[axis].map(|x| 2.0 * x);
    let mut change = picked(structure, (0..n).chain(0..n).collect(), lattice);
    for (atom, r) in change.structure.frac.iter_mut().enumerate() {
        r[axis] = 0.5 * (r[axis] + if atom < n { 0.0 } else { 1.0 });
    }
    change
}

/// The same lattice by other vectors: a + b, b + c, and a + b + c.
pub(super) fn redescribed(structure: &Structure) -> Vec<Change> {
    let [a, b, c] = structure.lattice.0;
    let sum = |u: [f64; 3], v: [f64; 3]| std::array::from_fn(|k| u[k] + v[k]);
    let lattice = Lattice([sum(a, b), sum(b, c), sum(sum(a, b), c)]);
    // r = x a + y b + z c in those vectors, by hand.
    let frac = structure.frac.iter().map(|&[x, y, z]| [y - z, y - x, x - y + z]).collect();
    vec![Change::of(Structure { lattice, frac, ..structure.clone() })]
}

/// Atoms displaced by up to `amplitude` angstrom along each axis, in a way that breaks every symmetry.
pub(super) fn rattled(structure: &Structure, amplitude: f64) -> Structure {
    let mut moved = structure.clone();
    for (atom, r) in moved.frac.iter_mut().enumerate() {
        let step = structure.lattice.fractional(rattling(atom).map(|x| amplitude * x));
        (0..3).for_each(|k| r[k] += step[k]);
    }
    moved
}

fn transposed(m: &Matrix) -> Matrix {
    std::array::from_fn(|i| std::array::from_fn(|j| m[j][i]))
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, neighbours};

    fn crystal() -> Structure {
        let lattice = Lattice([[3.1, 0.2, 0.0], [0.4, 2.9, 0.3], [0.1, -0.5, 3.3]]);
        let species = ["Na", "Cl", "Mg"].map(|s| Element::from_symbol(s).unwrap()).to_vec();
        Structure::new(lattice, species, vec![[0.1, 0.0, 0.2], [0.55, 0.4, 0.61], [0.8, 0.9, 0.4]]).unwrap()
    }

    /// Element and distances to all neighbours of an atom, sorted.
    fn surroundings(structure: &Structure, atom: usize) -> Vec<(u8, f64)> {
        let list = neighbours(structure, 5.0, None, 100_000).unwrap();
        let own = (0..list.len()).filter(|e| list.centre[*e] as usize == atom);
        let mut found: Vec<(u8, f64)> =
            own.map(|e| (structure.species[list.neighbour[e] as usize].number(), list.distance[e])).collect();
        found.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        found
    }

    #[test]
    fn every_change_keeps_what_each_atom_sees() {
        let old = crystal();
        for change in [translated, rotated, permuted, doubled, redescribed].iter().flat_map(|make| make(&old)) {
            for (new_atom, old_atom) in change.order.iter().enumerate() {
                let (before, after) = (surroundings(&old, *old_atom), surroundings(&change.structure, new_atom));
                assert_eq!(before.len(), after.len());
                for (b, a) in before.iter().zip(&after) {
                    assert!((b.1 - a.1).abs() < 1e-9, "{b:?} {a:?}");
                }
            }
            assert!(change.structure.lattice.signed_volume() > 0.0);
        }
        assert_ne!(surroundings(&rattled(&old, 0.1), 0), surroundings(&old, 0));
    }

    #[test]
    fn forces_and_stress_turn_with_the_crystal() {
        let old = crystal();
        let change = rotated(&old).remove(0);
        // A force along a bond stays along it; the stress u (x) u of a direction u becomes that of the turned one.
        let u = old.lattice.cartesian(old.frac[1]);
        let v = change.structure.lattice.cartesian(change.structure.frac[1]);
        let forces: Vec<f64> = std::iter::repeat_n(u, 3).flatten().collect();
        let turned = change.expected(OutputKind::Forces, &forces, 3);
        let outer = |w: [f64; 3]| -> Vec<f64> { w.iter().flat_map(|x| w.map(|y| x * y)).collect() };
        let stress = change.expected(OutputKind::Stress, &outer(u), 3);
        assert!(turned[..3].iter().zip(v).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!(stress.iter().zip(outer(v)).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
