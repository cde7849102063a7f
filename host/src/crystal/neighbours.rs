//! Neighbour lists under periodic boundary conditions.
//!
//! Every search runs in a Minkowski-reduced basis of the same lattice, written as a lower triangle: the images of an atom
//! inside a sphere are then three nested intervals, whatever the skew of the given cell, and hardly a candidate is wasted.

use super::{Lattice, Structure};

/// The longest cutoff that a neighbour list is made for, angstrom.
const MAX_CUTOFF: f64 = 1000.0;
/// The furthest fractional coordinate from which image numbers are still exact.
const MAX_FRACTIONAL: f64 = 1e6;
/// The largest integer by which the given cell may combine reduced vectors: products of two stay exact in f64.
const MAX_COMBINATION: f64 = 1e7;
/// Slack of the intervals in fractions of a vector; every candidate is measured afterwards.
const SLACK: f64 = 1e-9;

/// The directed edges of one structure, one entry per edge in each of the first five, and its triplets.
///
/// Edge `e` points from atom `centre[e]` to the image `shift[e]` of atom `neighbour[e]`:
/// `r_ij = r_j + shift @ cell - r_i`, with positions as the structure gives them (not wrapped).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Neighbours {
    /// Atom i.
    pub centre: Vec<u32>,
    /// Atom j.
    pub neighbour: Vec<u32>,
    /// Integer cell offset of j.
    pub shift: Vec<[i32; 3]>,
    /// Index of the edge (j, i, -shift).
    pub reverse: Vec<u32>,
    /// Length of `r_ij`, angstrom.
    pub distance: Vec<f64>,
    /// Ordered pairs of different edges with the same centre, both within the triplet cutoff.
    pub triplets: Vec<[u32; 2]>,
}

/// Two atoms (0-based; the same one twice when it is nearest to its own image) and their distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClosestPair {
    /// One atom.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Smallest distance between any of their images, angstrom.
    pub distance: f64,
}

/// Why a neighbour list was not made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NeighbourError {
    /// A cutoff that is not a length, or a triplet cutoff beyond the cutoff of the edges.
    #[error("a cutoff of {cutoff} A is not between 0 and {limit} A")]
    Cutoff {
        /// The cutoff, angstrom.
        cutoff: f64,
        /// Largest allowed, angstrom.
        limit: f64,
    },
    /// More edges or triplets than the caller allows.
    #[error("more than {limit} {what} within {cutoff} A: the structure is too dense")]
    TooMany {
        /// `edges` or `triplets`.
        what: &'static str,
        /// The caller's limit.
        limit: usize,
        /// Cutoff of the edges or triplets, angstrom.
        cutoff: f64,
    },
    /// A cell of vectors below 1e-6 A, or so distorted that image numbers are not exact.
    #[error("the cell is too distorted for a neighbour list")]
    Cell,
    /// An atom so far outside the cell that its image numbers are not exact.
    #[error("atom {atom} lies more than {MAX_FRACTIONAL} cells away from the origin")]
    FarAtom {
        /// 1-based.
        atom: usize,
    },
}

/// All directed pairs within `cutoff` (angstrom, inclusive), an atom's own images included, the atom itself excluded.
/// Edges `2k` and `2k + 1` are each other's reverse. With a `triplet_cutoff` the triplets are listed too.
/// Neither edges nor triplets may be more than `limit`.
///
/// # Errors
/// Any [`NeighbourError`].
///
/// # Example
/// Caesium chloride, a = 4 A: 8 neighbours of the other kind at sqrt(3)/2 a = 3.46 A and 6 images of itself at a. Each of an
/// atom's 8 near edges makes a triplet with each of the 7 others.
/// ```
/// use temper::crystal::{Element, Lattice, Structure, neighbours};
///
/// let species = ["Cs", "Cl"].map(|symbol| Element::from_symbol(symbol).unwrap()).to_vec();
/// let lattice = Lattice([[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]);
/// let crystal = Structure::new(lattice, species, vec![[0.0; 3], [0.5; 3]]).unwrap();
/// let found = neighbours(&crystal, 4.0, Some(3.5), 1000).unwrap();
/// assert_eq!(found.centre.len(), 2 * (8 + 6));
/// assert_eq!(found.distance.iter().filter(|distance| **distance < 3.5).count(), 2 * 8);
/// assert_eq!(found.triplets.len(), 2 * 8 * 7);
/// ```
pub fn neighbours(
    structure: &Structure,
    cutoff: f64,
    triplet_cutoff: Option<f64>,
    limit: usize,
) -> Result<Neighbours, NeighbourError> {
    check_cutoff(cutoff, MAX_CUTOFF)?;
    triplet_cutoff.map_or(Ok(()), |triplet| check_cutoff(triplet, cutoff))?;
    let too_far = |r: &[f64; 3]| r.iter().any(|x| x.abs() > MAX_FRACTIONAL);
    if let Some(atom) = structure.frac.iter().position(too_far) {
        return Err(NeighbourError::FarAtom { atom: atom + 1 });
    }
    let basis = ReducedBasis::new(&structure.lattice).ok_or(NeighbourError::Cell)?;
    let mut list = edges(&basis, structure, cutoff, limit.min(u32::MAX as usize))?;
    if let Some(triplet_cutoff) = triplet_cutoff {
        list.triplets = triplets(&list, structure.len(), triplet_cutoff, limit)?;
    }
    Ok(list)
}

/// The smallest distance between two atoms, or an atom and its own image, angstrom.
/// It is 0 for a cell too distorted to measure (see [`NeighbourError::Cell`]).
pub fn smallest_distance(structure: &Structure) -> f64 {
    closest_pair(structure).distance
}

/// The pair at the smallest distance; see [`smallest_distance`].
pub fn closest_pair(structure: &Structure) -> ClosestPair {
    let Some(basis) = ReducedBasis::new(&structure.lattice) else {
        return ClosestPair { first: 0, second: 0, distance: 0.0 };
    };
    let atoms: Vec<[f64; 3]> = structure.frac.iter().map(|r| basis.reduced(*r)).collect();
    // The first vector of a Minkowski-reduced basis is the shortest of the lattice.
    let mut best = ClosestPair { first: 0, second: 0, distance: basis.triangle[0][0] };
    for first in 0..atoms.len() {
        for second in first + 1..atoms.len() {
            let offset = basis.wrapped(difference(atoms[second], atoms[first])).0;
            let mut nearest = best.distance * best.distance;
            basis
                .images_within(offset, best.distance, |_, squared| {
                    nearest = nearest.min(squared);
                    Ok::<(), std::convert::Infallible>(())
                })
                .unwrap_or_else(|never| match never {});
            if nearest < best.distance * best.distance {
                best = ClosestPair { first, second, distance: nearest.sqrt() };
            }
        }
    }
    best
}

fn check_cutoff(cutoff: f64, limit: f64) -> Result<(), NeighbourError> {
    if cutoff > 0.0 && cutoff <= limit { Ok(()) } else { Err(NeighbourError::Cutoff { cutoff, limit }) }
}

fn edges(basis: &ReducedBasis, structure: &Structure, cutoff: f64, limit: usize) -> Result<Neighbours, NeighbourError> {
    let atoms: Vec<[f64; 3]> = structure.frac.iter().map(|r| basis.reduced(*r)).collect();
    let mut list = Neighbours::default();
    list.reserve(expected_edges(structure, cutoff).min(limit));
    for i in 0..atoms.len() {
        for j in i..atoms.len() {
            let (offset, wrap) = basis.wrapped(difference(atoms[j], atoms[i]));
            basis.images_within(offset, cutoff, |image, squared| {
                // Of an atom's own images half are enough: the other half are their reverses.
                if i == j && image <= [0.0; 3] {
                    return Ok(());
                }
                if list.centre.len() + 2 > limit {
                    return Err(NeighbourError::TooMany { what: "edges", limit, cutoff });
                }
                let shift = basis.given_shift(difference(image, wrap))?;
                list.push_both(i as u32, j as u32, shift, squared.sqrt());
                Ok(())
            })?;
        }
    }
    Ok(list)
}

/// Edges at the structure's mean density, some more than there will be mostly.
fn expected_edges(structure: &Structure, cutoff: f64) -> usize {
    let atoms = structure.len() as f64;
    let sphere = 4.0 / 3.0 * std::f64::consts::PI * cutoff.powi(3);
    (1.1 * atoms * atoms * sphere / structure.lattice.volume()).min(1e5) as usize
}

impl Neighbours {
    /// Number of directed edges.
    pub fn len(&self) -> usize {
        self.centre.len()
    }

    /// Whether there are no edges.
    pub fn is_empty(&self) -> bool {
        self.centre.is_empty()
    }

    fn reserve(&mut self, edges: usize) {
        self.centre.reserve(edges);
        self.neighbour.reserve(edges);
        self.shift.reserve(edges);
        self.reverse.reserve(edges);
        self.distance.reserve(edges);
    }

    fn push_both(&mut self, i: u32, j: u32, shift: [i32; 3], distance: f64) {
        let edge = self.centre.len() as u32;
        self.centre.extend([i, j]);
        self.neighbour.extend([j, i]);
        self.shift.extend([shift, shift.map(|n| -n)]);
        self.reverse.extend([edge + 1, edge]);
        self.distance.extend([distance; 2]);
    }
}

fn triplets(list: &Neighbours, atoms: usize, cutoff: f64, limit: usize) -> Result<Vec<[u32; 2]>, NeighbourError> {
    let mut around: Vec<Vec<u32>> = vec![Vec::new(); atoms];
    for (edge, centre) in list.centre.iter().enumerate().filter(|(edge, _)| list.distance[*edge] <= cutoff) {
        around[*centre as usize].push(edge as u32);
    }
    let count: usize = around.iter().map(|edges| edges.len() * edges.len().saturating_sub(1)).sum();
    if count > limit {
        return Err(NeighbourError::TooMany { what: "triplets", limit, cutoff });
    }
    let mut triplets = Vec::with_capacity(count);
    for edges in &around {
        for first in edges {
            triplets.extend(edges.iter().filter(|second| *second != first).map(|second| [*first, *second]));
        }
    }
    Ok(triplets)
}

/// A Minkowski-reduced basis of a lattice, sorted by length.
struct ReducedBasis {
    /// Reduced vectors as integer combinations (rows) of the given ones.
    combination: [[f64; 3]; 3],
    /// Given vectors as integer combinations of the reduced ones.
    inverse: [[f64; 3]; 3],
    /// The reduced vectors, turned so that they form a lower triangle with a positive diagonal, angstrom.
    triangle: [[f64; 3]; 3],
}

impl ReducedBasis {
    fn new(lattice: &Lattice) -> Option<Self> {
        let mut vectors = lattice.0;
        let mut combination = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        sort_by_length(&mut vectors, &mut combination);
        // Each round shortens a vector; real cells need a handful.
        for _ in 0..200 {
            if !shorten(&mut vectors, &mut combination) {
                break;
            }
            sort_by_length(&mut vectors, &mut combination);
        }
        if !combination.iter().flatten().all(|m| m.abs() <= MAX_COMBINATION) {
            return None;
        }
        // From the integers again, without the rounding of each step.
        let vectors = combination.map(|row| lattice.cartesian(row));
        let triangle = lower_triangle(vectors);
        let measurable = (0..3).all(|k| triangle[k][k] >= 1e-6 && triangle[k][k].is_finite());
        measurable.then(|| Self { combination, inverse: unimodular_inverse(combination), triangle })
    }

    /// Coordinates in this basis of fractional ones in the given cell.
    fn reduced(&self, frac: [f64; 3]) -> [f64; 3] {
        times(frac, &self.inverse)
    }

    /// Cell offset in the given cell of one in this basis.
    fn given_shift(&self, image: [f64; 3]) -> Result<[i32; 3], NeighbourError> {
        let shift = times(image, &self.combination);
        if shift.iter().all(|n| n.abs() <= f64::from(i32::MAX)) {
            return Ok(shift.map(|n| n as i32));
        }
        Err(NeighbourError::Cell)
    }

    /// An offset brought next to the origin, and the whole vectors that were taken off.
    fn wrapped(&self, offset: [f64; 3]) -> ([f64; 3], [f64; 3]) {
        let whole = offset.map(f64::round);
        (difference(offset, whole), whole)
    }

    /// Calls `visit(n, squared length)` for every integer n with `|(offset + n) @ basis| <= radius`,
    /// n in the order of this basis, until it fails. `offset` is wrapped.
    #[inline]
    fn images_within<E>(
        &self,
        offset: [f64; 3],
        radius: f64,
        mut visit: impl FnMut([f64; 3], f64) -> Result<(), E>,
    ) -> Result<(), E> {
        let [[xa, ..], [xb, yb, _], [xc, yc, zc]] = self.triangle;
        let limit = radius * radius;
        for n2 in whole_numbers(-offset[2], radius / zc) {
            let w = offset[2] + n2;
            let z = w * zc;
            let rest = (limit - z * z).max(0.0);
            let y_line = w * yc / yb + offset[1];
            for n1 in whole_numbers(-y_line, rest.sqrt() / yb) {
                let v = offset[1] + n1;
                let y = (y_line + n1) * yb;
                let rest = (rest - y * y).max(0.0);
                let x_line = (v * xb + w * xc) / xa + offset[0];
                for n0 in whole_numbers(-x_line, rest.sqrt() / xa) {
                    let x = (x_line + n0) * xa;
                    let squared = x * x + y * y + z * z;
                    if squared <= limit {
                        visit([n0, n1, n2], squared)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The whole numbers within `half_width` of `middle`, and perhaps one more by rounding.
#[inline]
fn whole_numbers(middle: f64, half_width: f64) -> impl Iterator<Item = f64> {
    let first = -floor(half_width - middle + SLACK);
    let last = floor(middle + half_width + SLACK);
    (first..=last).map(|n| n as f64)
}

/// `f64::floor` is a function call on processors that a portable binary must expect; this is the innermost loop.
#[inline]
fn floor(x: f64) -> i64 {
    let whole = x as i64;
    whole - i64::from(whole as f64 > x)
}

/// Applies the first change that shortens the second or third vector, by Minkowski's conditions in three dimensions
/// (Nguyen and Stehle, ACM Trans. Algorithms 5, 46 (2009), section 2.1).
fn shorten(vectors: &mut [[f64; 3]; 3], combination: &mut [[f64; 3]; 3]) -> bool {
    let nearest = |k: usize, i: usize| -(dot(vectors[k], vectors[i]) / dot(vectors[i], vectors[i])).round();
    let mut steps =
        vec![(1, [nearest(1, 0), 1.0, 0.0]), (2, [nearest(2, 0), 0.0, 1.0]), (2, [0.0, nearest(2, 1), 1.0])];
    for (x, y) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
        steps.push((2, [x, y, 1.0]));
    }
    for (k, weights) in steps {
        let shorter = times(weights, vectors);
        if dot(shorter, shorter) < dot(vectors[k], vectors[k]) * (1.0 - 1e-12) {
            vectors[k] = shorter;
            combination[k] = times(weights, combination);
            return true;
        }
    }
    false
}

fn sort_by_length(vectors: &mut [[f64; 3]; 3], combination: &mut [[f64; 3]; 3]) {
    for (i, j) in [(0, 1), (1, 2), (0, 1)] {
        if dot(vectors[j], vectors[j]) < dot(vectors[i], vectors[i]) {
            vectors.swap(i, j);
            combination.swap(i, j);
        }
    }
}

/// Gram-Schmidt: the same vectors, up to a rotation or reflection, in a lower triangle.
fn lower_triangle([a, b, c]: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let length = |v| f64::sqrt(dot(v, v));
    let xa = length(a);
    let e0 = a.map(|x| x / xa);
    let xb = dot(b, e0);
    let b_rest = difference(b, e0.map(|x| x * xb));
    let yb = length(b_rest);
    let e1 = b_rest.map(|x| x / yb);
    let (xc, yc) = (dot(c, e0), dot(c, e1));
    let c_rest = difference(difference(c, e0.map(|x| x * xc)), e1.map(|x| x * yc));
    [[xa, 0.0, 0.0], [xb, yb, 0.0], [xc, yc, length(c_rest)]]
}

/// Inverse of an integer matrix of determinant 1 or -1; exact.
fn unimodular_inverse(m: [[f64; 3]; 3]) -> [[f64; 3]; 3] {
    let cofactor = |i: usize, j: usize| {
        let (r, s, p, q) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
        m[r][p] * m[s][q] - m[r][q] * m[s][p]
    };
    let determinant: f64 = (0..3).map(|j| m[0][j] * cofactor(0, j)).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| cofactor(j, i) * determinant.signum()))
}

/// A row vector times a matrix.
fn times(row: [f64; 3], matrix: &[[f64; 3]; 3]) -> [f64; 3] {
    std::array::from_fn(|k| row[0] * matrix[0][k] + row[1] * matrix[1][k] + row[2] * matrix[2][k])
}

fn difference(u: [f64; 3], v: [f64; 3]) -> [f64; 3] {
    std::array::from_fn(|k| u[k] - v[k])
}

fn dot(u: [f64; 3], v: [f64; 3]) -> f64 {
    u[0] * v[0] + u[1] * v[1] + u[2] * v[2]
}

#[cfg(test)]
mod tests {
    use super::super::Element;
    use super::*;
    use proptest::prelude::*;

    const NO_LIMIT: usize = 10_000_000;

    fn structure(lattice: [[f64; 3]; 3], frac: Vec<[f64; 3]>) -> Result<Structure, super::super::StructureError> {
        Structure::new(Lattice(lattice), vec![Element::from_number(6).unwrap(); frac.len()], frac)
    }

    /// Every (i, j, shift, distance) within the cutoff. Along each axis a vector within the cutoff spans at most
    /// cutoff / height cells, so the range of shifts is sufficient.
    fn brute_force(s: &Structure, cutoff: f64) -> Vec<(u32, u32, [i32; 3], f64)> {
        let [a, b, c] = s.lattice.0;
        let cross = |u: [f64; 3], v: [f64; 3]| {
            [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
        };
        let height = [cross(b, c), cross(c, a), cross(a, b)].map(|n| s.lattice.volume() / dot(n, n).sqrt());
        let mut found = Vec::new();
        for (i, ri) in s.frac.iter().enumerate() {
            for (j, rj) in s.frac.iter().enumerate() {
                let d = difference(*rj, *ri);
                let range = |k: usize| {
                    let reach = cutoff / height[k] + 1e-6;
                    ((-d[k] - reach).floor() as i32)..=((-d[k] + reach).ceil() as i32)
                };
                for n0 in range(0) {
                    for n1 in range(1) {
                        for n2 in range(2) {
                            let n = [n0, n1, n2];
                            let r = s.lattice.cartesian(std::array::from_fn(|k| d[k] + f64::from(n[k])));
                            let distance = dot(r, r).sqrt();
                            if distance <= cutoff && (i != j || n != [0; 3]) {
                                found.push((i as u32, j as u32, n, distance));
                            }
                        }
                    }
                }
            }
        }
        found
    }

    fn sorted(mut edges: Vec<(u32, u32, [i32; 3], f64)>) -> Vec<(u32, u32, [i32; 3], f64)> {
        edges.sort_by_key(|e| (e.0, e.1, e.2));
        edges
    }

    /// Cells of 2 to 8 A with shears of several vectors, of both hands.
    fn any_structure() -> impl Strategy<Value = Structure> {
        let lattice = (prop::array::uniform3(2.0..8.0f64), prop::array::uniform3(-15.0..15.0f64), prop::bool::ANY);
        let frac = prop::collection::vec(prop::array::uniform3(-3.0..3.0f64), 1..5);
        (lattice, frac).prop_filter_map("flat", |((d, shear, left), frac)| {
            let x = if left { -d[0] } else { d[0] };
            structure([[x, 0.0, 0.0], [shear[0], d[1], 0.0], [shear[1], shear[2], d[2]]], frac).ok()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_image_is_found_once(s in any_structure(), cutoff in 1.0..6.0f64) {
            let list = neighbours(&s, cutoff, None, NO_LIMIT).unwrap();
            let ours = (0..list.len()).map(|e| (list.centre[e], list.neighbour[e], list.shift[e], list.distance[e]));
            let (ours, expected) = (sorted(ours.collect()), sorted(brute_force(&s, cutoff)));
            prop_assert_eq!(ours.len(), expected.len());
            for (o, e) in ours.iter().zip(&expected) {
                prop_assert_eq!((o.0, o.1, o.2), (e.0, e.1, e.2));
                prop_assert!((o.3 - e.3).abs() < 1e-9);
            }
            for e in 0..list.len() {
                let r = list.reverse[e] as usize;
                prop_assert_eq!((list.centre[r], list.neighbour[r]), (list.neighbour[e], list.centre[e]));
                prop_assert_eq!(list.shift[r], list.shift[e].map(|n| -n));
            }
        }

        #[test]
        fn the_smallest_distance_is_the_shortest_edge(s in any_structure()) {
            let expected = brute_force(&s, 8.0).iter().map(|e| e.3).fold(f64::INFINITY, f64::min);
            let closest = closest_pair(&s);
            prop_assert!((closest.distance - expected).abs() < 1e-9);
            prop_assert!(closest.first < s.len() && closest.second < s.len());
        }

        #[test]
        fn triplets_are_ordered_pairs_of_short_edges(s in any_structure()) {
            let list = neighbours(&s, 5.0, Some(3.5), NO_LIMIT).unwrap();
            let short = |e: usize| list.distance[e] <= 3.5;
            let mut expected = Vec::new();
            for e in (0..list.len()).filter(|e| short(*e)) {
                for f in (0..list.len()).filter(|f| short(*f) && *f != e && list.centre[*f] == list.centre[e]) {
                    expected.push([e as u32, f as u32]);
                }
            }
            let mut ours = list.triplets.clone();
            ours.sort_unstable();
            prop_assert_eq!(ours, expected);
        }

        #[test]
        fn hostile_cells_end(lattice in prop::array::uniform3(prop::array::uniform3(-1e3..1e3f64)),
                             scale in prop::array::uniform3(-120.0..120.0f64), far in -1e300..1e300f64) {
            let lattice = std::array::from_fn(|i| lattice[i].map(|x: f64| x * 10f64.powf(scale[i])));
            if let Ok(s) = structure(lattice, vec![[0.0; 3], [0.25, far, 0.5]]) {
                prop_assert!(smallest_distance(&s) >= 0.0);
                let _ = neighbours(&s, 6.0, Some(3.0), 1000);
            }
        }
    }

    #[test]
    fn simple_cubic_shells() {
        // Shells of the simple cubic lattice: 6 at a, 12 at sqrt(2) a, 8 at sqrt(3) a.
        let s = structure([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]], vec![[0.3, 7.2, -4.9]]).unwrap();
        assert_eq!(neighbours(&s, 3.0, Some(3.0), 100).unwrap().triplets.len(), 30);
        assert_eq!(neighbours(&s, 3.0 * 3f64.sqrt() + 1e-9, None, 100).unwrap().len(), 26);
        assert_eq!(smallest_distance(&s), 3.0);
    }

    #[test]
    fn limits_are_refusals() {
        let tiny = structure([[0.01, 0.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 0.01]], vec![[0.0; 3]]).unwrap();
        let error = neighbours(&tiny, 6.0, Some(3.0), 1000).unwrap_err();
        assert_eq!(error.to_string(), "more than 1000 edges within 6 A: the structure is too dense");
        let chain = structure([[0.1, 0.0, 0.0], [0.0, 50.0, 0.0], [0.0, 0.0, 50.0]], vec![[0.0; 3]]).unwrap();
        assert!(matches!(
            neighbours(&chain, 6.0, Some(6.0), 1000),
            Err(NeighbourError::TooMany { what: "triplets", .. })
        ));
        assert!(matches!(neighbours(&chain, f64::NAN, None, 10), Err(NeighbourError::Cutoff { .. })));
        assert!(matches!(neighbours(&chain, 3.0, Some(4.0), 10), Err(NeighbourError::Cutoff { .. })));
        let far = structure([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]], vec![[1e12, 0.0, 0.0]]).unwrap();
        assert_eq!(neighbours(&far, 3.0, None, 10), Err(NeighbourError::FarAtom { atom: 1 }));
    }
}
