//! Symmetry operators as a CIF writes them: `x,-y,z+1/2`.

use crate::crystal::Lattice;
use crate::crystal::operation::Operation;
use std::collections::HashMap;

/// Translations that differ by less are the same, in fractions of a lattice vector: thirds are written as 0.333.
const SAME_TRANSLATION: f64 = 2e-3;

/// A symmetry operator on fractional coordinates, `rotation @ x + translation`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Operator {
    pub rotation: [[f64; 3]; 3],
    pub translation: [f64; 3],
}

impl From<&Operation> for Operator {
    fn from(operation: &Operation) -> Self {
        Self {
            rotation: operation.rotation.map(|row| row.map(f64::from)),
            translation: operation.shift.map(|shift| f64::from(shift) / 24.0),
        }
    }
}

impl Operator {
    pub const IDENTITY: Self =
        Self { rotation: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], translation: [0.0; 3] };

    /// Parses the notation `x,-y,z+1/2`; the rotation has determinant 1 or -1.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rows = text.split(',').map(affine_row);
        let [x, y, z] = [rows.next()??, rows.next()??, rows.next()??];
        let rotation = [x.0, y.0, z.0];
        let volume = Lattice(rotation).volume();
        (rows.next().is_none() && volume == 1.0).then_some(Self { rotation, translation: [x.1, y.1, z.1] })
    }

    pub fn apply(&self, frac: [f64; 3]) -> [f64; 3] {
        std::array::from_fn(|i| (0..3).map(|k| self.rotation[i][k] * frac[k]).sum::<f64>() + self.translation[i])
    }

    /// This operator after another.
    pub fn after(&self, first: &Self) -> Self {
        let product = |i: usize, j: usize| (0..3).map(|k| self.rotation[i][k] * first.rotation[k][j]).sum();
        Self {
            rotation: std::array::from_fn(|i| std::array::from_fn(|j| product(i, j))),
            translation: self.apply(first.translation),
        }
    }

    /// A number that is the same for equal rotations: their entries are small integers.
    fn rotation_code(&self) -> i64 {
        self.rotation
            .as_flattened()
            .iter()
            .fold(0, |code: i64, entry| code.wrapping_mul(64).wrapping_add(*entry as i64))
    }

    /// Whether it maps the lattice onto itself, each scalar product within a thousandth.
    pub fn preserves(&self, lattice: &Lattice) -> bool {
        let product = |u: [f64; 3], v: [f64; 3]| -> f64 { (0..3).map(|k| u[k] * v[k]).sum() };
        // Images of the lattice vectors: columns of the rotation are fractional vectors.
        let images: [[f64; 3]; 3] =
            std::array::from_fn(|j| lattice.cartesian(std::array::from_fn(|i| self.rotation[i][j])));
        (0..3).all(|i| {
            (0..3).all(|j| {
                let scale = product(lattice.0[i], lattice.0[i]).sqrt() * product(lattice.0[j], lattice.0[j]).sqrt();
                (product(images[i], images[j]) - product(lattice.0[i], lattice.0[j])).abs() <= 1e-3 * scale
            })
        })
    }
}

/// Whether two translations differ by a lattice translation only.
fn same_translation(one: [f64; 3], other: [f64; 3]) -> bool {
    (0..3).all(|k| from_whole(one[k] - other[k]).abs() < SAME_TRANSLATION)
}

/// From the nearest whole number to `x`; `f64::round` would be the call of a function.
pub(super) fn from_whole(x: f64) -> f64 {
    x - (x + 0.5f64.copysign(x)) as i64 as f64
}

/// Different operators, the identity first; those that differ by a lattice translation count as one.
pub(super) struct Distinct {
    operators: Vec<Operator>,
    /// Number of each operator's rotation among the different ones.
    rotations: Vec<usize>,
    /// The operators of each rotation.
    by_rotation: Vec<Vec<usize>>,
    numbers: HashMap<i64, usize>,
}

impl Distinct {
    /// Of a list that may hold repetitions.
    pub fn new(operators: impl IntoIterator<Item = Operator>) -> Self {
        let mut distinct =
            Self { operators: Vec::new(), rotations: Vec::new(), by_rotation: Vec::new(), numbers: HashMap::new() };
        for operator in std::iter::once(Operator::IDENTITY).chain(operators) {
            let fresh = distinct.by_rotation.len();
            let rotation = *distinct.numbers.entry(operator.rotation_code()).or_insert(fresh);
            if rotation == fresh {
                distinct.by_rotation.push(Vec::new());
            }
            if distinct.position(rotation, operator.translation).is_none() {
                distinct.by_rotation[rotation].push(distinct.operators.len());
                distinct.rotations.push(rotation);
                distinct.operators.push(operator);
            }
        }
        distinct
    }

    /// The operators themselves.
    pub fn into_operators(self) -> Vec<Operator> {
        self.operators
    }

    fn position(&self, rotation: usize, translation: [f64; 3]) -> Option<usize> {
        let mut alike = self.by_rotation[rotation].iter().copied();
        alike.find(|index| same_translation(self.operators[*index].translation, translation))
    }

    /// Whether they are a group, lattice translations aside.
    pub fn is_group(&self) -> bool {
        // Generators are taken until they make all operators; it is enough that no product with a generator leads outside.
        let mut made = vec![false; self.operators.len()];
        let mut generators: Vec<(&Operator, Vec<Option<usize>>)> = Vec::new();
        made[0] = true;
        while let Some(next) = made.iter().position(|made| !made) {
            let generator = &self.operators[next];
            generators.push((generator, self.turned(generator)));
            let mut open: Vec<usize> = (0..made.len()).filter(|index| made[*index]).collect();
            while let Some(index) = open.pop() {
                for (generator, turned) in &generators {
                    let translation = generator.apply(self.operators[index].translation);
                    let rotation = turned[self.rotations[index]];
                    match rotation.and_then(|rotation| self.position(rotation, translation)) {
                        Some(known) if made[known] => {}
                        Some(new) => {
                            made[new] = true;
                            open.push(new);
                        }
                        None => return false,
                    }
                }
            }
        }
        true
    }

    /// The rotation that an operator makes of each, if it is there.
    fn turned(&self, operator: &Operator) -> Vec<Option<usize>> {
        let product = |members: &Vec<usize>| operator.after(&self.operators[members[0]]).rotation_code();
        self.by_rotation.iter().map(|members| self.numbers.get(&product(members)).copied()).collect()
    }
}

/// Coefficients of x, y, z and the constant of one part, such as `1/2-x+y`.
fn affine_row(text: &str) -> Option<([f64; 3], f64)> {
    let mut buffer = [0; 64];
    let mut length = 0;
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        *buffer.get_mut(length)? = byte.to_ascii_lowercase();
        length += 1;
    }
    let (mut row, mut constant) = ([0.0; 3], 0.0);
    let mut rest = &buffer[..length];
    while !rest.is_empty() {
        let is_first = rest.len() == length;
        let sign = if rest[0] == b'-' { -1.0 } else { 1.0 };
        let term = rest.strip_prefix(b"+").or(rest.strip_prefix(b"-")).or(Some(rest).filter(|_| is_first))?;
        let (term, after) = term.split_at(term.iter().position(|c| matches!(c, b'+' | b'-')).unwrap_or(term.len()));
        match term {
            b"x" => row[0] += sign,
            b"y" => row[1] += sign,
            b"z" => row[2] += sign,
            term => constant += sign * fraction(term)?,
        }
        rest = after;
    }
    (length > 0).then_some((row, constant))
}

fn fraction(text: &[u8]) -> Option<f64> {
    let digits = |text: &[u8]| match text {
        [digit @ b'0'..=b'9'] => Some(f64::from(digit - b'0')),
        text => {
            let plain = text.iter().all(|c| c.is_ascii_digit() || *c == b'.');
            str::from_utf8(text).ok()?.parse::<f64>().ok().filter(|x| plain && x.is_finite())
        }
    };
    let quotient = match text.iter().position(|c| *c == b'/') {
        Some(at) => digits(&text[..at])? / digits(&text[at + 1..])?,
        None => digits(text)?,
    };
    Some(quotient).filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_parsed() {
        let at = [0.1, 0.2, 0.3];
        for (text, image) in [
            ("x,y,z", [0.1, 0.2, 0.3]),
            (" -X + 1/2 , y-x, Z+0.25", [0.4, 0.1, 0.55]),
            ("1/2-z,-1/3+x,+y", [0.2, 0.1 - 1.0 / 3.0, 0.2]),
        ] {
            let found = Operator::parse(text).unwrap().apply(at);
            assert!(found.iter().zip(image).all(|(a, b)| (a - b).abs() < 1e-12), "{text}: {found:?}");
        }
        for text in
            ["", "x,y", "x,y,z,x", "x,y,w", "x,y,y", "x,y,2z", "x,y,z+1/0", "x,y,", "x,y,zx", "x,y,z+", "x,y,z+inf"]
        {
            assert_eq!(Operator::parse(text), None, "{text:?}");
        }
    }

    fn is_group(texts: &[&str]) -> bool {
        Distinct::new(texts.iter().map(|text| Operator::parse(text).unwrap())).is_group()
    }

    #[test]
    fn a_list_is_a_group_or_none() {
        assert!(is_group(&["x,y,z"]));
        assert!(is_group(&["x,y,z", "-x,-y,-z", "x,y,z+1", "-x,1/2+y,1/2-z", "x,1/2-y,1/2+z"]));
        assert!(is_group(&["-y,x-y,z+0.333", "-x+y,-x,z+.6667"]));
        // A sixfold screw axis with wrong translations.
        assert!(!is_group(&["x-y,x,z", "-x,-y,z+1/2", "-y,x-y,z+2/3"]));
        assert!(!is_group(&["-x,-y,-z", "x+1/2,y,-z"]));
    }
}
