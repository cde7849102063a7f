//! Comparisons whose results follow from geometry.

use proptest::prelude::*;

use super::*;
use crate::crystal::{Element, Lattice, Structure};

fn crystal(vectors: [[f64; 3]; 3], atoms: &[(&str, [f64; 3])]) -> Structure {
    let species = atoms.iter().map(|(symbol, _)| Element::from_symbol(symbol).unwrap()).collect();
    Structure::new(Lattice(vectors), species, atoms.iter().map(|(_, frac)| *frac).collect()).unwrap()
}

fn cubic(a: f64) -> [[f64; 3]; 3] {
    [[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]
}

fn cscl(a: f64, x: f64) -> Structure {
    crystal(cubic(a), &[("Cs", [0.0; 3]), ("Cl", [0.5 + x, 0.5, 0.5])])
}

/// Corundum-like: a low symmetry, five atoms of two elements, no atom on a special position.
fn skewed() -> Structure {
    let vectors = [[5.1, 0.0, 0.0], [-1.3, 6.2, 0.0], [0.7, 1.1, 7.9]];
    let atoms = [
        ("Ti", [0.1, 0.2, 0.3]),
        ("Ti", [0.62, 0.71, 0.18]),
        ("O", [0.37, 0.05, 0.66]),
        ("O", [0.81, 0.43, 0.52]),
        ("O", [0.24, 0.88, 0.93]),
    ];
    crystal(vectors, &atoms)
}

fn compare(one: &Structure, two: &Structure) -> (bool, Option<Displacement>) {
    let matcher = StructureMatcher::default();
    let (one, two) = (matcher.reduce(one).unwrap(), matcher.reduce(two).unwrap());
    (matcher.fit(&one, &two), matcher.displacement(&one, &two))
}

#[test]
fn a_displaced_atom_moves_both_by_half() {
    // 0.4 A of 4 A: after the best translation each of the two atoms is 0.2 A off, in units of (64 A^3 / 2)^(1/3).
    let (fit, displacement) = compare(&cscl(4.0, 0.0), &cscl(4.0, 0.1));
    let expected = 0.2 / 32f64.cbrt();
    let displacement = displacement.unwrap();
    assert!(fit);
    assert!((displacement.rms - expected).abs() < 1e-9 && (displacement.max_dist - expected).abs() < 1e-9);
}

#[test]
fn the_largest_distance_decides() {
    // One of eight atoms moved by d: it is 7/8 d off after the best translation, the root mean square is sqrt(7) / 8 d.
    let atoms = |d: f64| {
        let frac = (0..8).map(|i| [i / 4, i / 2 % 2, i % 2].map(|x| 0.5 * f64::from(x)));
        let elements = ["Li", "Na", "K", "Rb", "Cs", "F", "Cl", "Br"];
        let mut atoms: Vec<(&str, [f64; 3])> = elements.into_iter().zip(frac).collect();
        atoms[7].1[0] += d / 8.0;
        crystal(cubic(8.0), &atoms)
    };
    let unit = 64f64.cbrt();
    for d in [1.0, 1.36, 1.38, 2.0] {
        let (fit, displacement) = compare(&atoms(0.0), &atoms(d));
        assert_eq!(fit, 0.875 * d / unit < 0.3, "{d}");
        let displacement = displacement.unwrap();
        assert!((displacement.rms - 7f64.sqrt() / 8.0 * d / unit).abs() < 1e-9, "{d}: {displacement:?}");
        assert!((displacement.max_dist - 0.875 * d / unit).abs() < 1e-9, "{d}: {displacement:?}");
    }
}

#[test]
fn what_differs_does_not_fit() {
    let rock_salt = crystal([[0.0, 2.8, 2.8], [2.8, 0.0, 2.8], [2.8, 2.8, 0.0]], &[("Cs", [0.0; 3]), ("Cl", [0.5; 3])]);
    assert_eq!(compare(&cscl(4.0, 0.0), &rock_salt), (false, None));
    let bromide = crystal(cubic(4.0), &[("Cs", [0.0; 3]), ("Br", [0.5; 3])]);
    assert_eq!(compare(&cscl(4.0, 0.0), &bromide), (false, None));
    let richer = crystal(cubic(4.0), &[("Cs", [0.0; 3]), ("Cl", [0.5; 3]), ("Cl", [0.5, 0.5, 0.0])]);
    assert_eq!(compare(&cscl(4.0, 0.0), &richer), (false, None));
}

#[test]
fn volumes_matter_only_where_nothing_is_scaled() {
    let unscaled = StructureMatcher { scale: false, ..StructureMatcher::default() };
    for (a, fits) in [(4.0, true), (4.7, true), (4.9, false), (9.0, false)] {
        assert!(compare(&cscl(4.0, 0.0), &cscl(a, 0.0)).0, "{a}");
        let [one, two] = [4.0, a].map(|a| unscaled.reduce(&cscl(a, 0.0)).unwrap());
        assert_eq!(unscaled.fit(&one, &two), fits, "{a}");
    }
}

#[test]
fn supercells_are_the_same_crystal_where_primitive_cells_are_compared() {
    let doubled = crystal(
        [[8.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]],
        &[("Cs", [0.0; 3]), ("Cl", [0.25, 0.5, 0.5]), ("Cs", [0.5, 0.0, 0.0]), ("Cl", [0.75, 0.5, 0.5])],
    );
    let (fit, displacement) = compare(&cscl(4.0, 0.0), &doubled);
    assert!(fit && displacement.unwrap().rms < 1e-9);
    let as_given = StructureMatcher { primitive: false, ..StructureMatcher::default() };
    let [one, two] = [cscl(4.0, 0.0), doubled].map(|s| as_given.reduce(&s).unwrap());
    assert!(!as_given.fit(&one, &two) && one.len() == 2 && two.len() == 4);
}

#[test]
fn absurd_cells_are_refused_in_time() {
    let matcher = StructureMatcher::default();
    let needle = crystal([[1.5, 0.0, 0.0], [0.0, 1.5, 0.0], [0.0, 0.0, 9e4]], &[("Fe", [0.0; 3])]);
    assert!(matches!(matcher.reduce(&needle), Err(ReduceError::Elongated { .. })));
    let many: Vec<(&str, [f64; 3])> = (0..1001).map(|i| ("Fe", [f64::from(i) / 1001.0, 0.0, 0.0])).collect();
    let many = crystal([[3000.0, 0.0, 0.0], [0.0, 300.0, 0.0], [0.0, 0.0, 300.0]], &many);
    assert_eq!(matcher.reduce(&many).unwrap_err(), ReduceError::TooManyAtoms { atoms: 1001 });
    // A cell of another shape for the same lattice, with vectors of hundreds of angstrom.
    let sheared =
        crystal([[4.0, 0.0, 0.0], [400.0, 4.0, 0.0], [-800.0, 1200.0, 4.0]], &[("Cs", [0.0; 3]), ("Cl", [0.5; 3])]);
    assert_eq!(matcher.reduce(&sheared).unwrap().len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_description_is_not_the_crystal(
        order in Just((0..5usize).collect::<Vec<_>>()).prop_shuffle(),
        shift in prop::array::uniform3(-2.0..2.0f64),
        shears in prop::collection::vec((0..3usize, 1..3usize, -2..=2i32), 0..4),
        angle in 0.0..6.28f64,
        stretch in 0.7..1.4f64,
        mirrored: bool,
    ) {
        let original = skewed();
        let mut vectors = original.lattice.0;
        for (row, step, times) in shears {
            let other = vectors[(row + step) % 3];
            (0..3).for_each(|k| vectors[row][k] += f64::from(times) * other[k]);
        }
        let (sin, cos) = angle.sin_cos();
        let turn = |[x, y, z]: [f64; 3]| {
            let z = if mirrored { -z } else { z };
            [x * cos - y * sin, y * cos + x * sin, z].map(|x| x * stretch)
        };
        let positions: Vec<[f64; 3]> = original.positions();
        let frac = order.iter().map(|i| {
            let r = Lattice(vectors).fractional(positions[*i]);
            std::array::from_fn(|k| r[k] + shift[k])
        });
        let species = order.iter().map(|i| original.species[*i]).collect();
        let described = Structure::new(Lattice(vectors.map(turn)), species, frac.collect()).unwrap();
        let (fit, displacement) = compare(&original, &described);
        prop_assert!(fit);
        prop_assert!(displacement.unwrap().rms < 1e-4);
    }
}

#[test]
fn an_index_finds_what_was_added() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first.index"), folder.path().join("second.index"));
    let matcher = StructureMatcher::default();
    let reduce = |s: &Structure| matcher.reduce(s).unwrap();
    let mut builder = StructureIndexBuilder::create(&first, &matcher).unwrap();
    builder.add("skewed", &reduce(&skewed())).unwrap();
    builder.add("cscl", &reduce(&cscl(4.1, 0.0))).unwrap();
    builder.add("cscl again", &reduce(&cscl(4.2, 0.0))).unwrap();
    builder.finish().unwrap();
    let index = StructureIndex::open(&first, matcher.clone()).unwrap();
    let find = |index: &StructureIndex, s: &Structure| index.find(&reduce(s)).unwrap();
    assert_eq!(index.len(), 3);
    assert_eq!(find(&index, &cscl(3.9, 0.02)).as_deref(), Some("cscl"));
    assert_eq!(find(&index, &skewed()).as_deref(), Some("skewed"));
    let other = crystal(cubic(4.0), &[("Cs", [0.0; 3]), ("Cl", [0.5, 0.5, 0.0])]);
    assert_eq!(find(&index, &other), None);
    // Another index with everything of the first, and one more.
    let mut builder = StructureIndexBuilder::create(&second, &matcher).unwrap();
    builder.extend(&index).unwrap();
    builder.add("layered", &reduce(&other)).unwrap();
    builder.finish().unwrap();
    let index = StructureIndex::open(&second, matcher.clone()).unwrap();
    assert_eq!((index.len(), find(&index, &other).as_deref()), (4, Some("layered")));
    assert_eq!(find(&index, &cscl(3.9, 0.02)).as_deref(), Some("cscl"));
    let as_given = StructureMatcher { primitive: false, ..StructureMatcher::default() };
    assert!(matches!(StructureIndex::open(&second, as_given), Err(IndexError::Primitive { primitive: true, .. })));
}

#[test]
fn damage_to_an_index_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("known.index");
    let matcher = StructureMatcher::default();
    let reduced = matcher.reduce(&cscl(4.1, 0.0)).unwrap();
    let mut builder = StructureIndexBuilder::create(&path, &matcher).unwrap();
    builder.add("cscl", &reduced).unwrap();
    builder.finish().unwrap();
    let whole = std::fs::read(&path).unwrap();
    let outcome = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        StructureIndex::open(&path, matcher.clone()).and_then(|index| index.find(&reduced))
    };
    assert_eq!(outcome(&whole).unwrap().as_deref(), Some("cscl"));
    for length in 0..whole.len() {
        assert!(outcome(&whole[..length]).is_err(), "cut to {length} bytes");
    }
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x10;
        assert!(outcome(&bytes).is_err(), "byte {place} flipped");
    }
}
