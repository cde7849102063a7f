//! Distances between atoms of a periodic structure.

use crate::{Incompatible, Structure};

/// Distances that one search may look at, so that an absurd cell costs seconds and not days.
const MOST_DISTANCES: f64 = 1e9;

/// A structure in which distances are looked for up to a radius.
pub(crate) struct Search<'a> {
    structure: Structure<'a>,
    radius: f64,
    /// Cells to either side, along each vector.
    cells: [i64; 3],
}

impl<'a> Search<'a> {
    /// A search from `centres` atoms within `radius` (angstrom).
    pub fn new(structure: Structure<'a>, radius: f64, centres: usize) -> Result<Self, Incompatible> {
        // Differences of coordinates are wrapped to half a cell, hence the half.
        let reach = heights(&structure.lattice).map(|height| (radius / height + 0.5).floor());
        let images: f64 = reach.iter().map(|n| 2.0 * n + 1.0).product();
        let distances = images * centres as f64 * structure.atomic_numbers.len() as f64;
        // Written so that NaN is refused too.
        if distances <= MOST_DISTANCES {
            Ok(Self { structure, radius, cells: reach.map(|n| n as i64) })
        } else {
            Err(Incompatible::Cell)
        }
    }

    /// Calls `f` with the distance of every image of `to` from `from` within the radius; of the atom itself only with those of
    /// its images.
    pub fn distances(&self, from: usize, to: usize, mut f: impl FnMut(f64)) {
        let (a, b) = (self.structure.frac_coords[from], self.structure.frac_coords[to]);
        let nearest: [f64; 3] = std::array::from_fn(|k| (b[k] - a[k]) - (b[k] - a[k]).round());
        let [na, nb, nc] = self.cells;
        for i in -na..=na {
            for j in -nb..=nb {
                for k in -nc..=nc {
                    if from == to && (i, j, k) == (0, 0, 0) {
                        continue;
                    }
                    let frac = [nearest[0] + i as f64, nearest[1] + j as f64, nearest[2] + k as f64];
                    let distance = length(cartesian(&self.structure.lattice, frac));
                    if distance <= self.radius {
                        f(distance);
                    }
                }
            }
        }
    }
}

/// Distances between opposite faces of a cell, angstrom.
fn heights(lattice: &[[f64; 3]; 3]) -> [f64; 3] {
    let [a, b, c] = *lattice;
    let volume = dot(a, cross(b, c)).abs();
    [(b, c), (c, a), (a, b)].map(|(u, v)| volume / length(cross(u, v)))
}

fn cartesian(lattice: &[[f64; 3]; 3], frac: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|k| (0..3).map(|i| frac[i] * lattice[i][k]).sum())
}

pub(crate) fn cross(u: [f64; 3], v: [f64; 3]) -> [f64; 3] {
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

pub(crate) fn dot(u: [f64; 3], v: [f64; 3]) -> f64 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
}

pub(crate) fn length(v: [f64; 3]) -> f64 {
    dot(v, v).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(lattice: [[f64; 3]; 3], frac: &[[f64; 3]], pair: (usize, usize), radius: f64) -> Vec<f64> {
        let structure = Structure { lattice, atomic_numbers: &vec![8; frac.len()], frac_coords: frac };
        let mut found = Vec::new();
        Search::new(structure, radius, 1).unwrap().distances(pair.0, pair.1, |d| found.push(d));
        found.sort_by(f64::total_cmp);
        found
    }

    #[test]
    fn images_are_found_in_any_description_of_the_lattice() {
        let cubic = [[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]];
        // The same lattice, sheared; coordinates outside of the cell.
        let sheared = [[3.0, 0.0, 0.0], [15.0, 3.0, 0.0], [-6.0, 21.0, 3.0]];
        for lattice in [cubic, sheared] {
            let own = sorted(lattice, &[[7.25, 0.0, -3.0]], (0, 0), 4.3);
            let expected = [vec![3.0; 6], vec![18f64.sqrt(); 12]].concat();
            assert_eq!(own.len(), expected.len());
            assert!(own.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{own:?}");
        }
        let pair = sorted(cubic, &[[0.9, 0.0, 0.0], [-4.0, 0.0, 0.0]], (0, 1), 1.0);
        assert!(pair.len() == 1 && (pair[0] - 0.3).abs() < 1e-12, "{pair:?}");
    }

    #[test]
    fn absurd_cells_are_refused() {
        let flat = [[1e5, 0.0, 0.0], [1e5, 1e-3, 0.0], [1e5, 0.0, 1e-3]];
        let none = [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]];
        for lattice in [flat, none] {
            let structure = Structure { lattice, atomic_numbers: &[8], frac_coords: &[[0.0; 3]] };
            assert_eq!(Search::new(structure, 4.0, 1).err(), Some(Incompatible::Cell));
        }
    }
}
