//! A crystal as the policy writes it: space group, lattice and one site per Wyckoff orbit; and its expansion to atoms.

use serde::{Deserialize, Serialize};

use super::wyckoff::unit;
use super::{Affine, Element, Lattice, Orbits, SpaceGroup, Structure, StructureError, WyckoffPosition};
use super::{wyckoff_position, wyckoff_positions};

/// One symmetry-inequivalent atom.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Site {
    /// Wyckoff index 1..=27 (1 is letter a, 27 is A).
    pub wyckoff: u8,
    /// Element of all atoms of the orbit.
    pub species: Element,
    /// Fractional coordinates of one of them, on the first operator's subspace.
    pub coord: [f64; 3],
}

/// A crystal as tokens (CrystalFormer, arXiv:2403.15734), without padding.
///
/// # Example
/// Rock salt, group 225: one site on position a (index 1) and one on b (index 2) stand for 4 atoms each. With 8 atoms in the
/// conventional cell, a = 5.64 A is the token 5.64 / 2.
/// ```
/// use temper::crystal::{Element, SYMPREC, Site, SpaceGroup, Tokens, tokenise};
///
/// let site = |wyckoff, symbol, coord| Site { wyckoff, species: Element::from_symbol(symbol).unwrap(), coord };
/// let right = std::f64::consts::FRAC_PI_2;
/// let salt = Tokens {
///     group: SpaceGroup::new(225).unwrap(),
///     lattice: [2.82, 2.82, 2.82, right, right, right],
///     sites: vec![site(1, "Na", [0.0; 3]), site(2, "Cl", [0.5; 3])],
/// };
/// let crystal = salt.to_structure().unwrap();
/// assert_eq!(crystal.len(), 8);
/// assert!((crystal.lattice.volume() - 5.64_f64.powi(3)).abs() < 1e-9);
/// let again = tokenise(&crystal, SYMPREC).unwrap();
/// assert_eq!((again.group, again.sites.len()), (salt.group, 2));
/// assert!((again.lattice[0] - 2.82).abs() < 1e-9);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tokens {
    /// In the setting of [`SpaceGroup`].
    pub group: SpaceGroup,
    /// a, b, c of the conventional cell divided by the cube root of its number of atoms, angstrom; then alpha, beta,
    /// gamma in radians.
    pub lattice: [f64; 6],
    /// In ascending order of (wyckoff, x, y, z) when tokenised; as drawn when sampled.
    pub sites: Vec<Site>,
}

/// Why tokens are no crystal. Sites are counted from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum TokenError {
    /// No site at all.
    #[error("the crystal has no sites")]
    Empty,
    /// A Wyckoff index that the group does not have.
    #[error("site {site}: space group {group} has no Wyckoff position of index {index}")]
    NoPosition {
        /// Which site.
        site: usize,
        /// The crystal's group.
        group: SpaceGroup,
        /// Index asked for.
        index: u8,
    },
    /// A position without degree of freedom that two sites claim.
    #[error(
        "site {site}: Wyckoff position {letter} of space group {group} is a single set of points, and already occupied"
    )]
    Taken {
        /// The later site.
        site: usize,
        /// The crystal's group.
        group: SpaceGroup,
        /// Letter of the position.
        letter: char,
    },
    /// A coordinate that is NaN or infinite.
    #[error("site {site}: a coordinate is not finite")]
    NotFinite {
        /// Which site.
        site: usize,
    },
    /// A lattice that makes no cell.
    #[error(transparent)]
    Structure(#[from] StructureError),
}

impl Tokens {
    /// Atoms of each site in the conventional cell.
    ///
    /// # Errors
    /// [`TokenError::NoPosition`].
    pub fn multiplicities(&self) -> Result<Vec<usize>, TokenError> {
        Ok(self.positions()?.iter().map(|position| position.multiplicity()).collect())
    }

    /// Atoms in the conventional cell.
    ///
    /// # Errors
    /// [`TokenError::NoPosition`].
    pub fn num_atoms(&self) -> Result<usize, TokenError> {
        Ok(self.multiplicities()?.iter().sum())
    }

    /// The orbits of [`Tokens::to_structure`].
    pub fn orbits(&self) -> Orbits {
        Orbits { group: self.group, wyckoff: self.sites.iter().map(|site| site.wyckoff).collect() }
    }

    /// The conventional cell with all atoms, site after site, coordinates in [0, 1); dependent cell parameters are
    /// overwritten as the group demands. Atoms may overlap.
    ///
    /// # Errors
    /// Any [`TokenError`].
    pub fn to_structure(&self) -> Result<Structure, TokenError> {
        let positions = self.checked_positions()?;
        let (mut species, mut frac) = (Vec::new(), Vec::new());
        for (site, position) in self.sites.iter().zip(positions) {
            frac.extend(expand(self.group, position, site.coord));
            species.resize(frac.len(), site.species);
        }
        Ok(Structure::new(self.cell(frac.len())?, species, frac)?)
    }

    /// Cell of `atoms` atoms, angstrom.
    pub(super) fn cell(&self, atoms: usize) -> Result<Lattice, TokenError> {
        let scale = (atoms as f64).cbrt();
        let [a, b, c, alpha, beta, gamma] = self.lattice;
        let angles = [alpha, beta, gamma].map(f64::to_degrees);
        let (lengths, angles) = self.group.symmetrize_lattice([a, b, c].map(|length| length * scale), angles);
        Ok(Lattice::from_parameters(lengths, angles)?)
    }

    /// The Wyckoff position of each site.
    ///
    /// # Errors
    /// [`TokenError::NoPosition`] for a letter that the group does not have.
    pub fn positions(&self) -> Result<Vec<&'static WyckoffPosition>, TokenError> {
        let missing = |site, index| TokenError::NoPosition { site, group: self.group, index };
        let numbered = self.sites.iter().map(|site| site.wyckoff).zip(1..);
        numbered.map(|(index, site)| wyckoff_position(self.group, index).ok_or(missing(site, index))).collect()
    }

    /// Whether the sites make sense: letters of the group, finite coordinates, nothing claimed twice. The lattice is
    /// judged by [`Tokens::to_structure`].
    ///
    /// # Errors
    /// Any [`TokenError`] but `Structure`.
    pub fn check(&self) -> Result<(), TokenError> {
        self.checked_positions().map(drop)
    }

    fn checked_positions(&self) -> Result<Vec<&'static WyckoffPosition>, TokenError> {
        let positions = self.positions()?;
        if positions.is_empty() {
            return Err(TokenError::Empty);
        }
        let mut taken = [false; 28];
        for ((site, position), number) in self.sites.iter().zip(&positions).zip(1..) {
            if site.coord.iter().any(|x| !x.is_finite()) {
                return Err(TokenError::NotFinite { site: number });
            }
            let before = std::mem::replace(&mut taken[usize::from(position.index)], true);
            if position.dof0 && before {
                return Err(TokenError::Taken { site: number, group: self.group, letter: position.letter() });
            }
        }
        Ok(positions)
    }
}

/// The orbit of a point: of its images under the whole group, the first that the position's first operator moves least
/// stands for the orbit, and the position's operators are applied to it (as the CrystalFormer code does).
fn expand(group: SpaceGroup, position: &WyckoffPosition, point: [f64; 3]) -> impl Iterator<Item = [f64; 3]> {
    let general = wyckoff_positions(group).last().map_or(&[][..], |position| &position.operators);
    let mut best = (f64::INFINITY, point);
    for image in general.iter().map(|operation: &Affine| operation.apply(point)) {
        let distance = position.residual(image).iter().map(|t| t * t).sum();
        if distance < best.0 {
            best = (distance, image);
        }
    }
    position.operators.iter().map(move |operator| operator.apply(best.1).map(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(group: i64, lattice: [f64; 6], sites: &[(u8, &str, [f64; 3])]) -> Tokens {
        let site = |(wyckoff, symbol, coord): &(u8, &str, [f64; 3])| Site {
            wyckoff: *wyckoff,
            species: Element::from_symbol(symbol).unwrap(),
            coord: *coord,
        };
        Tokens { group: SpaceGroup::new(group).unwrap(), lattice, sites: sites.iter().map(site).collect() }
    }

    const RIGHT: f64 = std::f64::consts::FRAC_PI_2;

    #[test]
    fn rock_salt_expands_to_eight_atoms() {
        // b, c and the angles are overwritten: the group is cubic.
        let salt = tokens(225, [2.82, 1.0, 1.0, 1.0, 1.0, 1.0], &[(1, "Na", [0.0; 3]), (2, "Cl", [0.5; 3])]);
        assert_eq!(salt.multiplicities(), Ok(vec![4, 4]));
        let structure = salt.to_structure().unwrap();
        assert_eq!(structure.lattice.parameters().0.map(|x| (x * 1e9).round() / 1e9), [5.64; 3]);
        assert_eq!(structure.frac[..4], [[0.0; 3], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]);
        assert_eq!(structure.frac[4], [0.5; 3]);
    }

    #[test]
    fn any_atom_of_an_orbit_stands_for_it() {
        let given = |coord| tokens(221, [3.0, 3.0, 3.0, RIGHT, RIGHT, RIGHT], &[(5, "O", coord)]);
        let expanded = |coord| {
            let mut frac = given(coord).to_structure().unwrap().frac;
            frac.sort_by(|x, y| x.partial_cmp(y).unwrap());
            frac
        };
        // 6e is x,0,0: the point may be on any of its axes, and slightly off them.
        assert_eq!(expanded([0.25, 0.0, 0.0]), expanded([0.0, 0.75, 0.0]));
        assert_eq!(expanded([0.25, 0.0, 0.0]), expanded([0.01, 0.01, 0.25]));
        assert_eq!(given([0.25, 0.0, 0.0]).num_atoms(), Ok(6));
    }

    #[test]
    fn nonsense_is_refused() {
        let cell = [3.0, 3.0, 3.0, RIGHT, RIGHT, RIGHT];
        let group = SpaceGroup::new(221).unwrap();
        let refusal = |lattice, sites: &[_]| tokens(221, lattice, sites).to_structure().unwrap_err();
        assert_eq!(refusal(cell, &[]), TokenError::Empty);
        assert_eq!(refusal(cell, &[(15, "O", [0.0; 3])]), TokenError::NoPosition { site: 1, group, index: 15 });
        assert_eq!(refusal(cell, &[(0, "O", [0.0; 3])]), TokenError::NoPosition { site: 1, group, index: 0 });
        let twice = refusal(cell, &[(1, "O", [0.0; 3]), (1, "Li", [0.0; 3])]);
        assert_eq!(twice, TokenError::Taken { site: 2, group, letter: 'a' });
        let infinite = refusal(cell, &[(1, "O", [0.0; 3]), (2, "O", [f64::INFINITY, 0.0, 0.0])]);
        assert_eq!(infinite, TokenError::NotFinite { site: 2 });
        for length in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            let mut cell = cell;
            cell[0] = length;
            let error = refusal(cell, &[(1, "O", [0.0; 3])]);
            assert!(matches!(error, TokenError::Structure(StructureError::Cell { .. })), "{error}");
        }
        let flat = tokens(1, [3.0, 3.0, 3.0, 2.1, 2.1, 2.1], &[(1, "O", [0.0; 3])]).to_structure();
        assert!(matches!(flat, Err(TokenError::Structure(_))), "{flat:?}");
    }
}
