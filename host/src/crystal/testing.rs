//! What tests of crystals share: random ones of any group, and whether two structures are one crystal.

use super::wyckoff::unit;
use super::{Element, Lattice, Site, SpaceGroup, Structure, Tokens, wyckoff_positions};
use nalgebra::Vector3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

type Fingerprint = BTreeMap<(Element, Element), [f64; 2]>;

/// Two smooth sums over all distances below 4.5 A between two elements, per atom: the same for every cell and order of
/// atoms of a crystal.
fn fingerprint(structure: &Structure) -> Fingerprint {
    const RADIUS2: f64 = 4.5 * 4.5;
    let [a, b, c] = structure.lattice.0.map(Vector3::from);
    let faces = [b.cross(&c), c.cross(&a), a.cross(&b)];
    let [i, j, k] = faces.map(|face| (RADIUS2.sqrt() * face.norm() / structure.lattice.volume()).ceil() as i32 + 1);
    let cells = (-i..=i).flat_map(|i| (-j..=j).flat_map(move |j| (-k..=k).map(move |k| [i, j, k].map(f64::from))));
    let shifts: Vec<_> = cells.map(|cell| structure.lattice.cartesian(cell)).collect();
    let mut sums = Fingerprint::new();
    for (x, s) in structure.frac.iter().zip(&structure.species) {
        for (y, t) in structure.frac.iter().zip(&structure.species) {
            let sum = sums.entry((*s, *t)).or_default();
            let step = structure.lattice.cartesian(std::array::from_fn(|axis| unit(y[axis]) - unit(x[axis])));
            for shift in &shifts {
                let d2: f64 = (0..3).map(|axis| (step[axis] + shift[axis]).powi(2)).sum();
                let weight = (1.0 - d2 / RADIUS2).max(0.0).powi(3) / structure.len() as f64;
                sum[0] += weight;
                sum[1] += weight * d2;
            }
        }
    }
    sums
}

fn density(structure: &Structure) -> f64 {
    structure.len() as f64 / structure.lattice.volume()
}

/// Why two structures are not one crystal, if they are not, within a relative tolerance.
pub(super) fn difference(one: &Structure, other: &Structure, tolerance: f64) -> Option<String> {
    let (a, b) = (fingerprint(one), fingerprint(other));
    let far = |x: f64, y: f64| (x - y).abs() > tolerance * (1.0 + x.abs());
    if far(density(one), density(other)) {
        return Some(format!("density {} {}", density(one), density(other)));
    }
    let same = a.len() == b.len()
        && a.iter().all(|(pair, x)| b.get(pair).is_some_and(|y| !far(x[0], y[0]) && !far(x[1], y[1])));
    (!same).then(|| format!("distances {a:?} {b:?}"))
}

/// A crystal of a group with one to four sites and at most 64 atoms (or one site), at 15 A^3 per atom. With two
/// general positions the crystal hardly has more symmetry than its group (one alone has an inversion more if polar).
pub(super) fn random_tokens(rng: &mut ChaCha8Rng, group: SpaceGroup, general: bool) -> Tokens {
    let positions = wyckoff_positions(group);
    let (mut sites, mut atoms) = (Vec::<Site>::new(), 0);
    for _ in 0..rng.random_range(2..=4) {
        let first = if general && sites.len() < 2 { positions.len() - 1 } else { 0 };
        let position = &positions[rng.random_range(first..positions.len())];
        let taken = position.dof0 && sites.iter().any(|site| site.wyckoff == position.index);
        if taken || !sites.is_empty() && atoms + position.multiplicity() > 64 {
            continue;
        }
        atoms += position.multiplicity();
        let species = Element::from_number(rng.random_range(3..=9)).unwrap();
        sites.push(Site { wyckoff: position.index, species, coord: position.project(rng.random()) });
    }
    let lengths = std::array::from_fn(|_| rng.random_range(0.7..1.4));
    let angles = std::array::from_fn(|_| rng.random_range(70.0..115.0));
    let (lengths, angles) = group.symmetrize_lattice(lengths, angles);
    let scale = (15.0 / Lattice::from_parameters(lengths, angles).unwrap().volume()).cbrt();
    let lattice = [lengths.map(|x| x * scale), angles.map(f64::to_radians)].concat().try_into().unwrap();
    Tokens { group, lattice, sites }
}
