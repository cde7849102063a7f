//! Hall symbols: a space group by its generators, in one setting.
//!
//! S. R. Hall, Acta Cryst. A37, 517 (1981); International Tables for Crystallography, volume B, appendix A1.4.2.

use crate::crystal::operation::Operation;

/// Operations of the largest space groups, centring included.
const MAX_OPERATIONS: usize = 192;

const IDENTITY: Operation = Operation { rotation: [[1, 0, 0], [0, 1, 0], [0, 0, 1]], shift: [0; 3] };

type Rotation = [[i8; 3]; 3];

/// All operations of the group that a Hall symbol stands for, the identity first; `None` for any other text.
pub(super) fn operations(symbol: &str) -> Option<Vec<Operation>> {
    let (symbol, basis) = match symbol.split_once('(') {
        Some((symbol, basis)) => (symbol, change_of_basis(basis.trim().strip_suffix(')')?)?),
        None => (symbol, IDENTITY),
    };
    let back = inverse(&basis)?;
    let generators = generators(&symbol.replace('_', " "))?;
    let in_basis: Vec<Operation> = generators.iter().map(|op| basis.after(op).after(&back)).collect();
    closure(&in_basis)
}

/// `x-1/4,y,z`, or an origin shift of three numbers in twelfths.
fn change_of_basis(text: &str) -> Option<Operation> {
    if text.contains(',') {
        return Operation::parse(&text.to_ascii_lowercase());
    }
    let twelfths: Vec<i32> = text.split_whitespace().map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [x, y, z]: [i32; 3] = twelfths.try_into().ok()?;
    let in_range = [x, y, z].iter().all(|shift| shift.abs() < 12);
    in_range.then_some(Operation { shift: [2 * x, 2 * y, 2 * z], ..IDENTITY })
}

/// The inverse of a map of determinant 1 or -1.
fn inverse(map: &Operation) -> Option<Operation> {
    let r = map.rotation.map(|row| row.map(i32::from));
    let minor = |i: usize, j: usize| {
        let (a, b, c, d) = ((i + 1) % 3, (i + 2) % 3, (j + 1) % 3, (j + 2) % 3);
        r[a][c] * r[b][d] - r[a][d] * r[b][c]
    };
    let determinant: i32 = (0..3).map(|j| r[0][j] * minor(0, j)).sum();
    if determinant.abs() != 1 {
        return None;
    }
    let entry = |i: usize, j: usize| i8::try_from(determinant * minor(j, i)).ok();
    let row = |i: usize| Some([entry(i, 0)?, entry(i, 1)?, entry(i, 2)?]);
    let linear = Operation { rotation: [row(0)?, row(1)?, row(2)?], shift: [0; 3] };
    let back = linear.after(&Operation { shift: map.shift, ..IDENTITY }).shift;
    Some(linear.moved(back.map(|t| -t)))
}

/// Everything that the generators make, translations within [0, 1).
fn closure(generators: &[Operation]) -> Option<Vec<Operation>> {
    let mut group = vec![IDENTITY];
    let mut next = 0;
    while let Some(operation) = group.get(next).copied() {
        for generator in generators {
            let product = generator.after(&operation).wrapped();
            if !group.contains(&product) {
                group.push(product);
            }
        }
        if group.len() > MAX_OPERATIONS {
            return None;
        }
        next += 1;
    }
    Some(group)
}

fn generators(symbol: &str) -> Option<Vec<Operation>> {
    let symbol = symbol.trim();
    let (symbol, centric) = symbol.strip_prefix('-').map_or((symbol, false), |rest| (rest, true));
    let lattice = symbol.chars().next()?;
    let mut found = centring(lattice)?;
    if centric {
        found.push(Operation { rotation: negative(&IDENTITY.rotation), ..IDENTITY });
    }
    let mut previous = None;
    for word in symbol[1..].split_whitespace() {
        let mut rest = word;
        while !rest.is_empty() {
            let (matrix, after) = Matrix::parse(rest, previous)?;
            found.push(matrix.operation);
            (previous, rest) = (Some(matrix), after);
        }
    }
    previous.map(|_| found)
}

fn centring(lattice: char) -> Option<Vec<Operation>> {
    let shifts: &[[i32; 3]] = match lattice.to_ascii_uppercase() {
        'P' => &[],
        'A' => &[[0, 12, 12]],
        'B' => &[[12, 0, 12]],
        'C' => &[[12, 12, 0]],
        'I' => &[[12, 12, 12]],
        'R' => &[[16, 8, 8]],
        'H' => &[[16, 8, 0]],
        'F' => &[[0, 12, 12], [12, 0, 12]],
        _ => return None,
    };
    Some(shifts.iter().map(|shift| Operation { shift: *shift, ..IDENTITY }).collect())
}

/// One matrix of a symbol, and what the next one needs to know of it.
#[derive(Clone, Copy)]
struct Matrix {
    operation: Operation,
    position: usize,
    order: u8,
    axis: usize,
}

impl Matrix {
    /// Reads a matrix such as `-2yc`, `31`, `3*` or `2"`, and what follows it.
    fn parse(text: &str, previous: Option<Self>) -> Option<(Self, &str)> {
        let position = previous.map_or(0, |matrix| matrix.position + 1);
        let (text, improper) = text.strip_prefix('-').map_or((text, false), |rest| (rest, true));
        let order = text.chars().next()?.to_digit(10).and_then(|digit| u8::try_from(digit).ok())?;
        let mut rest = text.get(1..)?;
        let direction = Direction::parse(&mut rest).or_else(|| Direction::implied(order, previous))?;
        let axis = match direction {
            Direction::Along(axis) => axis,
            // Diagonals lie in the plane across the axis that is named, else across the one before.
            Direction::Diagonal { axis, .. } => axis.or(previous.map(|matrix| matrix.axis)).unwrap_or(2),
            Direction::Body => 2,
        };
        let proper = rotation(order, direction, axis)?;
        let rotation = if improper { negative(&proper) } else { proper };
        let shift = translation(&mut rest, order, axis)?;
        Some((Self { operation: Operation { rotation, shift }, position, order, axis }, rest))
    }
}

#[derive(Clone, Copy)]
enum Direction {
    /// x, y or z.
    Along(usize),
    /// a + b (`"`) or a - b (`'`) of the plane across an axis.
    Diagonal { sum: bool, axis: Option<usize> },
    /// a + b + c (`*`).
    Body,
}

impl Direction {
    fn parse(rest: &mut &str) -> Option<Self> {
        let axis = |rest: &mut &str| {
            let axis = rest.chars().next().and_then(|first| "xyz".find(first))?;
            *rest = &rest[1..];
            Some(axis)
        };
        let first = rest.chars().next()?;
        // `^` and `=` stand for the quotes where these would have to be escaped.
        match first {
            '*' => {
                *rest = &rest[1..];
                Some(Self::Body)
            }
            '\'' | '^' | '"' | '=' => {
                *rest = &rest[1..];
                Some(Self::Diagonal { sum: matches!(first, '"' | '='), axis: axis(rest) })
            }
            _ => axis(rest).map(Self::Along),
        }
    }

    /// Where a symbol names no direction: c first, then a or a - b, then a + b + c.
    fn implied(order: u8, previous: Option<Matrix>) -> Option<Self> {
        let Some(previous) = previous else { return Some(Self::Along(2)) };
        match (previous.position, order) {
            (_, 1) => Some(Self::Along(2)),
            (0, 2) if matches!(previous.order, 2 | 4) => Some(Self::Along(0)),
            (0, 2) if matches!(previous.order, 3 | 6) => Some(Self::Diagonal { sum: false, axis: Some(2) }),
            (_, 3) => Some(Self::Body),
            _ => None,
        }
    }
}

fn rotation(order: u8, direction: Direction, axis: usize) -> Option<Rotation> {
    let about_z = match (order, direction) {
        (1, _) => return Some(IDENTITY.rotation),
        (3, Direction::Body) => return Some([[0, 0, 1], [1, 0, 0], [0, 1, 0]]),
        (2, Direction::Along(_)) => [[-1, 0, 0], [0, -1, 0], [0, 0, 1]],
        (3, Direction::Along(_)) => [[0, -1, 0], [1, -1, 0], [0, 0, 1]],
        (4, Direction::Along(_)) => [[0, -1, 0], [1, 0, 0], [0, 0, 1]],
        (6, Direction::Along(_)) => [[1, -1, 0], [1, 0, 0], [0, 0, 1]],
        (2, Direction::Diagonal { sum: true, .. }) => [[0, 1, 0], [1, 0, 0], [0, 0, -1]],
        (2, Direction::Diagonal { sum: false, .. }) => [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
        _ => return None,
    };
    // About x and y the same with the axes in cyclic exchange.
    let moved = |i: usize| (i + 2 - axis) % 3;
    Some(std::array::from_fn(|i| std::array::from_fn(|j| about_z[moved(i)][moved(j)])))
}

/// Translations in 24ths: letters, and the number of a screw axis.
fn translation(rest: &mut &str, order: u8, axis: usize) -> Option<[i32; 3]> {
    let mut shift = [0; 3];
    if let Some(screw) = rest.chars().next().and_then(|first| first.to_digit(10)) {
        let screw = i32::try_from(screw).ok().filter(|screw| *screw > 0 && *screw < i32::from(order))?;
        shift[axis] += screw * 24 / i32::from(order);
        *rest = &rest[1..];
    }
    while let Some(first) = rest.chars().next() {
        let step = match first {
            'a' => [12, 0, 0],
            'b' => [0, 12, 0],
            'c' => [0, 0, 12],
            'n' => [12, 12, 12],
            'u' => [6, 0, 0],
            'v' => [0, 6, 0],
            'w' => [0, 0, 6],
            'd' => [6, 6, 6],
            _ if first.is_ascii_digit() || first == '-' => break,
            _ => return None,
        };
        shift = std::array::from_fn(|k| shift[k] + step[k]);
        *rest = &rest[1..];
    }
    Some(shift)
}

fn negative(rotation: &Rotation) -> Rotation {
    rotation.map(|row| row.map(|entry| -entry))
}

#[cfg(test)]
mod tests {
    use super::*;
    use moyo::data::{Setting, hall_symbol_entry, operations_from_number};
    use proptest::prelude::*;

    #[test]
    fn operations_are_those_of_another_program() {
        for entry in (1..=530).filter_map(hall_symbol_entry) {
            let found = operations(entry.hall_symbol).unwrap();
            let setting = Setting::HallNumber(entry.hall_number);
            let expected = operations_from_number(entry.number, setting, false).unwrap();
            assert_eq!(found.len(), expected.len(), "{}", entry.hall_symbol);
            for operation in expected {
                let shift = operation.translation_as_array().map(|t| (t * 24.0).round() as i32);
                let rotation = operation.rotation_as_array().map(|row| row.map(|entry| entry as i8));
                let expected = Operation { rotation, shift }.wrapped();
                assert!(found.contains(&expected), "{}: {expected:?}", entry.hall_symbol);
            }
        }
    }

    #[test]
    fn other_spellings_mean_the_same() {
        for (one, other) in [
            ("-R 3 2\"c", "-R 3 2=c"),
            ("-P_2ac_2ab", "-P 2ac 2ab"),
            ("-P2ybc", "-P 2ybc"),
            ("P 62", "P 62 (0 0 0)"),
            ("P 31 2 (0 0 4)", "P 31 2 (x,y,z+1/3)"),
            ("-p 2yc", "-P 2yc"),
        ] {
            assert_eq!(operations(one), operations(other), "{one}");
            assert!(operations(one).is_some(), "{one}");
        }
    }

    #[test]
    fn an_origin_moves_with_the_basis() {
        // Of P 1 2/c 1, with the inversion centre moved to (-1/4, 0, 0).
        let moved = operations("-P 2yc (x-1/4,y,z)").unwrap();
        let inversion = Operation { rotation: [[-1, 0, 0], [0, -1, 0], [0, 0, -1]], shift: [12, 0, 0] };
        assert!(moved.len() == 4 && moved.contains(&inversion), "{moved:?}");
        // Axes exchanged: the unique axis b becomes c.
        let turned = operations("-P 2y (z,x,y)").unwrap();
        let expected = operations("-P 2").unwrap();
        assert!(turned.len() == 4 && turned.iter().all(|op| expected.contains(op)), "{turned:?}");
    }

    #[test]
    fn other_texts_are_no_hall_symbols() {
        for text in
            ["", "-", "P", "Q 2", "P 5", "P 2 5", "P 2yq", "P 22", "P 2 (", "P 2 (1 2)", "P 2 (2x,y,z)", "\u{e9} 2"]
        {
            assert_eq!(operations(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "-?[PABCIRHF]( ?-?[1-6]['\"*^=xyz]?[1-6abcnuvwd]{0,3}){0,5}( \\([-+xyz0-9/, ]{0,9}\\)?)?", other in ".{0,12}") {
            operations(&text);
            operations(&other);
        }
    }
}
