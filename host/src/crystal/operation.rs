//! Symmetry operations as exact arithmetic, and the order in which the International Tables list them.

use super::SpaceGroup;
use moyo::data::{Setting, operations_from_number};
use std::fmt;

/// Translations of the 230 groups are multiples of 1/24.
pub(super) const DENOMINATOR: i32 = 24;

type Rotation = [[i8; 3]; 3];

/// A map of fractional coordinates, its translation in 24ths: no rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation {
    pub(super) rotation: Rotation,
    pub(super) shift: [i32; 3],
}

/// The general position of a group: one operation per rotation, and the centring translations (zero first).
pub(super) struct GeneralPosition {
    pub(super) cosets: Vec<Operation>,
    pub(super) centring: Vec<[i32; 3]>,
}

impl Operation {
    /// Reads shorthand such as `-y,x-y,z+1/3`; `None` when it is none, or not in 24ths.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rows: Vec<_> = text.split(',').map(parse_row).collect::<Option<_>>()?;
        let [x, y, z]: [([i8; 3], i32); 3] = rows.try_into().ok()?;
        Some(Self { rotation: [x.0, y.0, z.0], shift: [x.1, y.1, z.1] })
    }

    /// This operation after another.
    pub(super) fn after(&self, first: &Self) -> Self {
        let shift = |i: usize| (0..3).map(|k| i32::from(self.rotation[i][k]) * first.shift[k]).sum::<i32>();
        Self {
            rotation: product(&self.rotation, &first.rotation),
            shift: std::array::from_fn(|i| shift(i) + self.shift[i]),
        }
    }

    /// The same with another translation added.
    pub(super) fn moved(&self, by: [i32; 3]) -> Self {
        Self { shift: std::array::from_fn(|i| self.shift[i] + by[i]), ..*self }
    }

    /// The same with its translation in [0, 1).
    pub(super) fn wrapped(&self) -> Self {
        Self { shift: self.shift.map(|t| t.rem_euclid(DENOMINATOR)), ..*self }
    }
}

impl fmt::Display for Operation {
    /// As a CIF has it: `-y, x-y, z+1/3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (axis, (row, shift)) in self.rotation.iter().zip(self.shift).enumerate() {
            f.write_str(if axis > 0 { ", " } else { "" })?;
            write_row(f, *row, shift)?;
        }
        Ok(())
    }
}

/// Coefficients of x, y, z and a constant in 24ths.
fn write_row(f: &mut fmt::Formatter<'_>, row: [i8; 3], shift: i32) -> fmt::Result {
    let mut before = "";
    for (coefficient, name) in row.into_iter().zip(["x", "y", "z"]).filter(|(coefficient, _)| *coefficient != 0) {
        f.write_str(if coefficient < 0 { "-" } else { before })?;
        match coefficient.unsigned_abs() {
            1 => f.write_str(name)?,
            size => write!(f, "{size}{name}")?,
        }
        before = "+";
    }
    if shift == 0 && !before.is_empty() {
        return Ok(());
    }
    let step = (1..=DENOMINATOR).rev().find(|n| DENOMINATOR % n == 0 && shift % n == 0).unwrap_or(1);
    f.write_str(if shift < 0 { "" } else { before })?;
    match DENOMINATOR / step {
        1 => write!(f, "{}", shift / step),
        denominator => write!(f, "{}/{denominator}", shift / step),
    }
}

impl GeneralPosition {
    /// All operations in the order of the Tables, translations in [0, 1), centring copies last.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation> {
        self.centring.iter().flat_map(|shift| self.cosets.iter().map(|operation| operation.moved(*shift).wrapped()))
    }

    /// From moyo's operations, re-ordered as the International Tables have them. `None` only if moyo's data were not a group.
    pub(super) fn of(group: SpaceGroup) -> Option<Self> {
        let found = operations_from_number(group.number().into(), Setting::Standard, false).ok()?;
        let all: Vec<_> = found.iter().map(exact).collect::<Option<_>>()?;
        let identity = all.first()?.rotation;
        let order = all.iter().skip(1).position(|op| op.rotation == identity).map_or(all.len(), |i| i + 1);
        let centring = all.iter().step_by(order).map(|op| op.shift).collect();
        let of_rotation = |rotation: &Rotation| all[..order].iter().find(|op| op.rotation == *rotation).copied();
        let rotations: Vec<_> = all[..order].iter().map(|op| op.rotation).collect();
        let cosets: Vec<_> = tabulated_order(group, &rotations)?.iter().map(of_rotation).collect::<Option<_>>()?;
        (cosets.len() == order).then_some(Self { cosets, centring })
    }
}

/// Generators of the crystal classes in the order of the composition series that the Tables list operations by
/// (volume A, section on generators): cubic groups begin with the three twofold axes, all others with the main axis.
const CUBIC: [&str; 6] = ["-x,-y,z", "-x,y,-z", "z,x,y", "y,x,-z", "y,x,z", "-x,-y,-z"];
const OTHERS: [&str; 12] = [
    "-y,x-y,z", "-x,-y,z", "-y,x,z", "y,-x,-z", "x,y,-z", "-x,y,-z", "x,-y,z", "y,x,-z", "-y,-x,z", "-y,-x,-z",
    "y,x,z", "-x,-y,-z",
];

/// The rotations of a point group in the order of the Tables: each generator in turn multiplies what is already there.
/// A rotation whose inverse-centre partner is there waits for the inversion, which comes last.
fn tabulated_order(group: SpaceGroup, rotations: &[Rotation]) -> Option<Vec<Rotation>> {
    let identity = Operation::parse("x,y,z")?.rotation;
    let inversion = negative(&identity);
    let generators: &[&str] = if group.number() >= 195 { &CUBIC } else { &OTHERS };
    let mut ordered = vec![identity];
    for generator in generators {
        let generator = Operation::parse(generator)?.rotation;
        let waits = generator != inversion && ordered.contains(&negative(&generator));
        if waits || !rotations.contains(&generator) {
            continue;
        }
        let subgroup = ordered.clone();
        let mut power = generator;
        while !ordered.contains(&power) {
            ordered.extend(subgroup.iter().map(|rotation| product(&power, rotation)));
            power = product(&power, &generator);
        }
    }
    Some(ordered)
}

fn exact(operation: &moyo::base::Operation) -> Option<Operation> {
    let scaled = operation.translation_as_array().map(|t| t * f64::from(DENOMINATOR));
    let whole = scaled.iter().all(|t| (t - t.round()).abs() < 1e-6);
    let rotation = operation.rotation_as_array().map(|row| row.map(|entry| entry as i8));
    whole.then(|| Operation { rotation, shift: scaled.map(|t| t.round() as i32) }.wrapped())
}

/// One coordinate of the shorthand: coefficients of x, y, z and a constant in 24ths.
fn parse_row(text: &str) -> Option<([i8; 3], i32)> {
    let (mut row, mut shift) = ([0; 3], 0);
    let signed = text.replace(' ', "").replace('-', "+-");
    for term in signed.split('+').filter(|term| !term.is_empty()) {
        let (sign, size) = term.strip_prefix('-').map_or((1, term), |rest| (-1, rest));
        if let Some(axis) = size.chars().last().and_then(|last| "xyz".find(last)) {
            let count = &size[..size.len() - 1];
            row[axis] += sign * if count.is_empty() { 1 } else { count.parse::<i8>().ok()? };
        } else {
            let (numerator, denominator) = size.split_once('/').unwrap_or((size, "1"));
            let (numerator, denominator): (i32, i32) = (numerator.parse().ok()?, denominator.parse().ok()?);
            let scaled = numerator.checked_mul(DENOMINATOR)?;
            shift += i32::from(sign) * (scaled.checked_rem(denominator)? == 0).then(|| scaled / denominator)?;
        }
    }
    Some((row, shift))
}

fn product(left: &Rotation, right: &Rotation) -> Rotation {
    std::array::from_fn(|i| std::array::from_fn(|j| (0..3).map(|k| left[i][k] * right[k][j]).sum()))
}

fn negative(rotation: &Rotation) -> Rotation {
    rotation.map(|row| row.map(|entry| -entry))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorthand_is_read_or_refused() {
        let read = Operation::parse("x-y, 2x, -z+17/12").unwrap();
        assert_eq!(read, Operation { rotation: [[1, -1, 0], [2, 0, 0], [0, 0, -1]], shift: [0, 0, 34] });
        for bad in ["", "x,y", "x,y,z,x", "x,y,w", "x,y,1/0", "x,y,1/7", "x,y,9999999999", "x,y,999x"] {
            assert_eq!(Operation::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn operations_are_written_as_they_are_read() {
        for text in ["x, y, z", "-y, x-y, z+1/3", "x+1/2, -2y+17/12, -z-1/24", "0, 1/2, -x+1"] {
            assert_eq!(Operation::parse(text).unwrap().to_string(), text);
        }
        for group in SpaceGroup::all() {
            for operation in GeneralPosition::of(group).unwrap().operations() {
                assert_eq!(Operation::parse(&operation.to_string()), Some(operation), "group {group}");
            }
        }
    }

    #[test]
    fn general_positions_are_closed_under_products() {
        for group in SpaceGroup::all() {
            let GeneralPosition { cosets, centring } = GeneralPosition::of(group).unwrap();
            let known =
                |op: Operation| cosets.iter().any(|c| centring.iter().any(|t| c.moved(*t).wrapped() == op.wrapped()));
            for (left, right) in cosets.iter().flat_map(|l| cosets.iter().map(move |r| (l, r))) {
                assert!(known(left.after(right)), "group {group}");
            }
        }
    }
}
