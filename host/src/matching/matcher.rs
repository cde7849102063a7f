//! The search for the pairing of atoms that moves them least.

use super::assignment::assign;
use super::mapping::{Basis, bases_like, reciprocal_lengths};
use super::reduce::{ReduceError, ReducedStructure};
use crate::crystal::{Element, Lattice, Structure};

/// Below this root mean square distance nothing better is looked for.
const EXACT: f64 = 1e-5;

/// Structures whose volumes differ by a larger factor are not compared unless they are scaled: the search would be in vain and, in the
/// smaller lattice, long.
const MOST_EXPANDED: f64 = 8.0;

/// Tolerances of a comparison. The defaults are pymatgen's.
#[derive(Clone, Debug, PartialEq)]
pub struct StructureMatcher {
    /// Relative tolerance of the lengths of lattice vectors.
    pub ltol: f64,
    /// Tolerance of the distance between paired atoms, in units of (V / N)^(1/3).
    pub stol: f64,
    /// Tolerance of the angles between lattice vectors, degrees.
    pub angle_tol: f64,
    /// Whether primitive cells are compared.
    pub primitive: bool,
    /// Whether both are scaled to the same volume first.
    pub scale: bool,
}

/// How far the atoms of one structure are from those of another, in units of (V / N)^(1/3).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Displacement {
    /// Smallest root mean square over the pairings that were tried.
    pub rms: f64,
    /// Largest distance in that pairing.
    pub max_dist: f64,
}

/// What a search is for, and what it has found.
struct Search {
    stol: f64,
    /// Whether the first pairing within the tolerance ends the search.
    any: bool,
    smallest_max: f64,
    best: Option<Displacement>,
}

/// One of the structures at the common scale.
struct Scaled<'a> {
    lattice: Lattice,
    frac: &'a [[f64; 3]],
}

impl Default for StructureMatcher {
    fn default() -> Self {
        Self { ltol: 0.2, stol: 0.3, angle_tol: 5.0, primitive: true, scale: true }
    }
}

impl StructureMatcher {
    /// The form in which a structure is compared.
    ///
    /// # Errors
    /// [`ReduceError`].
    pub fn reduce(&self, structure: &Structure) -> Result<ReducedStructure, ReduceError> {
        ReducedStructure::new(structure, self.primitive)
    }

    /// Whether two structures are the same crystal: some pairing has no distance of `stol` or more. As in pymatgen, the verdict
    /// may depend on which of the two comes first where it is close.
    pub fn fit(&self, first: &ReducedStructure, second: &ReducedStructure) -> bool {
        let mut search = Search { stol: self.stol, any: true, smallest_max: f64::INFINITY, best: None };
        self.search(first, second, &mut search);
        search.smallest_max < self.stol
    }

    /// The pairing with the smallest root mean square distance, if that is below `stol`. Its largest distance may be above, where
    /// [`fit`](Self::fit) says no.
    pub fn displacement(&self, first: &ReducedStructure, second: &ReducedStructure) -> Option<Displacement> {
        let mut search = Search { stol: self.stol, any: false, smallest_max: f64::INFINITY, best: None };
        self.search(first, second, &mut search);
        search.best.filter(|best| best.rms < self.stol)
    }

    /// Tries every basis and translation.
    fn search(&self, first: &ReducedStructure, second: &ReducedStructure, search: &mut Search) {
        let volumes = second.lattice.volume() / first.lattice.volume();
        let alike = self.scale || (1.0 / MOST_EXPANDED..MOST_EXPANDED).contains(&volumes);
        if !(alike && same_atoms(&first.species, &second.species)) {
            return;
        }
        let ratio = if self.scale { volumes.powf(1.0 / 6.0) } else { 1.0 };
        let one = Scaled { lattice: scaled(&first.lattice, ratio), frac: &first.frac };
        let two = Scaled { lattice: scaled(&second.lattice, 1.0 / ratio), frac: &second.frac };
        let partners: Vec<Vec<usize>> = second.species.iter().map(|e| positions_of(*e, &first.species)).collect();
        let Some(anchor) = (0..partners.len()).min_by_key(|atom| partners[*atom].len()) else { return };
        for basis in bases_like(&one.lattice, &two.lattice, self.ltol, self.angle_tol) {
            let Some(average) = average_lattice(&basis.lattice, &two.lattice) else { continue };
            if search.basis(&basis, &average, &one, &two, &partners, anchor) {
                return;
            }
        }
    }
}

impl Search {
    /// Tries the translations that put the anchor onto one of its kind; says whether the search is over.
    fn basis(
        &mut self,
        basis: &Basis,
        average: &Lattice,
        one: &Scaled<'_>,
        two: &Scaled<'_>,
        partners: &[Vec<usize>],
        anchor: usize,
    ) -> bool {
        let unit = (average.volume() / one.frac.len() as f64).cbrt();
        // Twice the tolerance along each axis: the translation is not the final one.
        let tolerance = reciprocal_lengths(average).map(|length| 2.0 * length * self.stol * unit);
        let onto = basis.coordinates(one.frac);
        for partner in &partners[anchor] {
            let shift: [f64; 3] = std::array::from_fn(|k| onto[*partner][k] - two.frac[anchor][k]);
            let moved: Vec<[f64; 3]> = two.frac.iter().map(|r| std::array::from_fn(|k| r[k] + shift[k])).collect();
            let Some(distances) = pairing(average, &moved, &onto, partners, tolerance) else { continue };
            self.take(&distances.iter().map(|d| d / unit).collect::<Vec<_>>());
            let done = if self.any { self.smallest_max < self.stol } else { self.best.is_some_and(|b| b.rms < EXACT) };
            if done {
                return true;
            }
        }
        false
    }

    fn take(&mut self, distances: &[f64]) {
        let rms = (distances.iter().map(|d| d * d).sum::<f64>() / distances.len() as f64).sqrt();
        let max_dist = distances.iter().fold(0.0, |a: f64, b| a.max(*b));
        self.smallest_max = self.smallest_max.min(max_dist);
        if self.best.is_none_or(|best| rms < best.rms) {
            self.best = Some(Displacement { rms, max_dist });
        }
    }
}

/// Distances (angstrom) between paired atoms after the translation that minimises their root mean square; `None` where some atom
/// has no partner within the tolerance.
fn pairing(
    average: &Lattice,
    moved: &[[f64; 3]],
    onto: &[[f64; 3]],
    partners: &[Vec<usize>],
    tolerance: [f64; 3],
) -> Option<Vec<f64>> {
    let near = |atom: usize, partner: usize| {
        (0..3).all(|k| {
            let d = onto[partner][k] - moved[atom][k];
            (d - d.round()).abs() <= tolerance[k]
        })
    };
    let candidates = |atom: usize| -> Option<Vec<usize>> {
        let near: Vec<usize> = partners[atom].iter().copied().filter(|partner| near(atom, *partner)).collect();
        (!near.is_empty()).then_some(near)
    };
    let candidates = (0..moved.len()).map(candidates).collect::<Option<Vec<_>>>()?;
    let images = Images::of(average);
    let vectors: Vec<Vec<(usize, [f64; 3])>> = candidates
        .iter()
        .enumerate()
        .map(|(atom, near)| near.iter().map(|p| (*p, images.shortest(moved[atom], onto[*p]))).collect())
        .collect();
    let costs: Vec<Vec<(usize, f64)>> =
        vectors.iter().map(|row| row.iter().map(|(p, v)| (*p, square(*v))).collect()).collect();
    let paired: Vec<[f64; 3]> = assign(&costs)?.iter().zip(&vectors).map(|(choice, row)| row[*choice].1).collect();
    let mean: [f64; 3] = std::array::from_fn(|k| paired.iter().map(|v| v[k]).sum::<f64>() / paired.len() as f64);
    Some(paired.iter().map(|v| square(std::array::from_fn(|k| v[k] - mean[k])).sqrt()).collect())
}

/// The neighbouring cells' translations, angstrom.
struct Images {
    lattice: Lattice,
    translations: Vec<[f64; 3]>,
}

impl Images {
    fn of(lattice: &Lattice) -> Self {
        let steps = (0..27).map(|n| [n / 9 - 1, n / 3 % 3 - 1, n % 3 - 1].map(f64::from));
        Self { lattice: *lattice, translations: steps.map(|step| lattice.cartesian(step)).collect() }
    }

    /// Shortest vector between two places or their images, angstrom. The lattice is nearly reduced, so that the neighbouring cells
    /// suffice.
    fn shortest(&self, from: [f64; 3], to: [f64; 3]) -> [f64; 3] {
        let wrapped = self.lattice.cartesian(std::array::from_fn(|k| {
            let d = to[k] - from[k];
            d - d.round()
        }));
        let image = |t: &[f64; 3]| -> [f64; 3] { std::array::from_fn(|k| wrapped[k] + t[k]) };
        self.translations.iter().map(image).min_by(|u, v| square(*u).total_cmp(&square(*v))).unwrap_or(wrapped)
    }
}

/// The lattice whose lengths and angles are the means of two lattices'.
fn average_lattice(one: &Lattice, two: &Lattice) -> Option<Lattice> {
    let mean = |u: [f64; 3], v: [f64; 3]| -> [f64; 3] { std::array::from_fn(|k| (u[k] + v[k]) / 2.0) };
    let ((lengths, angles), (other_lengths, other_angles)) = (one.parameters(), two.parameters());
    Lattice::from_parameters(mean(lengths, other_lengths), mean(angles, other_angles)).ok()
}

/// Whether each element has as many atoms in both.
fn same_atoms(one: &[Element], two: &[Element]) -> bool {
    let sorted = |species: &[Element]| {
        let mut species = species.to_vec();
        species.sort_unstable();
        species
    };
    one.len() == two.len() && sorted(one) == sorted(two)
}

fn positions_of(element: Element, species: &[Element]) -> Vec<usize> {
    species.iter().enumerate().filter(|(_, e)| **e == element).map(|(i, _)| i).collect()
}

fn scaled(lattice: &Lattice, factor: f64) -> Lattice {
    Lattice(lattice.0.map(|v| v.map(|x| x * factor)))
}

fn square(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum()
}
