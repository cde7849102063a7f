//! Symmetry operators as a CIF writes them: `x,-y,z+1/2`.

use crate::crystal::Lattice;
use crate::crystal::operation::Operation;

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

    /// Whether their translations differ by none but a lattice translation.
    fn shifts_alike(&self, other: &Self) -> bool {
        let apart = |k: usize| {
            let shift = self.translation[k] - other.translation[k];
            (shift - shift.round()).abs()
        };
        (0..3).all(|k| apart(k) < SAME_TRANSLATION)
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

/// Different operators, the identity first; those that differ by a lattice translation count as one.
pub(super) struct Distinct {
    operators: Vec<Operator>,
    codes: Vec<i64>,
}

impl Distinct {
    /// Of a list that may hold repetitions.
    pub fn new(operators: impl IntoIterator<Item = Operator>) -> Self {
        let mut distinct =
            Self { operators: vec![Operator::IDENTITY], codes: vec![Operator::IDENTITY.rotation_code()] };
        for operator in operators {
            if distinct.position(&operator).is_none() {
                distinct.codes.push(operator.rotation_code());
                distinct.operators.push(operator);
            }
        }
        distinct
    }

    /// The operators themselves.
    pub fn into_operators(self) -> Vec<Operator> {
        self.operators
    }

    fn position(&self, operator: &Operator) -> Option<usize> {
        let code = operator.rotation_code();
        let alike = |index: &usize| self.operators[*index].shifts_alike(operator);
        (0..self.codes.len()).filter(|index| self.codes[*index] == code).find(alike)
    }

    /// Whether they are a group, lattice translations aside.
    pub fn is_group(&self) -> bool {
        // Generators are taken until they make all operators; it is enough that no product with a generator leads outside.
        let mut made = vec![false; self.operators.len()];
        let mut generators: Vec<&Operator> = Vec::new();
        made[0] = true;
        while let Some(next) = made.iter().position(|made| !made) {
            generators.push(&self.operators[next]);
            let mut open: Vec<usize> = (0..made.len()).filter(|index| made[*index]).collect();
            while let Some(index) = open.pop() {
                for generator in &generators {
                    match self.position(&generator.after(&self.operators[index])) {
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
}

/// Coefficients of x, y, z and the constant of one part, such as `1/2-x+y`.
fn affine_row(text: &str) -> Option<([f64; 3], f64)> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_lowercase();
    let (mut row, mut constant) = ([0.0; 3], 0.0);
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let sign = if rest.starts_with('-') { -1.0 } else { 1.0 };
        rest = rest.strip_prefix(['+', '-']).or(Some(rest).filter(|_| rest.len() == text.len()))?;
        let length = rest.find(['+', '-']).unwrap_or(rest.len());
        match &rest[..length] {
            "x" => row[0] += sign,
            "y" => row[1] += sign,
            "z" => row[2] += sign,
            term => constant += sign * fraction(term)?,
        }
        rest = &rest[length..];
    }
    (!text.is_empty()).then_some((row, constant))
}

fn fraction(text: &str) -> Option<f64> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let digits = |text: &str| {
        let plain = text.bytes().all(|c| c.is_ascii_digit() || c == b'.');
        text.parse::<f64>().ok().filter(|x| plain && x.is_finite())
    };
    Some(digits(numerator)? / digits(denominator)?).filter(|x| x.is_finite())
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
