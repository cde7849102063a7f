//! From atoms to tokens: the symmetry search (moyo), the conventional cell, and one representative per orbit.

use super::wyckoff::unit;
use super::{Element, Lattice, Site, SpaceGroup, SpaceGroupError, Structure, TokenError, Tokens, wyckoff_positions};
use moyo::MoyoDataset;
use moyo::base::{AngleTolerance, Cell};
use moyo::data::Setting;
use nalgebra::{Matrix3, Vector3};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The usual tolerance of a search for symmetry, angstrom: that of CrystalFormer's reference code.
pub const SYMPREC: f64 = 0.01;

/// Coordinates this near below 1 are 0: rounding of the symmetry search, which would upset the order of sites.
const ROUNDING: f64 = 1e-6;

/// How much larger than a tolerance a length must be for the search to be safe.
const MARGIN: f64 = 10.0;

/// Why a structure has no tokens.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Serialize, Deserialize)]
pub enum TokeniseError {
    /// A tolerance that is no distance.
    #[error("symmetry tolerance {symprec} A: a finite number above 0 is needed")]
    Tolerance {
        /// The tolerance given, angstrom.
        symprec: f64,
    },
    /// A cell so thin that within the tolerance shears along its long edge are symmetries: the search would not end.
    #[error(
        "the cell is {thickness:.3} A thin and {longest:.3} A long: too extreme for a symmetry tolerance of {symprec} A"
    )]
    Thin {
        /// Smallest distance between opposite faces, angstrom.
        thickness: f64,
        /// Longest lattice vector, angstrom.
        longest: f64,
        /// Tolerance of the search, angstrom.
        symprec: f64,
    },
    /// The symmetry search gave up (overlapping atoms, mostly).
    #[error("no space group found within {symprec} A: {reason}")]
    Search {
        /// Tolerance of the search, angstrom.
        symprec: f64,
        /// moyo's reason.
        reason: String,
    },
    /// A group number that does not exist.
    #[error(transparent)]
    Group(#[from] SpaceGroupError),
    /// Atoms that do not make up a whole orbit of the Wyckoff position they were assigned to.
    #[error("space group {group}: {atoms} atoms of {species} do not form one orbit of Wyckoff position {letter}")]
    Orbit {
        /// Group found.
        group: SpaceGroup,
        /// Element of the atoms.
        species: Element,
        /// Their number in the conventional cell.
        atoms: usize,
        /// Letter assigned to them.
        letter: char,
    },
    /// Orbits that exclude one another: atoms of different elements on one point.
    #[error(transparent)]
    Tokens(#[from] TokenError),
}

/// Symmetry of a structure as tokens, sites in ascending order of (wyckoff, x, y, z).
///
/// `symprec` in angstrom (usually [`SYMPREC`]). The conventional cell and its coordinates are symmetrised. Letters are
/// defined up to the group's Euclidean normaliser: another choice of origin may name the same orbits otherwise. Of the
/// atoms of an orbit the one with the smallest coordinates stands for it, whatever the order of atoms.
///
/// # Errors
/// Any [`TokeniseError`].
pub fn tokenise(structure: &Structure, symprec: f64) -> Result<Tokens, TokeniseError> {
    let found = search(structure, symprec)?;
    let group = SpaceGroup::new(found.number.into())?;
    let mut sites = orbits(structure, &found)
        .iter()
        .map(|orbit| site(group, orbit, &found, symprec))
        .collect::<Result<Vec<_>, _>>()?;
    sites.sort_by(|s, t| s.wyckoff.cmp(&t.wyckoff).then(compare(&s.coord, &t.coord)));
    let tokens = Tokens { group, lattice: lattice_tokens(group, &found.std_cell), sites };
    tokens.check()?;
    Ok(tokens)
}

/// The space group of a structure, and the letter of each atom's Wyckoff position.
#[derive(Clone, Debug, PartialEq)]
pub struct Symmetry {
    /// Space group.
    pub group: SpaceGroup,
    /// One letter per atom of the structure as given; `A` follows `z`.
    pub letters: Vec<char>,
}

/// Symmetry of a structure, with a tolerance in angstrom. Letters are defined up to the group's Euclidean normaliser.
///
/// # Errors
/// Those of the search: a cell that is too thin, or a structure that has none.
pub fn symmetry(structure: &Structure, symprec: f64) -> Result<Symmetry, TokeniseError> {
    let found = search(structure, symprec)?;
    Ok(Symmetry { group: SpaceGroup::new(found.number.into())?, letters: found.wyckoffs })
}

/// Atoms of the conventional cell that symmetry makes equivalent.
struct Orbit {
    species: Element,
    letter: char,
    /// Indices into the conventional cell.
    atoms: Vec<usize>,
}

/// moyo's search for the symmetry of a structure.
pub(super) fn search(structure: &Structure, symprec: f64) -> Result<MoyoDataset, TokeniseError> {
    if !(symprec.is_finite() && symprec > 0.0) {
        return Err(TokeniseError::Tolerance { symprec });
    }
    check_shape(&structure.lattice, symprec)?;
    let lattice = moyo::base::Lattice::new(Matrix3::from_fn(|i, j| structure.lattice.0[i][j]));
    let positions = structure.frac.iter().map(|x| Vector3::from(x.map(unit))).collect();
    let numbers = structure.species.iter().map(|element| element.number().into()).collect();
    let cell = Cell::new(lattice, positions, numbers);
    MoyoDataset::new(&cell, symprec, AngleTolerance::default(), Setting::Standard, true)
        .map_err(|error| TokeniseError::Search { symprec, reason: error.to_string() })
}

/// Refuses cells whose lattice the search could not tell from its shears. Adding the shortest vector (length a) to the
/// longest (c) turns it by a/c, and angles count as equal when sin^2(a/c) a c < symprec^2; the group that such shears
/// generate is infinite. No lattice vector is shorter than the smallest distance between opposite faces.
fn check_shape(lattice: &Lattice, symprec: f64) -> Result<(), TokeniseError> {
    let [a, b, c] = lattice.0.map(Vector3::from);
    let largest = |vectors: [Vector3<f64>; 3]| vectors.iter().map(Vector3::norm).fold(0.0, f64::max);
    let thickness = lattice.volume() / largest([a.cross(&b), b.cross(&c), c.cross(&a)]);
    let longest = largest([a, b, c]);
    let safe = thickness > MARGIN * symprec && thickness.powi(3) > MARGIN * longest * symprec * symprec;
    if safe { Ok(()) } else { Err(TokeniseError::Thin { thickness, longest, symprec }) }
}

/// moyo names orbits and letters by *input* atom, which maps to an atom of the primitive cell; atom `p` of that has its
/// copies in the conventional cell at `p * copies ..`.
fn orbits(structure: &Structure, found: &MoyoDataset) -> Vec<Orbit> {
    let copies = found.std_cell.num_atoms() / found.prim_std_cell.num_atoms().max(1);
    let mut orbits = BTreeMap::new();
    let mut seen = vec![false; found.prim_std_cell.num_atoms()];
    for (atom, primitive) in found.mapping_std_prim.iter().copied().enumerate() {
        if std::mem::replace(&mut seen[primitive], true) {
            continue;
        }
        let start = || Orbit { species: structure.species[atom], letter: found.wyckoffs[atom], atoms: Vec::new() };
        let orbit = orbits.entry(found.orbits[atom]).or_insert_with(start);
        orbit.atoms.extend(primitive * copies..(primitive + 1) * copies);
    }
    orbits.into_values().collect()
}

fn site(group: SpaceGroup, orbit: &Orbit, found: &MoyoDataset, symprec: f64) -> Result<Site, TokeniseError> {
    let position = wyckoff_positions(group).iter().find(|position| position.letter() == orbit.letter);
    let whole = position.filter(|position| position.multiplicity() == orbit.atoms.len());
    let coord = whole.and_then(|position| {
        let cell = &found.std_cell;
        let points = orbit.atoms.iter().map(|atom| <[f64; 3]>::from(cell.positions[*atom]));
        let on_position = points.filter(|x| {
            let moved = cell.lattice.basis * Vector3::from(position.residual(*x));
            moved.norm() < symprec
        });
        on_position.map(|x| position.project(position.project(x).map(settle))).min_by(compare)
    });
    let Orbit { species, letter, atoms } = orbit;
    match (whole, coord) {
        (Some(position), Some(coord)) => Ok(Site { wyckoff: position.index, species: *species, coord }),
        _ => Err(TokeniseError::Orbit { group, species: *species, atoms: atoms.len(), letter: *letter }),
    }
}

fn lattice_tokens(group: SpaceGroup, cell: &Cell) -> [f64; 6] {
    let rows = std::array::from_fn(|i| <[f64; 3]>::from(Vector3::from(cell.lattice.basis.column(i))));
    let (lengths, angles) = Lattice(rows).parameters();
    let ([a, b, c], [alpha, beta, gamma]) = group.symmetrize_lattice(lengths, angles);
    let scale = (cell.num_atoms() as f64).cbrt();
    [a / scale, b / scale, c / scale, alpha.to_radians(), beta.to_radians(), gamma.to_radians()]
}

/// A coordinate in [0, 1), with what is 0 up to rounding made 0.
pub(super) fn settle(t: f64) -> f64 {
    if (ROUNDING..=1.0 - ROUNDING).contains(&t) { t } else { 0.0 }
}

/// Lexicographic, coordinates equal within rounding counting as equal.
pub(super) fn compare(x: &[f64; 3], y: &[f64; 3]) -> std::cmp::Ordering {
    let coarse = |t: &[f64; 3]| t.map(|t| (t / ROUNDING).round() as i64);
    coarse(x).cmp(&coarse(y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::npz::{Npz, shared};
    use crate::crystal::testing::{difference, random_tokens};
    use crate::crystal::{read_structures, smallest_distance};
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn random_crystals_of_every_group_survive_the_round_trip() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let (mut same_group, mut tried) = ([0, 0], 0);
        for (group, general) in SpaceGroup::all().flat_map(|group| [(group, true), (group, false)]) {
            let (tokens, structure) = (0..1000)
                .map(|_| random_tokens(&mut rng, group, general))
                .map(|tokens| (tokens.clone(), tokens.to_structure().unwrap()))
                .find(|(_, structure)| smallest_distance(structure) > 0.4)
                .unwrap();
            let found = tokenise(&structure, SYMPREC).unwrap_or_else(|error| panic!("{tokens:?}: {error}"));
            let expanded = found.to_structure().unwrap();
            // A supergroup within the tolerance symmetrises; the group itself has nothing to move.
            let tolerance = if found.group == group { 1e-6 } else { 1e-2 };
            assert_eq!(difference(&structure, &expanded, tolerance), None, "{tokens:?} became {found:?}");
            assert_eq!(tokenise(&expanded, SYMPREC).unwrap().group, found.group, "{found:?}");
            same_group[usize::from(general)] += usize::from(found.group == group);
            tried += usize::from(general);
        }
        let [special, general] = same_group;
        println!("group kept: {general} of {tried} with the general position, {special} of {tried} of random sites");
        assert_eq!(general, tried);
    }

    /// The same crystal: twice as long along a, c reversed (so of other handedness), atoms in other order and cells.
    fn disguised(structure: &Structure) -> Structure {
        let Lattice([a, b, c]) = structure.lattice;
        let lattice = Lattice([a.map(|t| 2.0 * t), b, c.map(|t| -t)]);
        let copies = |x: &[f64; 3]| [[x[0] / 2.0 + 3.0, x[1], -x[2]], [x[0] / 2.0 + 0.5, x[1] - 7.0, -x[2]]];
        let species = structure.species.iter().rev().flat_map(|element| [*element; 2]).collect();
        Structure::new(lattice, species, structure.frac.iter().rev().flat_map(copies).collect()).unwrap()
    }

    #[test]
    fn another_cell_gives_the_same_crystal() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for group in SpaceGroup::all().filter(|group| group.number() < 196) {
            let structure = random_tokens(&mut rng, group, true).to_structure().unwrap();
            // Generated atoms may be near enough to confuse; what counts is that both cells read the same.
            let (Ok(plain), Ok(other)) = (tokenise(&structure, SYMPREC), tokenise(&disguised(&structure), SYMPREC))
            else {
                assert!(smallest_distance(&structure) < 0.05, "group {group}");
                continue;
            };
            assert_eq!(plain.group, other.group);
            assert_eq!(plain.num_atoms(), other.num_atoms());
            let expanded = [plain, other].map(|tokens| tokens.to_structure().unwrap());
            assert_eq!(difference(&expanded[0], &expanded[1], 1e-2), None, "group {group}");
        }
    }

    proptest! {
        #[test]
        fn nonsense_is_answered(lengths in prop::array::uniform3(-1.5..3.0f64), angles in prop::array::uniform3(20.0..160.0f64),
                                atoms in prop::collection::vec((1..4u8, prop::array::uniform3(0..3i32)), 1..12),
                                noise in 0.0..0.02f64, symprec in -4.0..1.0f64) {
            let Ok(lattice) = Lattice::from_parameters(lengths.map(|t| 10f64.powf(t)), angles) else { return Ok(()) };
            let species = atoms.iter().map(|(z, _)| Element::from_number(*z).unwrap()).collect();
            let frac = atoms.iter().map(|(z, x)| x.map(|t| f64::from(t) / 3.0 + noise * f64::from(*z))).collect();
            let Ok(structure) = Structure::new(lattice, species, frac) else { return Ok(()) };
            if let Ok(tokens) = tokenise(&structure, 10f64.powf(symprec)) {
                prop_assert!(tokens.to_structure().is_ok(), "{tokens:?}");
            }
            for symprec in [0.0, -1.0, f64::NAN, f64::INFINITY] {
                let refused = matches!(tokenise(&structure, symprec), Err(TokeniseError::Tolerance { .. }));
                prop_assert!(refused, "{symprec}");
            }
        }
    }

    /// Structures of the validation part of MP-20, by material id.
    fn mp20() -> Option<Vec<(String, Structure)>> {
        let rows = read_structures(&shared("data/mp_20/val_part.csv.gz")?).unwrap().map(Result::unwrap);
        Some(rows.map(|row| (row.id, row.structure.unwrap())).collect())
    }

    #[test]
    fn real_crystals_survive_the_round_trip() {
        let Some(structures) = mp20() else { return };
        for (id, structure) in structures.iter().step_by(23) {
            let found = tokenise(structure, SYMPREC).unwrap();
            let expanded = found.to_structure().unwrap();
            assert_eq!(difference(structure, &expanded, 5e-2), None, "{id} {found:?}");
            let again = tokenise(&expanded, SYMPREC).unwrap();
            assert_eq!(again.group, found.group, "{id}");
            assert_eq!(difference(&expanded, &again.to_structure().unwrap(), 1e-6), None, "{id} {found:?}");
        }
    }

    /// Space group and sorted (element, multiplicity) of all sites: what tokens have in common whatever the origin.
    type Orbits = (i64, Vec<(i64, usize)>);

    #[test]
    fn real_crystals_have_the_reference_s_orbits() {
        let Some(golden) = Npz::shared("data/mp_20/tokens_ref_val_sample.npz") else { return };
        let Some(structures) = mp20() else { return };
        let (groups, elements, letters) = (golden.integers("G"), golden.integers("A"), golden.integers("W"));
        let structures: BTreeMap<_, _> = structures.into_iter().collect();
        let (mut same_group, mut same_orbits, mut same_letters) = (0, 0, 0);
        let ids = golden.strings("material_id");
        for (row, id) in ids.iter().enumerate() {
            let slots = 21 * row..21 * row + 21;
            let group = SpaceGroup::new(groups[row]).unwrap();
            let multiplicity = |w: i64| wyckoff_positions(group)[w as usize - 1].multiplicity();
            let pairs = elements[slots.clone()].iter().zip(&letters[slots]).filter(|(_, w)| **w > 0);
            let mut theirs: Vec<_> = pairs.map(|(a, w)| (*a, *w, multiplicity(*w))).collect();
            let found = tokenise(&structures[id], SYMPREC).unwrap();
            let sites = found.sites.iter().zip(found.multiplicities().unwrap());
            let mut ours: Vec<_> = sites.map(|(s, m)| (s.species.number().into(), s.wyckoff.into(), m)).collect();
            same_group += usize::from(found.group == group);
            ours.sort_unstable();
            theirs.sort_unstable();
            same_letters += usize::from(found.group == group && ours == theirs);
            let orbits = |sites: &[(i64, i64, usize)], group| -> Orbits {
                let mut pairs: Vec<_> = sites.iter().map(|(a, _, m)| (*a, *m)).collect();
                pairs.sort_unstable();
                (group, pairs)
            };
            let same = orbits(&ours, found.group.number().into()) == orbits(&theirs, groups[row]);
            same_orbits += usize::from(same);
            if !same {
                println!("{id}: {} {ours:?} here, {group} {theirs:?} in the reference", found.group);
            }
        }
        let n = ids.len();
        println!("of {n}: {same_group} same group, {same_orbits} same orbits, {same_letters} same letters");
        assert!(same_orbits * 100 >= n * 99);
    }
}
