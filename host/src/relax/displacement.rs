//! How far the atoms of a crystal have moved.

use crate::crystal::{Lattice, Structure};

/// Root mean square displacement of the atoms between two descriptions of a crystal with the same atoms in the same order, angstrom:
/// differences of fractional coordinates, less their mean, in the lattice of the mean lengths and angles. Neither a strain nor a
/// translation or rotation of the whole counts.
pub fn displacement(before: &Structure, after: &Structure) -> f64 {
    let Some(lattice) = mean_lattice(&before.lattice, &after.lattice) else { return f64::INFINITY };
    let moves: Vec<[f64; 3]> =
        before.frac.iter().zip(&after.frac).map(|(x, y)| lattice.cartesian(difference(*y, *x))).collect();
    let count = moves.len() as f64;
    let mean = std::array::from_fn(|k| moves.iter().map(|v| v[k]).sum::<f64>() / count);
    let squares = moves.iter().map(|v| difference(*v, mean).iter().map(|x| x * x).sum::<f64>());
    (squares.sum::<f64>() / count).sqrt()
}

/// The lattice of the mean lengths and angles; `None` where no cell has them.
pub fn mean_lattice(one: &Lattice, two: &Lattice) -> Option<Lattice> {
    let mean = |u: [f64; 3], v: [f64; 3]| std::array::from_fn(|k| (u[k] + v[k]) / 2.0);
    let ((lengths, angles), (other_lengths, other_angles)) = (one.parameters(), two.parameters());
    Lattice::from_parameters(mean(lengths, other_lengths), mean(angles, other_angles)).ok()
}

fn difference(u: [f64; 3], v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|k| u[k] - v[k])
}
