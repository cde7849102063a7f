//! Average minimum distances (D. Widdowson et al., MATCH Commun. Math. Comput. Chem. 87, 529 (2022)): a crystal as distances alone,
//! whatever its cell and its elements. Unlike a matcher's verdict, they change little where a crystal changes little.

use serde::Serialize;

use crate::crystal::{NeighbourError, Structure, neighbours};

/// Neighbours of an atom that are looked at.
const NEIGHBOURS: usize = 100;
/// How much further is looked where some atom has too few.
const GROWTH: f64 = 1.25;
/// Pairs that are looked at.
const MOST_PAIRS: usize = 2_000_000;

/// Entry `k - 1` is the mean, over the atoms of a cell, of the distance to the k-th nearest atom, angstrom.
#[derive(Clone, Debug, PartialEq)]
pub struct AverageDistances(Box<[f32]>);

/// How far samples are from the nearest known structure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Nearest {
    /// Samples with a distance.
    pub samples: usize,
    /// Median, angstrom.
    pub median: f64,
    /// Mean, angstrom.
    pub mean: f64,
}

impl AverageDistances {
    /// Of a structure.
    ///
    /// # Errors
    /// [`NeighbourError`] for a cell whose neighbours cannot be listed.
    pub fn new(structure: &Structure) -> Result<Self, NeighbourError> {
        let per_atom = structure.lattice.volume() / structure.len() as f64;
        let mut cutoff = (1.5 * NEIGHBOURS as f64 * per_atom * 3.0 / (4.0 * std::f64::consts::PI)).cbrt();
        loop {
            let near = neighbours(structure, cutoff, None, MOST_PAIRS)?;
            let mut distances = vec![Vec::new(); structure.len()];
            for (centre, distance) in near.centre.iter().zip(&near.distance) {
                distances[*centre as usize].push(*distance);
            }
            if distances.iter().all(|of_atom| of_atom.len() >= NEIGHBOURS) {
                return Ok(Self::average(distances));
            }
            cutoff *= GROWTH;
        }
    }

    fn average(mut distances: Vec<Vec<f64>>) -> Self {
        distances.iter_mut().for_each(|of_atom| of_atom.sort_unstable_by(f64::total_cmp));
        let atoms = distances.len() as f64;
        let mean = |k: usize| (distances.iter().map(|of_atom| of_atom[k]).sum::<f64>() / atoms) as f32;
        Self((0..NEIGHBOURS).map(mean).collect())
    }

    /// The largest difference of two entries, angstrom.
    pub fn distance(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        pairs.map(|(one, other)| f64::from((one - other).abs())).fold(0.0, f64::max)
    }
}

impl Nearest {
    /// Of distances; `None` of none.
    pub fn new(distances: impl Iterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = distances.collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let (samples, middle) = (sorted.len(), sorted.len() / 2);
        let lower = sorted.get((samples.max(1) - 1) / 2)?;
        Some(Self {
            samples,
            median: 0.5 * (lower + sorted[middle]),
            mean: sorted.iter().sum::<f64>() / samples as f64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::{Element, Lattice};

    fn structure(lattice: [[f64; 3]; 3], frac: &[[f64; 3]]) -> Structure {
        let element = Element::from_symbol("O").unwrap();
        Structure::new(Lattice(lattice), vec![element; frac.len()], frac.to_vec()).unwrap()
    }

    /// The package average-minimum-distance 1.6.1: `AMD(PeriodicSet(motif, cell), 100)` and `AMD_pdist`.
    #[test]
    fn distances_are_those_of_the_authors_program() {
        let crystals = [
            structure([[4.12, 0.0, 0.0], [0.0, 4.12, 0.0], [0.0, 0.0, 4.12]], &[[0.0; 3], [0.5; 3]]),
            structure([[0.0, 2.82, 2.82], [2.82, 0.0, 2.82], [2.82, 2.82, 0.0]], &[[0.0; 3], [0.5; 3]]),
            structure(
                [[5.1, 0.0, 0.0], [0.3, 6.2, 0.0], [-1.1, 0.4, 7.3]],
                &[[0.1, 0.2, 0.3], [0.45, 0.7, 0.15], [0.8, 0.33, 0.62]],
            ),
        ];
        let expected = [
            [3.568_024_7, 4.12, 6.832_247_1, 9.212_600_1],
            [2.82, 3.988_082_2, 6.305_711_7, 8.46],
            [3.345_083_9, 5.772_792_9, 9.681_852_3, 12.176_576_2],
        ];
        let found = crystals.map(|crystal| AverageDistances::new(&crystal).unwrap());
        for (found, expected) in found.iter().zip(expected) {
            for (k, expected) in [1, 10, 50, 100].into_iter().zip(expected) {
                assert!((f64::from(found.0[k - 1]) - expected).abs() < 1e-5, "{k}: {} {expected}", found.0[k - 1]);
            }
        }
        for (i, j, expected) in [(0, 1, 2.071_770_75), (0, 2, 2.963_976_13), (1, 2, 4.609_101_64)] {
            assert!((found[i].distance(&found[j]) - expected).abs() < 1e-5);
        }
        let doubled = structure(
            [[8.24, 0.0, 0.0], [0.0, 4.12, 0.0], [0.0, 0.0, 4.12]],
            &[[0.0; 3], [0.25, 0.5, 0.5], [0.5, 0.0, 0.0], [0.75, 0.5, 0.5]],
        );
        assert!(AverageDistances::new(&doubled).unwrap().distance(&found[0]) < 1e-5);
    }

    #[test]
    fn cells_that_cannot_be_measured_are_errors() {
        let light = structure([[9e4, 0.0, 0.0], [0.0, 9e4, 0.0], [0.0, 0.0, 9e4]], &[[0.0; 3]]);
        assert!(AverageDistances::new(&light).is_err());
        let thin = structure([[0.6, 0.0, 0.0], [0.0, 500.0, 0.0], [0.0, 0.0, 500.0]], &[[0.0; 3]]);
        let _ = AverageDistances::new(&thin);
    }

    #[test]
    fn medians_are_in_the_middle() {
        let of = |distances: &[f64]| Nearest::new(distances.iter().copied());
        assert_eq!(of(&[3.0, 1.0, 5.0]), Some(Nearest { samples: 3, median: 3.0, mean: 3.0 }));
        assert_eq!(of(&[2.0, 1.0]).map(|nearest| nearest.median), Some(1.5));
        assert_eq!(of(&[]), None);
    }
}
