//! A periodic structure: lattice, species and fractional coordinates.

use serde::{Deserialize, Serialize};

use super::Element;

/// Smallest distance between two atoms (or an atom and its image) that a structure may have, angstrom.
pub const OVERLAP: f64 = 0.01;

/// Three lattice vectors as rows, angstrom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lattice(pub [[f64; 3]; 3]);

/// Atoms in a periodic cell. `species` and `frac` have one entry per atom.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// Lattice vectors, rows, angstrom.
    pub lattice: Lattice,
    /// Element of each atom.
    pub species: Vec<Element>,
    /// Fractional coordinates of each atom.
    pub frac: Vec<[f64; 3]>,
}

/// Why numbers do not make a structure.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum StructureError {
    /// No atoms at all.
    #[error("the structure has no atoms")]
    Empty,
    /// `species` and `frac` differ in length.
    #[error("{species} species but {coordinates} coordinates")]
    Lengths {
        /// Number of species.
        species: usize,
        /// Number of coordinate triples.
        coordinates: usize,
    },
    /// A lattice entry or coordinate is NaN or infinite.
    #[error("{what} is not finite")]
    NotFinite {
        /// Which number.
        what: String,
    },
    /// Lattice vectors that span no volume.
    #[error("the cell is flat: volume {volume:.3e} A^3")]
    FlatCell {
        /// Absolute volume, A^3.
        volume: f64,
    },
    /// Six cell parameters that no three vectors have.
    #[error("cell lengths {lengths:?} A with angles {angles:?} degrees do not form a cell")]
    Cell {
        /// a, b, c in angstrom.
        lengths: [f64; 3],
        /// alpha, beta, gamma in degrees.
        angles: [f64; 3],
    },
}

impl Lattice {
    /// Vectors from lengths (angstrom) and angles (degrees): a along x, b in the xy plane.
    ///
    /// # Errors
    /// [`StructureError::Cell`] when no right-handed cell of positive volume has these parameters.
    pub fn from_parameters(lengths: [f64; 3], angles: [f64; 3]) -> Result<Self, StructureError> {
        let [a, b, c] = lengths;
        let [cos_alpha, cos_beta, cos_gamma] = angles.map(cos_degrees);
        let sin_gamma = (1.0 - cos_gamma * cos_gamma).max(0.0).sqrt();
        let cy = (cos_alpha - cos_beta * cos_gamma) / sin_gamma;
        let cz2 = 1.0 - cos_beta * cos_beta - cy * cy;
        let positive = lengths.iter().all(|x| x.is_finite() && *x > 0.0);
        let sane = angles.iter().all(|x| x.is_finite() && *x > 0.0 && *x < 180.0);
        if !(positive && sane && cz2 > 0.0 && cz2.is_finite()) {
            return Err(StructureError::Cell { lengths, angles });
        }
        Ok(Self([[a, 0.0, 0.0], [b * cos_gamma, b * sin_gamma, 0.0], [c * cos_beta, c * cy, c * cz2.sqrt()]]))
    }

    /// Lengths (angstrom) and angles (degrees).
    pub fn parameters(&self) -> ([f64; 3], [f64; 3]) {
        let [a, b, c] = self.0;
        let length = |v: [f64; 3]| dot(v, v).sqrt();
        let angle = |u, v| (dot(u, v) / (length(u) * length(v))).clamp(-1.0, 1.0).acos().to_degrees();
        ([length(a), length(b), length(c)], [angle(b, c), angle(a, c), angle(a, b)])
    }

    /// Signed volume, A^3: negative for a left-handed cell.
    pub fn signed_volume(&self) -> f64 {
        let [a, b, c] = self.0;
        dot(a, [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]])
    }

    /// Absolute volume, A^3.
    pub fn volume(&self) -> f64 {
        self.signed_volume().abs()
    }

    /// Cartesian vector of a fractional one, angstrom.
    pub fn cartesian(&self, frac: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|k| (0..3).map(|i| frac[i] * self.0[i][k]).sum())
    }

    /// Fractional vector of a Cartesian one (angstrom); not finite for a flat cell.
    pub fn fractional(&self, cartesian: [f64; 3]) -> [f64; 3] {
        let volume = self.signed_volume();
        std::array::from_fn(|i| {
            // Cramer's rule: the vector in the place of lattice vector i.
            let mut replaced = *self;
            replaced.0[i] = cartesian;
            replaced.signed_volume() / volume
        })
    }
}

impl Structure {
    /// Checks and assembles a structure; coordinates stay as given (not wrapped).
    ///
    /// # Errors
    /// Any [`StructureError`] but `Cell`. Overlapping atoms are not looked for here: that needs neighbours.
    pub fn new(lattice: Lattice, species: Vec<Element>, frac: Vec<[f64; 3]>) -> Result<Self, StructureError> {
        if species.len() != frac.len() {
            return Err(StructureError::Lengths { species: species.len(), coordinates: frac.len() });
        }
        if species.is_empty() {
            return Err(StructureError::Empty);
        }
        if lattice.0.iter().flatten().any(|x| !x.is_finite()) {
            return Err(StructureError::NotFinite { what: "a lattice entry".into() });
        }
        if let Some(atom) = frac.iter().position(|r| r.iter().any(|x| !x.is_finite())) {
            return Err(StructureError::NotFinite { what: format!("a coordinate of atom {}", atom + 1) });
        }
        let volume = lattice.volume();
        let scale: f64 = lattice.0.iter().map(|v| dot(*v, *v).sqrt()).product();
        if !(volume.is_finite() && volume > 1e-6 * scale && volume > 1e-9) {
            return Err(StructureError::FlatCell { volume });
        }
        Ok(Self { lattice, species, frac })
    }

    /// The structure with one atom moved by a Cartesian vector, angstrom.
    pub fn displaced(&self, atom: usize, step: [f64; 3]) -> Self {
        let mut moved = self.clone();
        let step = self.lattice.fractional(step);
        (0..3).for_each(|k| moved.frac[atom][k] += step[k]);
        moved
    }

    /// The structure under a symmetric strain of `h / 2` at (i, j) and at (j, i), or `h` at (i, i); fractional coordinates stay.
    /// The energy's derivative by `h` at 0 is the component of the stress times the volume.
    pub fn strained(&self, [i, j]: [usize; 2], h: f64) -> Self {
        let mut strained = self.clone();
        for vector in &mut strained.lattice.0 {
            let old = *vector;
            vector[j] += 0.5 * h * old[i];
            vector[i] += 0.5 * h * old[j];
        }
        strained
    }

    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.species.len()
    }

    /// Never true for a structure made by [`Structure::new`].
    pub fn is_empty(&self) -> bool {
        self.species.is_empty()
    }

    /// Cartesian positions, angstrom.
    pub fn positions(&self) -> Vec<[f64; 3]> {
        self.frac.iter().map(|r| self.lattice.cartesian(*r)).collect()
    }
}

/// Cosine that is exact for the angles crystal systems prescribe.
fn cos_degrees(angle: f64) -> f64 {
    match angle {
        90.0 => 0.0,
        60.0 => 0.5,
        120.0 => -0.5,
        _ => angle.to_radians().cos(),
    }
}

fn dot(u: [f64; 3], v: [f64; 3]) -> f64 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn parameters_round_trip(a in 1.0..20.0f64, b in 1.0..20.0f64, c in 1.0..20.0f64,
                                 al in 65.0..110.0f64, be in 65.0..110.0f64, ga in 65.0..110.0f64) {
            let lattice = Lattice::from_parameters([a, b, c], [al, be, ga]).unwrap();
            let (lengths, angles) = lattice.parameters();
            for (x, y) in lengths.iter().zip([a, b, c]) { prop_assert!((x - y).abs() < 1e-9); }
            for (x, y) in angles.iter().zip([al, be, ga]) { prop_assert!((x - y).abs() < 1e-7); }
            prop_assert!(lattice.signed_volume() > 0.0);
        }
    }

    #[test]
    fn impossible_cells_are_refused() {
        for (lengths, angles) in [
            ([1.0, 1.0, 1.0], [90.0, 90.0, 180.0]),
            ([1.0, -1.0, 1.0], [90.0; 3]),
            ([1.0, 1.0, f64::NAN], [90.0; 3]),
            ([1.0; 3], [120.0, 120.0, 120.0]),
        ] {
            assert!(matches!(Lattice::from_parameters(lengths, angles), Err(StructureError::Cell { .. })));
        }
    }

    #[test]
    fn broken_structures_are_refused() {
        let cubic = Lattice([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]]);
        let flat = Lattice([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [1.0, 1.0, 0.0]]);
        let fe = Element::from_symbol("Fe").unwrap();
        assert_eq!(Structure::new(cubic, vec![], vec![]), Err(StructureError::Empty));
        assert!(matches!(Structure::new(flat, vec![fe], vec![[0.0; 3]]), Err(StructureError::FlatCell { .. })));
        assert!(matches!(Structure::new(cubic, vec![fe], vec![[f64::NAN; 3]]), Err(StructureError::NotFinite { .. })));
        assert!(matches!(Structure::new(cubic, vec![fe], vec![]), Err(StructureError::Lengths { .. })));
    }
}
