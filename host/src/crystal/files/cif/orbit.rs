//! All atoms of a cell from its sites and symmetry operators.

use super::operator::{Operator, from_whole};
use super::sites::{Site, distance};
use crate::crystal::files::record::{MAX_ATOMS, RowError};
use crate::crystal::{Element, Lattice};

/// Images of one site that are nearer to each other than this are one atom on a special position, angstrom.
const SAME_ATOM: f64 = 0.05;

/// The symmetry operators of a cell.
pub(super) struct Symmetry {
    /// Without repetitions, the identity first.
    pub operators: Vec<Operator>,
    pub is_group: bool,
}

/// The atoms of a cell.
#[derive(Debug, Default)]
pub(super) struct Atoms {
    pub species: Vec<Element>,
    pub frac: Vec<[f64; 3]>,
    /// Images of each site; 0 for a site that is an image of an earlier one.
    pub multiplicities: Vec<usize>,
    /// The largest distance between images that were taken for one atom, angstrom.
    pub spread: f64,
    /// Half-widths of the coordinates' rounding, and whether symmetry made the atom, as opposed to those that are listed.
    origins: Vec<([f64; 3], bool)>,
}

/// How far apart images of one atom may be.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Tolerance {
    /// As far as the rounding of the coordinates puts them, at least [`SAME_ATOM`].
    Rounding,
    /// [`SAME_ATOM`].
    Fixed,
}

/// Expands the sites one by one. Images of a site that fall together are one atom, moved onto the special position, and
/// a site that is an image of an earlier one adds none; sites that coincide as they are listed are kept, for the overlap
/// to be reported.
pub(super) fn expand(
    sites: &[Site],
    symmetry: &Symmetry,
    lattice: &Lattice,
    tolerance: Tolerance,
) -> Result<Atoms, RowError> {
    let mut atoms = Atoms::default();
    for site in sites {
        let rounding = match tolerance {
            Tolerance::Rounding if symmetry.operators.len() > 1 => rounding(site.decimals()),
            _ => 0.0,
        };
        let (place, stabiliser) = atoms.special_position(site, symmetry, lattice, rounding);
        if symmetry.operators.len() > 1 && atoms.has_image(site.element, place, rounding, lattice) {
            atoms.multiplicities.push(0);
            continue;
        }
        atoms.add_orbit(site.element, place, stabiliser, rounding, symmetry, lattice)?;
    }
    Ok(atoms)
}

/// How far a coordinate of so many decimals may be from the true one. Two thirds are written as 0.67 and as 0.66, but 0.1
/// is more often just that.
fn rounding(decimals: usize) -> f64 {
    match decimals {
        0 => 0.0,
        1 => 0.05,
        more => 0.1f64.powi(i32::try_from(more).unwrap_or(i32::MAX)),
    }
}

impl Atoms {
    /// Where the site is once the images that fall together are made one, and how many operators leave it there, if that
    /// is certain.
    fn special_position(
        &mut self,
        site: &Site,
        symmetry: &Symmetry,
        lattice: &Lattice,
        rounding: f64,
    ) -> ([f64; 3], Option<usize>) {
        if symmetry.operators.len() == 1 {
            return (site.frac, Some(1));
        }
        for rounding in [rounding, 0.0] {
            let (mut sum, mut count, mut spread) = ([0.0; 3], 0usize, 0.0f64);
            for operator in &symmetry.operators {
                let offset = nearest(operator.apply(site.frac), site.frac);
                let apart = length(lattice, offset);
                if apart < SAME_ATOM || is_rounding(operator, offset, [rounding; 3]) {
                    sum = std::array::from_fn(|k| sum[k] + offset[k]);
                    count += 1;
                    spread = spread.max(apart);
                }
            }
            let place = std::array::from_fn(|k| site.frac[k] + sum[k] / count as f64);
            let moves = |operator: &Operator| length(lattice, nearest(operator.apply(place), place));
            let fixed = symmetry.operators.iter().filter(|operator| moves(operator) < SAME_ATOM).count();
            // Operators that are wrongly taken for those of a special position have no common fixed point.
            if count == fixed && (!symmetry.is_group || symmetry.operators.len().is_multiple_of(count)) {
                self.spread = self.spread.max(spread);
                return (if spread < 1e-9 { site.frac } else { place }, Some(count));
            }
        }
        (site.frac, None)
    }

    /// Whether symmetry has put an atom of this element there already.
    fn has_image(&mut self, element: Element, place: [f64; 3], rounding: f64, lattice: &Lattice) -> bool {
        for (atom, (widths, is_generated)) in self.origins.iter().enumerate() {
            if !is_generated || self.species[atom] != element {
                continue;
            }
            let offset = nearest(self.frac[atom], place);
            let apart = length(lattice, offset);
            if apart < SAME_ATOM || (0..3).all(|k| offset[k].abs() <= widths[k] + rounding + 1e-9) && rounding > 0.0 {
                self.spread = self.spread.max(apart);
                return true;
            }
        }
        false
    }

    fn add_orbit(
        &mut self,
        element: Element,
        place: [f64; 3],
        stabiliser: Option<usize>,
        rounding: f64,
        symmetry: &Symmetry,
        lattice: &Lattice,
    ) -> Result<(), RowError> {
        let first = self.frac.len();
        // On a general position of a group all images are different.
        let all_differ = symmetry.is_group && stabiliser == Some(1);
        for operator in &symmetry.operators {
            let image = operator.apply(place);
            let known = &self.frac[first..];
            if !all_differ && known.iter().any(|atom| distance(lattice, *atom, image) < SAME_ATOM) {
                continue;
            }
            if self.frac.len() == MAX_ATOMS {
                return Err(RowError::TooManyAtoms);
            }
            let is_listed = self.frac.len() == first;
            self.frac.push(if is_listed { place } else { image.map(|x| x - x.floor()) });
            self.species.push(element);
            let width = |row: [f64; 3]| row.iter().map(|entry| entry.abs()).sum::<f64>() * rounding;
            self.origins.push((operator.rotation.map(width), !is_listed));
        }
        self.multiplicities.push(self.frac.len() - first);
        Ok(())
    }
}

/// Whether a coordinate's rounding by no more than `widths` can have put an image that far from its site:
/// the offset is (R - 1) times the error.
fn is_rounding(operator: &Operator, offset: [f64; 3], widths: [f64; 3]) -> bool {
    (0..3).all(|i| {
        let entry = |k: usize| operator.rotation[i][k] - if i == k { 1.0 } else { 0.0 };
        let largest: f64 = (0..3).map(|k| entry(k).abs() * widths[k]).sum();
        offset[i].abs() <= largest + 1e-9
    })
}

/// From `from` to the image of `to` that is nearest along each axis.
fn nearest(to: [f64; 3], from: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|k| from_whole(to[k] - from[k]))
}

fn length(lattice: &Lattice, offset: [f64; 3]) -> f64 {
    lattice.cartesian(offset).iter().map(|x| x * x).sum::<f64>().sqrt()
}
