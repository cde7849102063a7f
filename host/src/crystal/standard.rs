//! One description of a crystal among its equivalents, chosen by its geometry: crystals of one structure type look alike.
//!
//! The criterion is that of STRUCTURE TIDY (Parthé and Gelato, Acta Crystallographica A 40, 169 (1984); Gelato and Parthé,
//! Journal of Applied Crystallography 20, 139 (1987)): the smallest sum of the distances of the sites from the origin, in
//! fractional coordinates. Here the Wyckoff letters come before it, because the policy draws them first.

use std::cmp::Ordering;

use nalgebra::Vector3;
use serde::{Deserialize, Serialize};

use super::composition::electronegativity;
use super::equivalent::{EquivalentError, Map, images, normaliser, polar_directions};
use super::tokenise::{compare, settle};
use super::wyckoff::unit;
use super::{Site, Tokens};

/// In which of its equivalent descriptions a crystal is given to a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Description {
    /// As the symmetry search leaves it, which follows the file.
    #[default]
    Found,
    /// The standard description.
    Standard,
}

impl Description {
    /// Whether it is as found.
    pub fn is_found(&self) -> bool {
        *self == Self::Found
    }

    /// The crystal in this description.
    ///
    /// # Errors
    /// As [`standard_description`].
    pub fn of(self, tokens: &Tokens) -> Result<Tokens, EquivalentError> {
        match self {
            Self::Found => Ok(tokens.clone()),
            Self::Standard => standard_description(tokens),
        }
    }
}

/// Sums of distances that differ by less count as equal, in fractions of the cell: a hundred times the rounding of coordinates.
const EQUAL: f64 = 1e-4;

/// The standard description of a crystal: of all its descriptions in the setting of its group (see
/// [`equivalent_descriptions`](super::equivalent_descriptions)) the one with the first Wyckoff letters in the alphabet; of several, that with the
/// smallest sum of sqrt(x^2 + y^2 + z^2) over its sites; of several, that whose first sites have the smallest electronegativity.
///
/// In polar groups, one site has the polar coordinates 0. The lattice is that of `tokens`.
///
/// # Errors
/// Any [`EquivalentError`].
pub fn standard_description(tokens: &Tokens) -> Result<Tokens, EquivalentError> {
    let mut found = Vec::<(Vec<u8>, f64, Vec<Site>)>::new();
    for map in maps(tokens)? {
        let sites = map.sites(tokens)?;
        let letters: Vec<u8> = sites.iter().map(|site| site.wyckoff).collect();
        let sum = sites.iter().map(distance_from_origin).sum();
        match found.first().map_or(Ordering::Equal, |best| letters.cmp(&best.0)) {
            Ordering::Greater => continue,
            Ordering::Less => found.clear(),
            Ordering::Equal => {}
        }
        found.push((letters, sum, sites));
    }
    let smallest = found.iter().map(|(_, sum, _)| *sum).fold(f64::INFINITY, f64::min);
    let alike = found.into_iter().filter(|(_, sum, _)| *sum < smallest + EQUAL).map(|(_, _, sites)| sites);
    let sites = alike.min_by(|one, other| chemical_order(one, other)).unwrap_or_else(|| tokens.sites.clone());
    Ok(Tokens { sites, ..*tokens })
}

/// The maps to all descriptions: in polar groups, those that move an atom to 0 along the polar axes.
fn maps(tokens: &Tokens) -> Result<Vec<Map>, EquivalentError> {
    let cosets = normaliser(tokens)?;
    let Some(polar) = polar_directions(tokens.group) else { return Ok(cosets) };
    let mut maps = Vec::new();
    for map in cosets {
        for site in &tokens.sites {
            let atoms = images(tokens.group, map.apply(site.coord));
            let mut shifts: Vec<[f64; 3]> =
                atoms.map(|x| (polar * Vector3::from(x)).map(|t| settle(unit(t))).into()).collect();
            shifts.sort_by(compare);
            shifts.dedup_by(|one, other| compare(one, other).is_eq());
            maps.extend(shifts.into_iter().map(|shift| map.then_shifted(shift.map(|t| -t))));
        }
    }
    Ok(maps)
}

fn distance_from_origin(site: &Site) -> f64 {
    site.coord.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// By the electronegativities of the sites in turn, then by their elements and coordinates.
fn chemical_order(one: &[Site], other: &[Site]) -> Ordering {
    let by = |order: fn(&Site, &Site) -> Ordering| {
        one.iter().zip(other).map(move |(s, t)| order(s, t)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    by(|s, t| electronegativity(s.species).total_cmp(&electronegativity(t.species)))
        .then_with(|| by(|s, t| s.species.number().cmp(&t.species.number())))
        .then_with(|| by(|s, t| compare(&s.coord, &t.coord)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::testing::{difference, random_tokens};
    use crate::crystal::{Element, SpaceGroup, equivalent_descriptions, smallest_distance};
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn crystal(group: i64, lattice: [f64; 6], sites: &[(u8, &str, [f64; 3])]) -> Tokens {
        let site = |(wyckoff, symbol, coord): &(u8, &str, [f64; 3])| Site {
            wyckoff: *wyckoff,
            species: Element::from_symbol(symbol).unwrap(),
            coord: *coord,
        };
        Tokens { group: SpaceGroup::new(group).unwrap(), lattice, sites: sites.iter().map(site).collect() }
    }

    /// The crystal moved by a random amount along the polar axes of its group.
    fn shifted(tokens: &Tokens, rng: &mut ChaCha8Rng) -> Tokens {
        let Some(polar) = polar_directions(tokens.group) else { return tokens.clone() };
        let amount = polar * Vector3::from_fn(|_, _| rng.random_range(0.0..1.0));
        let stay = normaliser(tokens).unwrap().remove(0);
        Tokens { sites: stay.then_shifted(amount.into()).sites(tokens).unwrap(), ..*tokens }
    }

    fn alike(one: &Tokens, other: &Tokens) -> bool {
        let near = |a: f64, b: f64| (a - b - (a - b).round()).abs() < 1e-5;
        one.sites.len() == other.sites.len()
            && one.sites.iter().zip(&other.sites).all(|(s, t)| {
                (s.wyckoff, s.species) == (t.wyckoff, t.species) && (0..3).all(|i| near(s.coord[i], t.coord[i]))
            })
    }

    #[test]
    fn all_descriptions_of_a_crystal_have_the_same_standard() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        for (group, general) in SpaceGroup::all().flat_map(|group| [(group, true), (group, false)]) {
            let sound = |tokens: &Tokens| smallest_distance(&tokens.to_structure().unwrap()) > 0.4;
            let tokens = std::iter::repeat_with(|| random_tokens(&mut rng, group, general)).find(sound).unwrap();
            let standard = standard_description(&tokens).unwrap();
            let (before, after) = (tokens.to_structure().unwrap(), standard.to_structure().unwrap());
            assert_eq!(difference(&before, &after, 1e-6), None, "{tokens:?} became {standard:?}");
            for other in equivalent_descriptions(&tokens).unwrap() {
                let found = standard_description(&shifted(&other, &mut rng)).unwrap();
                assert!(alike(&found, &standard), "{other:?} became {found:?}, and {tokens:?} {standard:?}");
            }
        }
    }

    const RIGHT: f64 = std::f64::consts::FRAC_PI_2;

    /// Rock salt, perovskite (SrTiO3 with titanium at the origin), and wurtzite as the literature has it: Zn 2b z = 0, S 2b z = 3/8.
    #[test]
    fn crystals_of_the_textbooks() {
        let cube = [3.0, 3.0, 3.0, RIGHT, RIGHT, RIGHT];
        let half = [0.5; 3];
        let salt = |a, b| crystal(225, cube, &[(1, a, [0.0; 3]), (2, b, half)]);
        assert_eq!(standard_description(&salt("Cl", "Na")).unwrap(), salt("Na", "Cl"));
        let titanium_first = crystal(221, cube, &[(1, "Ti", [0.0; 3]), (2, "Sr", half), (4, "O", [0.5, 0.0, 0.0])]);
        let strontium_first = crystal(221, cube, &[(1, "Sr", [0.0; 3]), (2, "Ti", half), (3, "O", [0.0, 0.5, 0.5])]);
        assert_eq!(standard_description(&titanium_first).unwrap(), strontium_first);
        let hexagonal = [2.4, 2.4, 3.9, RIGHT, RIGHT, 2.0 * std::f64::consts::FRAC_PI_3];
        let wurtzite = |zinc: f64, sulfur: f64| {
            let column = |z: f64| [1.0 / 3.0, 2.0 / 3.0, z];
            crystal(186, hexagonal, &[(2, "Zn", column(zinc)), (2, "S", column(sulfur))])
        };
        for given in [wurtzite(0.0, 0.375), wurtzite(0.3, 0.675), wurtzite(0.3, 0.925), wurtzite(0.625, 0.0)] {
            let found = standard_description(&given).unwrap();
            assert!(alike(&found, &wurtzite(0.0, 0.375)), "{found:?}");
        }
    }
}
