//! Changes of a crystal as bare numbers, since a crystal that makes no sense is changed as well. Vectors are rows, and multiply
//! matrices from the left.

/// Three rows.
pub type Matrix = [[f64; 3]; 3];

/// Fractional coordinates with every atom moved by the same vector, which is no lattice vector.
pub fn translated(fractional: &[[f64; 3]]) -> Vec<[f64; 3]> {
    let shift = [0.371, -1.618, 0.732];
    fractional.iter().map(|r| std::array::from_fn(|k| r[k] + shift[k])).collect()
}

/// Lattice vectors turned by [`rotation`].
pub fn rotated(lattice: &Matrix) -> Matrix {
    let r = rotation();
    lattice.map(|vector| times(vector, &r))
}

/// A rotation by 1.1 radians about an axis that is no crystal's (Rodrigues' formula).
pub fn rotation() -> Matrix {
    let [x, y, z] = [0.36, 0.48, 0.8];
    let (s, c) = 1.1_f64.sin_cos();
    let t = 1.0 - c;
    [
        [t * x * x + c, t * x * y + s * z, t * x * z - s * y],
        [t * x * y - s * z, t * y * y + c, t * y * z + s * x],
        [t * x * z + s * y, t * y * z - s * x, t * z * z + c],
    ]
}

/// The displacement of an atom, each component between -1 and 1: together they break every symmetry.
pub fn rattling(atom: usize) -> [f64; 3] {
    std::array::from_fn(|k| (1.0 + 2.3 * atom as f64 + 1.7 * k as f64).sin())
}

/// A vector times a matrix.
pub fn times(v: [f64; 3], m: &Matrix) -> [f64; 3] {
    std::array::from_fn(|k| (0..3).map(|i| v[i] * m[i][k]).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_orthogonal_and_proper() {
        let r = rotation();
        let dot = |a: usize, b: usize| (0..3).map(|k| r[a][k] * r[b][k]).sum::<f64>();
        for (a, b) in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)] {
            assert!((dot(a, b) - f64::from(u8::from(a == b))).abs() < 1e-12);
        }
        // The axis stays where it is, and the trace is 1 + 2 cos(1.1).
        let axis = [0.36, 0.48, 0.8];
        assert!(times(axis, &r).iter().zip(axis).all(|(a, b)| (a - b).abs() < 1e-12));
        assert!((r[0][0] + r[1][1] + r[2][2] - 1.0 - 2.0 * 1.1_f64.cos()).abs() < 1e-12);
    }
}
