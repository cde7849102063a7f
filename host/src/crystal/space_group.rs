//! Space groups by number, and what each leaves free in a lattice.
//!
//! Settings are those of the International Tables for Crystallography, volume A: monoclinic unique axis b with cell choice 1,
//! hexagonal axes for rhombohedral groups, origin choice 2 where there are two.

use serde::{Deserialize, Serialize};

/// A space group, held as its number 1..=230.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpaceGroup(u8);

/// The crystal systems, and the last space group of each.
pub const CRYSTAL_SYSTEMS: [(&str, u8); 7] = [
    ("triclinic", 2),
    ("monoclinic", 15),
    ("orthorhombic", 74),
    ("tetragonal", 142),
    ("trigonal", 167),
    ("hexagonal", 194),
    ("cubic", 230),
];

/// A number that no space group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("there is no space group {number}: the numbers are 1 to 230")]
pub struct SpaceGroupError {
    /// The number asked for.
    pub number: i64,
}

impl SpaceGroup {
    /// The group of a number.
    ///
    /// # Errors
    /// [`SpaceGroupError`] outside 1..=230.
    pub fn new(number: i64) -> Result<Self, SpaceGroupError> {
        match u8::try_from(number) {
            Ok(small @ 1..=230) => Ok(Self(small)),
            _ => Err(SpaceGroupError { number }),
        }
    }

    /// All 230 groups, in order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..230u8).map(|index| Self(index + 1))
    }

    /// Number, 1..=230.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Position in a table of 230 rows: number - 1.
    pub fn index(self) -> usize {
        usize::from(self.0) - 1
    }

    /// Which of a, b, c, alpha, beta, gamma the group leaves free, each counted once (a = b counts for a).
    pub fn lattice_mask(self) -> [bool; 6] {
        match self.0 {
            ..=2 => [true; 6],
            3..=15 => [true, true, true, false, true, false],
            16..=74 => [true, true, true, false, false, false],
            75..=194 => [true, false, true, false, false, false],
            195.. => [true, false, false, false, false, false],
        }
    }

    /// Cell parameters with the dependent ones overwritten: lengths in any unit, angles in degrees.
    pub fn symmetrize_lattice(self, [a, b, c]: [f64; 3], angles: [f64; 3]) -> ([f64; 3], [f64; 3]) {
        match self.0 {
            ..=2 => ([a, b, c], angles),
            3..=15 => ([a, b, c], [90.0, angles[1], 90.0]),
            16..=74 => ([a, b, c], [90.0; 3]),
            75..=142 => ([a, a, c], [90.0; 3]),
            143..=194 => ([a, a, c], [90.0, 90.0, 120.0]),
            195.. => ([a, a, a], [90.0; 3]),
        }
    }
}

impl std::fmt::Display for SpaceGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::npz::Npz;

    #[test]
    fn numbers_outside_the_tables_are_refused() {
        for number in [0, 231, -1, 256 + 225, i64::MAX] {
            assert_eq!(SpaceGroup::new(number), Err(SpaceGroupError { number }));
        }
        assert_eq!(SpaceGroup::new(1).unwrap().number(), 1);
        assert_eq!(SpaceGroup::new(230).unwrap().index(), 229);
        assert_eq!(SpaceGroup::all().len(), 230);
        assert_eq!(SpaceGroup::all().last(), SpaceGroup::new(230).ok());
    }

    #[test]
    fn lattice_rules_equal_the_reference() {
        let Some(golden) = Npz::shared("golden/wyckoff_tables.npz") else { return };
        let given = golden.floats("symmetrize_lattice_in");
        let (lengths, angles) = ([given[0], given[1], given[2]], [given[3], given[4], given[5]]);
        for group in SpaceGroup::all() {
            let row = 6 * group.index()..6 * group.index() + 6;
            let mask = group.lattice_mask().map(i64::from);
            assert_eq!(mask, golden.integers("lattice_mask")[row.clone()], "group {group}");
            let (lengths, angles) = group.symmetrize_lattice(lengths, angles);
            assert_eq!([lengths, angles].concat(), golden.floats("symmetrize_lattice_out")[row], "group {group}");
        }
    }
}
