//! Primitive cells within a tolerance, as pymatgen's `Structure.get_primitive_structure` finds them.
//!
//! moyo's primitive cells answer another question: which translations are symmetries. Here atoms that a translation puts within
//! 0.25 A of one another are merged and averaged, and verdicts on noisy supercells depend on that.

use std::collections::BTreeMap;

use super::reduce::ReducedStructure;
use crate::crystal::{Element, Lattice};

/// Atoms this near, along every axis, may be images of one atom in a smaller cell, angstrom.
const TOLERANCE: f64 = 0.25;

/// Coordinates of one element's atoms.
type Group = (Element, Vec<[f64; 3]>);

/// A sublattice basis of the cell: rows in units of the smaller cell's vectors; upper triangular.
type Hermite = [[i32; 3]; 3];

/// A smaller cell of the same crystal, if there is one: the first in the order of size and of Hermite normal forms.
pub(super) fn primitive_cell(structure: &ReducedStructure) -> Option<ReducedStructure> {
    let groups = by_element(structure);
    let units = groups.iter().map(|(_, group)| group.len()).fold(0, gcd);
    if units <= 1 {
        return None;
    }
    let tolerance = lengths(&structure.lattice).map(|length| TOLERANCE / length);
    let translations = translations(&groups, tolerance);
    // Without a translation but zero no smaller cell passes.
    if translations.len() <= 1 {
        return None;
    }
    let fits = |hermite: &Hermite| {
        inverse(hermite).iter().all(|row| translations.iter().any(|t| within(difference(*row, *t), tolerance)))
    };
    hermite_forms(units)
        .filter(|(_, hermite)| fits(hermite))
        .find_map(|(size, hermite)| merged(structure, &groups, size, &hermite, tolerance))
}

/// Atoms by element, in the alphabetical order of symbols.
fn by_element(structure: &ReducedStructure) -> Vec<Group> {
    let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
    for (element, frac) in structure.species.iter().zip(&structure.frac) {
        groups.entry(element.symbol()).or_insert((*element, Vec::new())).1.push(*frac);
    }
    groups.into_values().collect()
}

/// Vectors between atoms of the rarest element that take every atom near one of its kind, within twice the tolerance since
/// both ends of a vector are approximate.
fn translations(groups: &[Group], tolerance: [f64; 3]) -> Vec<[f64; 3]> {
    let mut groups: Vec<&Vec<[f64; 3]>> = groups.iter().map(|(_, group)| group).collect();
    groups.sort_by_key(|group| group.len());
    let twice = tolerance.map(|t| 2.0 * t);
    let mut vectors: Vec<[f64; 3]> = groups[0].iter().map(|frac| difference(*frac, groups[0][0])).collect();
    for group in groups {
        for origin in group {
            vectors.retain(|v| group.iter().any(|frac| within(difference(*v, difference(*frac, *origin)), twice)));
        }
    }
    vectors
}

/// Hermite normal forms of every divisor of `units` but one, ascending in the divisor.
fn hermite_forms(units: usize) -> impl Iterator<Item = (usize, Hermite)> {
    let divisors = |n: usize| (1..=n).filter(move |d| n.is_multiple_of(*d));
    let diagonals = divisors(units).filter(|size| *size > 1).flat_map(move |size| {
        divisors(size)
            .flat_map(move |a| divisors(size / a).map(move |e| (size, a as i32, e as i32, (size / a / e) as i32)))
    });
    diagonals.flat_map(|(size, a, e, g)| {
        let rest = (0..a).flat_map(move |b| (0..a).flat_map(move |c| (0..e).map(move |f| (b, c, f))));
        rest.map(move |(b, c, f)| (size, [[a, b, c], [0, e, f], [0, 0, g]]))
    })
}

/// The structure in the cell whose `hermite` superlattice it is, with the atoms that meet there averaged; `None` unless exactly
/// `size` atoms meet in each place.
fn merged(
    structure: &ReducedStructure,
    groups: &[Group],
    size: usize,
    hermite: &Hermite,
    tolerance: [f64; 3],
) -> Option<ReducedStructure> {
    let lattice = Lattice(inverse(hermite).map(|row| structure.lattice.cartesian(row)));
    let near = lengths(&lattice).map(|length| TOLERANCE / length);
    let apart = tolerance.map(|t| 2.0 * t);
    let (mut species, mut frac) = (Vec::new(), Vec::new());
    for (element, group) in groups {
        let coordinates: Vec<[f64; 3]> = group.iter().map(|r| in_smaller_cell(*r, hermite)).collect();
        // Neighbours in the larger cell are never images of one atom.
        let meets = |i: usize, j: usize| {
            within(difference(coordinates[i], coordinates[j]), near)
                && (i == j || !within_or_at(difference(group[i], group[j]), apart))
        };
        // Most forms fail at the first atom; all pairs of a large cell for each of thousands of forms would take minutes.
        let of =
            |i: usize| Some((0..group.len()).filter(|j| meets(i, *j)).collect()).filter(|s: &Vec<_>| s.len() == size);
        let images: Vec<Vec<usize>> = (0..group.len()).map(of).collect::<Option<_>>()?;
        if !images.iter().all(|set| set.iter().all(|member| images[*member] == *set)) {
            return None;
        }
        for set in images.iter().enumerate().filter(|(i, set)| set[0] == *i).map(|(_, set)| set) {
            species.push(*element);
            frac.push(average(set.iter().map(|i| coordinates[*i].map(|x| x - x.floor()))));
        }
    }
    Some(ReducedStructure { lattice, species, frac })
}

/// Running mean of coordinates that are images of one place, each taken at its image nearest to the mean so far.
fn average(mut coordinates: impl Iterator<Item = [f64; 3]>) -> [f64; 3] {
    let mut mean = coordinates.next().unwrap_or_default();
    for (seen, next) in (1..).zip(coordinates) {
        let step = difference(next, mean);
        (0..3).for_each(|k| mean[k] += step[k] / f64::from(seen + 1));
    }
    mean
}

/// Coordinates along the vectors of the smaller cell.
fn in_smaller_cell(frac: [f64; 3], hermite: &Hermite) -> [f64; 3] {
    std::array::from_fn(|k| (0..3).map(|i| frac[i] * f64::from(hermite[i][k])).sum())
}

/// Inverse of an upper triangular matrix: the smaller cell's vectors in units of the larger one's.
fn inverse(hermite: &Hermite) -> [[f64; 3]; 3] {
    let [[a, b, c], [_, e, f], [_, _, g]] = hermite.map(|row| row.map(f64::from));
    [[1.0 / a, -b / (a * e), (b * f - c * e) / (a * e * g)], [0.0, 1.0 / e, -f / (e * g)], [0.0, 0.0, 1.0 / g]]
}

/// Difference of two coordinates to the nearest image along each axis.
fn difference(to: [f64; 3], from: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|k| {
        let d = to[k] - from[k];
        d - d.round()
    })
}

fn within(difference: [f64; 3], tolerance: [f64; 3]) -> bool {
    (0..3).all(|k| difference[k].abs() < tolerance[k])
}

fn within_or_at(difference: [f64; 3], tolerance: [f64; 3]) -> bool {
    (0..3).all(|k| difference[k].abs() <= tolerance[k])
}

fn lengths(lattice: &Lattice) -> [f64; 3] {
    lattice.0.map(|v| v.iter().map(|x| x * x).sum::<f64>().sqrt())
}

pub(super) fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
