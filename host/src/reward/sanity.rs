//! Bounds outside which results are not believed: for unphysical crystals, potentials return energies far below any hull.

use super::Failure;
use super::terms::density;
use crate::crystal::{Structure, smallest_distance};

/// Bounds on a crystal before models are run on it, and on the result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sanity {
    /// Smallest distance between atoms, angstrom.
    pub min_distance: f64,
    /// Lowest and highest density, g/cm^3 (the densest crystal known, osmium, has 22.6).
    pub density: [f64; 2],
    /// Lowest energy above hull, eV/atom.
    pub e_hull: f64,
}

impl Default for Sanity {
    fn default() -> Self {
        Self { min_distance: 0.5, density: [0.01, 30.0], e_hull: -0.5 }
    }
}

impl Sanity {
    /// Whether models may be run on a structure.
    ///
    /// # Errors
    /// [`Failure::TooClose`] or [`Failure::Density`].
    pub fn check(&self, structure: &Structure) -> Result<(), Failure> {
        let distance = smallest_distance(structure);
        if distance < self.min_distance {
            return Err(Failure::TooClose { distance, bound: self.min_distance });
        }
        let value = density(structure);
        let [low, high] = self.density;
        if !(low..=high).contains(&value) {
            return Err(Failure::Density { value, low, high });
        }
        Ok(())
    }

    /// An energy above hull, eV/atom, if it can be believed.
    ///
    /// # Errors
    /// [`Failure::BelowHull`].
    pub fn believe(&self, e_hull: f64) -> Result<f64, Failure> {
        if e_hull < self.e_hull { Err(Failure::BelowHull { value: e_hull, bound: self.e_hull }) } else { Ok(e_hull) }
    }
}
