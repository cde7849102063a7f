//! Which kind of oxide or sulfide a structure is: pymatgen's `oxide_type` and `sulfide_type`.

use moyo::MoyoDataset;
use moyo::base::{AngleTolerance, Cell, Lattice};
use moyo::data::Setting;
use nalgebra::Vector3;

use crate::elements::electronegativity;
use crate::neighbours::{Search, cross, dot, length};
use crate::{Incompatible, Structure};

/// Hydrogen, oxygen, sulfur.
const H: u8 = 1;
pub(crate) const O: u8 = 8;
pub(crate) const S: u8 = 16;

/// Bonds count up to this multiple of their usual lengths, which follow (angstrom): of O-H in hydroxides, of O-O in superoxides
/// and ozonides, and in peroxides.
const STRETCH: f64 = 1.05;
const O_H: f64 = 0.93;
const SUPEROXIDE: f64 = 1.35;
const PEROXIDE: f64 = 1.49;

/// Tolerance of the symmetry that makes sulfur atoms equivalent, angstrom.
const SYMPREC: f64 = 0.1;

/// The kind of oxide of a structure with oxygen.
pub(crate) fn oxide_type(structure: Structure<'_>) -> Result<&'static str, Incompatible> {
    let oxygens = atoms_of(structure, O);
    let search = Search::new(structure, STRETCH * PEROXIDE, oxygens.len())?;
    if !pairs(&search, &oxygens, &atoms_of(structure, H), STRETCH * O_H).is_empty() {
        return Ok("hydroxide");
    }
    let short = pairs(&search, &oxygens, &oxygens, STRETCH * SUPEROXIDE);
    if !short.is_empty() {
        // An oxygen between two others, as in the ozonide ion.
        let chained = short.windows(2).any(|pair| pair[0] == pair[1]);
        return Ok(if chained { "ozonide" } else { "superoxide" });
    }
    let longer = pairs(&search, &oxygens, &oxygens, STRETCH * PEROXIDE);
    Ok(if longer.is_empty() { "oxide" } else { "peroxide" })
}

/// For every pair of different atoms nearer than `bound` the first, in order.
fn pairs(search: &Search<'_>, first: &[usize], second: &[usize], bound: f64) -> Vec<usize> {
    let mut found = Vec::new();
    for &from in first {
        for &to in second.iter().filter(|to| **to != from) {
            let mut near = false;
            search.distances(from, to, |distance| near |= distance < bound);
            if near {
                found.push(from);
            }
        }
    }
    found
}

/// `sulfide` or `polysulfide`; `None` for a sulfate, whose sulfur is no anion.
pub(crate) fn sulfide_type(structure: Structure<'_>) -> Result<Option<&'static str>, Incompatible> {
    let sites = sulfur_sites(structure);
    let mut kind = Some("sulfide");
    for site in sites {
        let around = coordination(structure, site)?;
        let mean = around.iter().map(|element| electronegativity(*element)).sum::<f64>() / around.len() as f64;
        if mean > electronegativity(S) {
            return Ok(None);
        }
        if mean == electronegativity(S) && around.contains(&S) {
            kind = Some("polysulfide");
        }
    }
    Ok(kind)
}

/// The elements of the nearest shell of an atom: at most four, none farther than the nearest by 0.4 angstrom.
fn coordination(structure: Structure<'_>, site: usize) -> Result<Vec<u8>, Incompatible> {
    let mut radius = 4.0;
    loop {
        let search = Search::new(structure, radius, 1)?;
        let mut nearest: Vec<(f64, u8)> = Vec::new();
        for (atom, element) in structure.atomic_numbers.iter().enumerate() {
            search.distances(site, atom, |distance| {
                let place = nearest.partition_point(|(other, _)| *other <= distance);
                nearest.insert(place, (distance, *element));
                nearest.truncate(4);
            });
        }
        if let Some(&(shortest, _)) = nearest.first() {
            return Ok(nearest.into_iter().filter(|(d, _)| *d < shortest + 0.4).map(|(_, element)| element).collect());
        }
        radius *= 2.0;
    }
}

/// One sulfur atom of every set that symmetry makes equivalent; all of them where symmetry cannot be found.
fn sulfur_sites(structure: Structure<'_>) -> Vec<usize> {
    let sulfurs = atoms_of(structure, S);
    let Some(orbits) = orbits(structure) else { return sulfurs };
    let mut seen = Vec::new();
    let mut is_new = |atom: &usize| {
        let new = !seen.contains(&orbits[*atom]);
        seen.push(orbits[*atom]);
        new
    };
    sulfurs.into_iter().filter(|atom| is_new(atom)).collect()
}

/// For each atom the number of an equivalent one.
fn orbits(structure: Structure<'_>) -> Option<Vec<usize>> {
    if !searchable(&structure.lattice) {
        return None;
    }
    let positions = structure.frac_coords.iter().map(|x| Vector3::from(x.map(|x| x - x.floor()))).collect();
    let numbers = structure.atomic_numbers.iter().map(|number| i32::from(*number)).collect();
    let cell = Cell::new(Lattice::from_basis(structure.lattice), positions, numbers);
    let found = MoyoDataset::new(&cell, SYMPREC, AngleTolerance::default(), Setting::Standard, true).ok()?;
    (found.orbits.len() == structure.atomic_numbers.len()).then_some(found.orbits)
}

/// Whether a symmetry search ends: in a thin cell a shear by the shortest vector is within the tolerance, and such shears make an
/// infinite group.
fn searchable(lattice: &[[f64; 3]; 3]) -> bool {
    const MARGIN: f64 = 4.0;
    let [a, b, c] = *lattice;
    let largest = |vectors: [[f64; 3]; 3]| vectors.map(length).into_iter().fold(0.0, f64::max);
    let thickness = dot(a, cross(b, c)).abs() / largest([cross(a, b), cross(b, c), cross(c, a)]);
    thickness > MARGIN * SYMPREC && thickness.powi(3) > MARGIN * largest([a, b, c]) * SYMPREC * SYMPREC
}

fn atoms_of(structure: Structure<'_>, element: u8) -> Vec<usize> {
    let atoms = structure.atomic_numbers.iter().enumerate();
    atoms.filter(|(_, number)| **number == element).map(|(atom, _)| atom).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Atoms along x in a box of 20 angstrom.
    fn chain(atoms: &[(u8, f64)]) -> (Vec<u8>, Vec<[f64; 3]>) {
        atoms.iter().map(|(element, x)| (*element, [x / 20.0, 0.0, 0.0])).unzip()
    }

    fn view<'a>((numbers, frac): &'a (Vec<u8>, Vec<[f64; 3]>)) -> Structure<'a> {
        let lattice = [[20.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 20.0]];
        Structure { lattice, atomic_numbers: numbers, frac_coords: frac }
    }

    #[test]
    fn kinds_of_oxides_by_bond_lengths() {
        for (atoms, expected) in [
            (&[(O, 0.0), (O, 1.56)][..], "peroxide"),
            (&[(O, 0.0), (O, 1.57)], "oxide"),
            (&[(O, 0.0), (O, 1.41)], "superoxide"),
            (&[(O, 0.0), (O, 1.42)], "peroxide"),
            (&[(O, 19.5), (O, 0.8)], "superoxide"),
            (&[(O, 0.0), (O, 1.3), (O, 2.6)], "ozonide"),
            (&[(O, 0.0), (O, 1.3), (H, -0.97)], "hydroxide"),
            (&[(O, 0.0), (O, 1.3), (H, -0.98)], "superoxide"),
        ] {
            assert_eq!(oxide_type(view(&chain(atoms))), Ok(expected), "{atoms:?}");
        }
    }

    #[test]
    fn kinds_of_sulfides_by_neighbours() {
        let zinc = 30;
        for (atoms, expected) in [
            (&[(S, 0.0), (zinc, 2.3)][..], Some("sulfide")),
            (&[(S, 0.0), (S, 2.0), (zinc, 5.0)], Some("polysulfide")),
            (&[(S, 0.0), (O, 1.5)], None),
            // Farther than the nearest by 0.4: not in the shell.
            (&[(S, 0.0), (zinc, 2.3), (O, -2.8)], Some("sulfide")),
            // Neighbours first beyond 4 and 8 angstrom.
            (&[(S, 0.0), (O, 9.0)], None),
            (&[(S, 0.0), (2, 2.0)], Some("sulfide")),
        ] {
            assert_eq!(sulfide_type(view(&chain(atoms))), Ok(expected), "{atoms:?}");
        }
    }
}
