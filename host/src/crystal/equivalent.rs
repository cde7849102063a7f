//! The other descriptions of a crystal: what the Euclidean normaliser of its space group makes of its tokens.
//!
//! A space group leaves open which of several equivalent origins and orientations its crystals are described in. Sodium
//! may be on position a and chlorine on b in rock salt, or the other way round: one crystal, two rows of tokens. The maps
//! between such descriptions are the Euclidean normaliser of the group (International Tables for Crystallography, volume
//! A, chapter 3.5), modulo the group itself. Mirror images count as equivalent: they have the same energy.

use super::tokenise::{compare, settle};
use super::wyckoff::unit;
use super::{SYMPREC, Site, SpaceGroup, TokenError, Tokens, WyckoffPosition, wyckoff_positions};
use moyo::base::{AngleTolerance, Lattice, Operation, Transformation};
use moyo::data::{HallSymbol, Setting};
use moyo::identify::Normalizer;
use nalgebra::{Matrix3, Vector3};

/// A point on no special position, nor related to one by a simple shift. It tells the maps of a normaliser apart.
const GENERAL_POINT: [f64; 3] = [0.137_215, 0.283_914, 0.413_727];

/// How far a point may be from a Wyckoff position, in fractions of the cell, to lie on it: tokens are exact up to rounding.
const ON_POSITION: f64 = 1e-5;

/// Why the descriptions of a crystal could not be found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EquivalentError {
    /// The tokens are no crystal.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The normaliser of the group could not be found for this lattice.
    #[error("space group {group}: no normaliser found: {reason}")]
    Normaliser {
        /// The crystal's group.
        group: SpaceGroup,
        /// moyo's reason.
        reason: String,
    },
    /// A map of the normaliser does not take a Wyckoff position to one of the group.
    #[error("space group {group}: the normaliser takes Wyckoff position {letter} to none of the group")]
    Position {
        /// The crystal's group.
        group: SpaceGroup,
        /// The position.
        letter: char,
    },
}

/// All descriptions of a crystal in the setting of its group, each once; the first is the crystal as given.
///
/// The lattice is that of the tokens in each. As after [`tokenise`](super::tokenise), the atom with the smallest coordinates
/// stands for its orbit, and sites are in ascending order. In polar groups, shifts along the polar axes are descriptions
/// too, infinitely many of them: only one of those that differ by such a shift is among these.
///
/// # Errors
/// Any [`EquivalentError`].
pub fn equivalent_descriptions(tokens: &Tokens) -> Result<Vec<Tokens>, EquivalentError> {
    let mut descriptions = Vec::<Tokens>::new();
    for map in normaliser(tokens)? {
        let described = Tokens { sites: map.sites(tokens)?, ..*tokens };
        if !descriptions.iter().any(|known| same(known, &described)) {
            descriptions.push(described);
        }
    }
    Ok(descriptions)
}

/// A map of the normaliser, x -> linear x + shift in fractional coordinates of the conventional cell.
pub(super) struct Map {
    linear: Matrix3<f64>,
    shift: Vector3<f64>,
}

/// The maps of the normaliser, one for each coset of the group; the first is the identity.
pub(super) fn normaliser(tokens: &Tokens) -> Result<Vec<Map>, EquivalentError> {
    let group = tokens.group;
    let failed = |reason: &str| EquivalentError::Normaliser { group, reason: reason.to_owned() };
    let number = i32::from(group.number());
    let hall = Setting::Standard.hall_number(number).and_then(HallSymbol::from_hall_number);
    let hall = hall.ok_or_else(|| failed("no Hall symbol"))?;
    let to_conventional = Transformation::from_linear(hall.centering.linear());
    let cell = tokens.cell(tokens.num_atoms()?)?;
    let conventional = Lattice::new(Matrix3::from_fn(|i, j| cell.0[i][j]));
    let primitive = to_conventional.inverse_transform_lattice(&conventional);
    let (operations, generators) = (hall.primitive_traverse(), hall.primitive_generators());
    let found =
        Normalizer::from_lattice(&primitive, &operations, &generators, SYMPREC, AngleTolerance::default(), false)
            .map_err(|error| failed(&error.to_string()))?;
    let mut cosets = Vec::<[f64; 3]>::new();
    let mut maps = Vec::new();
    for map in found.operations() {
        let primitive = Operation::new(*map.linear(), *map.origin_shift());
        let moved = to_conventional.transform_operation(&primitive);
        let Operation { rotation, translation } = moved.ok_or_else(|| failed("a map does not keep the centring"))?;
        let map = Map { linear: rotation.map(f64::from), shift: translation };
        let image = smallest_image(group, map.apply(GENERAL_POINT));
        if !cosets.iter().any(|known| compare(known, &image).is_eq()) {
            cosets.push(image);
            maps.push(map);
        }
    }
    Ok(maps)
}

/// The projection on the directions along which a polar group leaves its origin open, in fractional coordinates: the mean of its
/// rotations.
pub(super) fn polar_directions(group: SpaceGroup) -> Option<Matrix3<f64>> {
    let operators = wyckoff_positions(group).last().map_or(&[][..], |general| &general.operators);
    let sum: Matrix3<f64> = operators.iter().map(|op| Matrix3::from_fn(|i, j| f64::from(op.rotation[i][j]))).sum();
    (sum != Matrix3::zeros()).then(|| sum / operators.len() as f64)
}

impl Map {
    /// The map, followed by a shift.
    pub(super) fn then_shifted(&self, shift: [f64; 3]) -> Self {
        Self { linear: self.linear, shift: self.shift + Vector3::from(shift) }
    }

    /// Where a point goes.
    pub(super) fn apply(&self, x: [f64; 3]) -> [f64; 3] {
        (self.linear * Vector3::from(x) + self.shift).into()
    }

    /// What becomes of the sites of a crystal, in the order of tokens.
    pub(super) fn sites(&self, tokens: &Tokens) -> Result<Vec<Site>, EquivalentError> {
        let positions = tokens.positions()?;
        let sites = tokens.sites.iter().zip(positions).map(|(site, position)| self.site(tokens.group, site, position));
        let mut sites = sites.collect::<Result<Vec<_>, _>>()?;
        sites.sort_by(order);
        Ok(sites)
    }

    /// What becomes of a site.
    fn site(&self, group: SpaceGroup, site: &Site, position: &WyckoffPosition) -> Result<Site, EquivalentError> {
        let lost = || EquivalentError::Position { group, letter: position.letter() };
        let moved = self.position(group, position).ok_or_else(lost)?;
        let image = self.apply(position.project(site.coord));
        let coord = on_first_representative(group, moved, image).min_by(compare).ok_or_else(lost)?;
        Ok(Site { wyckoff: moved.index, species: site.species, coord })
    }

    /// The Wyckoff position that a position becomes: that of the image of a point which lies on no other.
    fn position(&self, group: SpaceGroup, position: &WyckoffPosition) -> Option<&'static WyckoffPosition> {
        let image = self.apply(position.project(GENERAL_POINT));
        let alike = wyckoff_positions(group).iter().filter(|other| other.multiplicity() == position.multiplicity());
        alike.into_iter().find(|other| on_first_representative(group, other, image).next().is_some())
    }
}

/// The points of an orbit on the first representative of a Wyckoff position, in [0, 1).
fn on_first_representative(
    group: SpaceGroup,
    position: &WyckoffPosition,
    point: [f64; 3],
) -> impl Iterator<Item = [f64; 3]> {
    let on_position = |x: &[f64; 3]| position.residual(*x).iter().all(|t| t.abs() < ON_POSITION);
    images(group, point).filter(on_position).map(|x| position.project(position.project(x).map(settle)))
}

fn smallest_image(group: SpaceGroup, point: [f64; 3]) -> [f64; 3] {
    images(group, point).map(|x| x.map(|t| settle(unit(t)))).min_by(compare).unwrap_or(point)
}

/// The images of a point under the operations of a group.
pub(super) fn images(group: SpaceGroup, point: [f64; 3]) -> impl Iterator<Item = [f64; 3]> {
    let operations = wyckoff_positions(group).last().map_or(&[][..], |general| &general.operators);
    operations.iter().map(move |operation| operation.apply(point))
}

/// The order of sites in tokens.
fn order(s: &Site, t: &Site) -> std::cmp::Ordering {
    s.wyckoff.cmp(&t.wyckoff).then(compare(&s.coord, &t.coord))
}

/// Whether two descriptions of one crystal have the same sites within rounding.
fn same(one: &Tokens, other: &Tokens) -> bool {
    one.sites.iter().zip(&other.sites).all(|(s, t)| s.species == t.species && order(s, t).is_eq())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::testing::{difference, random_tokens};
    use crate::crystal::{Element, smallest_distance};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    /// A crystal of a group in a cell without more symmetry than it must have, with two atoms on general positions.
    fn general_crystal(number: i64) -> Tokens {
        let group = SpaceGroup::new(number).unwrap();
        let general = wyckoff_positions(group).last().unwrap().index;
        let site = |symbol, coord| Site { wyckoff: general, species: Element::from_symbol(symbol).unwrap(), coord };
        let (lengths, angles) = group.symmetrize_lattice([3.1, 3.7, 4.3], [83.0, 97.0, 102.0]);
        let lattice = [lengths, angles.map(f64::to_radians)].concat().try_into().unwrap();
        Tokens { group, lattice, sites: vec![site("Li", [0.11, 0.23, 0.37]), site("O", [0.31, 0.43, 0.09])] }
    }

    #[test]
    fn their_number_is_the_index_of_the_group_in_its_normaliser() {
        // The translations t with (W - 1) t integral for all rotations W, per lattice translation of the group; no rotation
        // of these lattices lies outside the group. International Tables A, tables 3.5.2.3 to 3.5.2.5.
        let indices =
            [(2, 8), (14, 8), (47, 8), (62, 8), (123, 4), (129, 4), (139, 2), (166, 2), (194, 2), (225, 2), (227, 2)];
        for (group, index) in indices {
            let found = equivalent_descriptions(&general_crystal(group)).unwrap();
            assert_eq!(found.len(), index, "space group {group}");
        }
    }

    #[test]
    fn rock_salt_has_two() {
        let site = |wyckoff, symbol, coord| Site { wyckoff, species: Element::from_symbol(symbol).unwrap(), coord };
        let sites = vec![site(1, "Na", [0.0; 3]), site(2, "Cl", [0.5; 3])];
        let right = std::f64::consts::FRAC_PI_2;
        let lattice = [2.82, 2.82, 2.82, right, right, right];
        let salt = Tokens { group: SpaceGroup::new(225).unwrap(), lattice, sites };
        let swapped = vec![site(1, "Cl", [0.0; 3]), site(2, "Na", [0.5; 3])];
        let found = equivalent_descriptions(&salt).unwrap();
        assert_eq!(found, vec![salt.clone(), Tokens { sites: swapped, ..salt }]);
    }

    #[test]
    fn every_one_is_the_same_crystal_and_leads_to_the_same_ones() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (group, general) in SpaceGroup::all().flat_map(|group| [(group, true), (group, false)]) {
            let sound = |tokens: &Tokens| smallest_distance(&tokens.to_structure().unwrap()) > 0.4;
            let tokens = std::iter::repeat_with(|| random_tokens(&mut rng, group, general)).find(sound).unwrap();
            let structure = tokens.to_structure().unwrap();
            let found = equivalent_descriptions(&tokens).unwrap_or_else(|error| panic!("{tokens:?}: {error}"));
            for description in &found {
                let other = description.to_structure().unwrap();
                assert_eq!(difference(&structure, &other, 1e-6), None, "{tokens:?} became {description:?}");
            }
            let last = found.last().unwrap();
            let again = equivalent_descriptions(last).unwrap();
            assert_eq!(again.len(), found.len(), "{tokens:?}");
            assert!(same(&again[0], last), "{last:?}: {:?}", again[0]);
            let closed = again.iter().all(|one| found.iter().any(|other| same(one, other)));
            assert!(closed || polar_directions(group).is_some(), "{tokens:?}");
        }
    }

    #[test]
    fn tokens_without_a_crystal_are_refused() {
        let flat = Tokens { lattice: [f64::NAN; 6], ..general_crystal(2) };
        assert!(matches!(equivalent_descriptions(&flat), Err(EquivalentError::Tokens(_))));
    }
}
