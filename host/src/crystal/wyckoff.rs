//! Wyckoff positions of the 230 space groups: 1731 in all, from moyo's tables.

use super::SpaceGroup;
use super::operation::{DENOMINATOR, GeneralPosition, Operation};
use moyo::data::{Setting, iter_wyckoff_positions_from_hall_number};
use std::sync::OnceLock;

/// An affine map of fractional coordinates, x -> rotation x + translation. Translations are not wrapped (up to 17/12).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine {
    /// Rows of the linear part, entries -2..=2.
    pub rotation: [[i8; 3]; 3],
    /// In units of the lattice vectors.
    pub translation: [f64; 3],
}

/// One Wyckoff position of a group, for the conventional cell.
#[derive(Clone, Debug, PartialEq)]
pub struct WyckoffPosition {
    /// 1..=27: 1 is letter a, 26 is z, 27 is A.
    pub index: u8,
    /// One per atom: the first maps any point to the position's first representative (such as x,2x,z), the rest to its
    /// images in the order of the International Tables (in some centred groups copies are swapped), centring copies last.
    pub operators: Vec<Affine>,
    /// No degree of freedom: the first operator is a constant, so one site at most can take the position.
    pub dof0: bool,
    /// Which coordinates the policy counts: row `i` of the first operator is not constant.
    pub fc_mask: [bool; 3],
}

/// All Wyckoff positions of a group; entry `i` has index `i + 1`, the general position is last.
pub fn wyckoff_positions(group: SpaceGroup) -> &'static [WyckoffPosition] {
    static TABLE: OnceLock<Vec<Vec<WyckoffPosition>>> = OnceLock::new();
    // moyo's data are fixed and a test reads all of it, so a group without positions cannot arise.
    let table =
        TABLE.get_or_init(|| SpaceGroup::all().map(|group| read_positions(group).unwrap_or_default()).collect());
    &table[group.index()]
}

/// The Wyckoff position of an index 1..=27, if the group has it.
pub fn wyckoff_position(group: SpaceGroup, index: u8) -> Option<&'static WyckoffPosition> {
    wyckoff_positions(group).get(usize::from(index).checked_sub(1)?)
}

impl Affine {
    /// The image of a point, not wrapped.
    pub fn apply(&self, x: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|axis| self.component(axis, x))
    }

    fn component(&self, axis: usize, x: [f64; 3]) -> f64 {
        let row = self.rotation[axis];
        f64::from(row[0]) * x[0] + f64::from(row[1]) * x[1] + f64::from(row[2]) * x[2] + self.translation[axis]
    }
}

impl WyckoffPosition {
    /// Number of atoms in the conventional cell.
    pub fn multiplicity(&self) -> usize {
        self.operators.len()
    }

    /// Number of free coordinates: the rank of the linear part of the first operator, which for a projection is its trace.
    pub fn free_coordinates(&self) -> usize {
        let rotation = self.operators[0].rotation;
        usize::try_from((0..3).map(|axis| rotation[axis][axis]).sum::<i8>()).unwrap_or(0)
    }

    /// Letter of the International Tables: a..z, then A.
    pub fn letter(&self) -> char {
        letter(self.index)
    }

    /// Coordinate `axis` (0..3) of the point on the first representative, in [0, 1). Row `axis` of the first operator reads
    /// no later coordinate, so x, y, z can be drawn and projected in turn.
    pub fn project_axis(&self, axis: usize, x: [f64; 3]) -> f64 {
        unit(self.operators[0].component(axis, x))
    }

    /// All three coordinates projected in turn: a fixed point of the first operator (up to whole translations).
    pub fn project(&self, mut x: [f64; 3]) -> [f64; 3] {
        for axis in 0..3 {
            x[axis] = self.project_axis(axis, x);
        }
        x
    }

    /// How far the first operator moves a point, per axis, whole translations apart: within [-0.5, 0.5].
    pub fn residual(&self, x: [f64; 3]) -> [f64; 3] {
        let image = self.operators[0].apply(x);
        std::array::from_fn(|axis| nearest_image(image[axis] - x[axis]))
    }
}

/// Letter of a Wyckoff index 1..=27.
pub(super) fn letter(index: u8) -> char {
    if index == 27 { 'A' } else { char::from(b'a' + index.clamp(1, 26) - 1) }
}

/// The fractional part, in [0, 1).
pub(super) fn unit(t: f64) -> f64 {
    let wrapped = t - t.floor();
    if wrapped < 1.0 { wrapped } else { 0.0 }
}

fn nearest_image(t: f64) -> f64 {
    t - t.round()
}

fn read_positions(group: SpaceGroup) -> Option<Vec<WyckoffPosition>> {
    let general = GeneralPosition::of(group)?;
    let hall_number = Setting::Standard.hall_number(group.number().into())?;
    let mut positions = iter_wyckoff_positions_from_hall_number(hall_number)
        .map(|entry| {
            let orbit = orbit(&general, &Operation::parse(entry.coordinates)?);
            (orbit.len() == entry.multiplicity).then_some((index_of(entry.letter)?, orbit))
        })
        .collect::<Option<Vec<_>>>()?;
    positions.sort_by_key(|(index, _)| *index);
    let consecutive = positions.iter().zip(1..).all(|((index, _), expected)| *index == expected);
    consecutive.then(|| positions.into_iter().map(|(index, orbit)| position(index, &orbit)).collect())
}

/// Distinct images of a representative under the operations of the group, the centring copies after the others.
fn orbit(general: &GeneralPosition, representative: &Operation) -> Vec<Operation> {
    let copies = |op: &Operation| general.centring.iter().map(|t| op.moved(*t)).collect::<Vec<_>>();
    let mut distinct: Vec<Operation> = Vec::new();
    for operation in &general.cosets {
        let image = operation.after(representative).wrapped();
        if !copies(&image).iter().any(|copy| distinct.contains(&copy.wrapped())) {
            distinct.push(image);
        }
    }
    general.centring.iter().flat_map(|t| distinct.iter().map(|op| op.moved(*t))).collect()
}

fn position(index: u8, orbit: &[Operation]) -> WyckoffPosition {
    let operators: Vec<_> = orbit.iter().map(affine).collect();
    let fc_mask = orbit[0].rotation.map(|row| row != [0; 3]);
    WyckoffPosition { index, operators, dof0: fc_mask == [false; 3], fc_mask }
}

fn affine(operation: &Operation) -> Affine {
    let translation = operation.shift.map(|t| f64::from(t) / f64::from(DENOMINATOR));
    Affine { rotation: operation.rotation, translation }
}

fn index_of(letter: char) -> Option<u8> {
    (1..=27).find(|index| self::letter(*index) == letter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::npz::Npz;
    use proptest::prelude::*;

    #[test]
    fn positions_are_complete() {
        assert_eq!(SpaceGroup::all().map(|group| wyckoff_positions(group).len()).sum::<usize>(), 1731);
        for group in SpaceGroup::all() {
            let positions = wyckoff_positions(group);
            let general = positions.last().unwrap();
            assert_eq!(general.fc_mask, [true; 3]);
            assert_eq!(general.project([0.1, 0.2, 0.3]), [0.1, 0.2, 0.3]);
            assert!(positions.iter().all(|p| general.multiplicity().is_multiple_of(p.multiplicity())), "group {group}");
        }
        let pmmm = SpaceGroup::new(47).unwrap();
        assert_eq!(wyckoff_position(pmmm, 27).unwrap().letter(), 'A');
        assert!(wyckoff_position(pmmm, 28).is_none() && wyckoff_position(pmmm, 0).is_none());
    }

    #[test]
    fn free_coordinates_are_the_rank_of_the_first_operator() {
        let mut counts = [0; 4];
        for position in SpaceGroup::all().flat_map(wyckoff_positions) {
            let rows = position.operators[0].rotation.map(|row| row.map(f64::from));
            let matrix = nalgebra::Matrix3::from_fn(|i, j| rows[i][j]);
            assert_eq!(position.free_coordinates(), matrix.rank(1e-9), "{position:?}");
            assert_eq!(position.free_coordinates() == 0, position.dof0);
            counts[position.free_coordinates()] += 1;
        }
        // The general position of each of the 230 groups, and nothing else, is free in three directions.
        assert_eq!((counts[3], counts.iter().sum::<usize>()), (230, 1731));
    }

    /// Rotation and translation, row after row.
    fn flat(operator: &Affine) -> Vec<f64> {
        let row = |axis: usize| operator.rotation[axis].map(f64::from).into_iter().chain([operator.translation[axis]]);
        (0..3).flat_map(row).collect()
    }

    fn in_24ths(operator: &[f64]) -> Vec<i64> {
        assert!(operator.iter().all(|x| (24.0 * x - (24.0 * x).round()).abs() < 1e-9), "{operator:?}");
        operator.iter().map(|x| (24.0 * x).round() as i64).collect()
    }

    fn sorted_wrapped(operators: &[Vec<i64>]) -> Vec<Vec<i64>> {
        let wrap = |(i, x): (usize, &i64)| if i % 4 == 3 { x.rem_euclid(24) } else { *x };
        let mut wrapped: Vec<Vec<_>> = operators.iter().map(|op| op.iter().enumerate().map(wrap).collect()).collect();
        wrapped.sort();
        wrapped
    }

    #[test]
    fn positions_equal_the_reference() {
        let Some(golden) = Npz::shared("golden/wyckoff_tables.npz") else { return };
        let (multiplicity, offset) = (golden.integers("mult_table"), golden.integers("ops_offset"));
        let (dof0, fc_mask) = (golden.booleans("dof0_table"), golden.booleans("fc_mask_table"));
        let (count, operators) = (golden.integers("wmax_table"), golden.floats("ops"));
        let (mut compared, mut in_order) = (0, 0);
        for group in SpaceGroup::all() {
            assert_eq!(wyckoff_positions(group).len() as i64, count[group.index()], "group {group}");
            for position in wyckoff_positions(group) {
                let name = format!("group {group} position {}", position.letter());
                let row = 28 * group.index() + usize::from(position.index);
                assert_eq!(position.multiplicity() as i64, multiplicity[row], "{name}");
                assert_eq!(position.dof0, dof0[row], "{name}");
                assert_eq!(position.fc_mask, fc_mask[3 * row..3 * row + 3], "{name}");
                let rows = 12 * offset[row] as usize..12 * (offset[row] as usize + position.multiplicity());
                let theirs: Vec<_> = operators[rows].chunks_exact(12).map(in_24ths).collect();
                let ours: Vec<_> = position.operators.iter().map(|operator| in_24ths(&flat(operator))).collect();
                assert_eq!(ours[0], theirs[0], "{name}");
                // The Tables' choice among centring copies is not always moyo's: then the order differs, not the orbit.
                if ours == theirs {
                    in_order += 1;
                } else {
                    assert!(GeneralPosition::of(group).unwrap().centring.len() > 1, "{name}: order");
                    assert_eq!(sorted_wrapped(&ours), sorted_wrapped(&theirs), "{name}");
                }
                compared += position.multiplicity();
            }
        }
        assert_eq!(12 * compared, operators.len());
        println!("{compared} operators equal; {in_order} of 1731 positions also list them in the same order");
    }

    proptest! {
        #[test]
        fn a_projected_point_is_fixed(x in prop::array::uniform3(-2.0..2.0f64)) {
            for position in SpaceGroup::all().flat_map(wyckoff_positions) {
                let point = position.project(x);
                prop_assert!(point.iter().all(|t| (0.0..1.0).contains(t)));
                prop_assert!(position.residual(point).iter().all(|t| t.abs() < 1e-12), "{position:?} {point:?}");
                let rows = position.operators[0].rotation;
                let in_turn = rows[0][1] == 0 && rows[0][2] == 0 && rows[1][2] == 0;
                prop_assert!(in_turn, "a coordinate reads a later one: {position:?}");
            }
        }
    }
}
