//! Bases of one lattice that resemble another lattice's.

use crate::crystal::Lattice;

/// A basis of a lattice: integer rows in units of its vectors, determinant 1 or -1, and the cell they span.
pub(super) struct Basis {
    pub(super) rows: [[i32; 3]; 3],
    pub(super) lattice: Lattice,
}

/// A lattice vector.
struct Vector {
    integers: [i32; 3],
    cartesian: [f64; 3],
    length: f64,
}

/// All bases of `lattice` whose lengths agree with those of `target` within the factor 1 + `ltol` and whose angles agree within
/// `angle_tol` degrees.
pub(super) fn bases_like(lattice: &Lattice, target: &Lattice, ltol: f64, angle_tol: f64) -> Vec<Basis> {
    let (lengths, [alpha, beta, gamma]) = target.parameters();
    let longest = lengths.iter().fold(0.0, |a: f64, b| a.max(*b)) * (1.0 + ltol);
    let vectors = vectors_within(lattice, longest);
    let like = |length: f64| -> Vec<&Vector> {
        let ratio = |v: &&Vector| v.length / length < 1.0 + ltol && v.length / length > 1.0 / (1.0 + ltol);
        vectors.iter().filter(ratio).collect()
    };
    let [of_a, of_b, of_c] = lengths.map(like);
    let agree = |u: &Vector, v: &Vector, angle: f64| (degrees_between(u, v) - angle).abs() <= angle_tol;
    let mut bases = Vec::new();
    for a in &of_a {
        let with_a: Vec<&&Vector> = of_c.iter().filter(|c| agree(a, c, beta)).collect();
        for b in of_b.iter().filter(|b| agree(a, b, gamma)) {
            for c in with_a.iter().filter(|c| agree(b, c, alpha)) {
                let rows = [a.integers, b.integers, c.integers];
                if determinant(&rows).abs() == 1 {
                    bases.push(Basis { rows, lattice: Lattice([a.cartesian, b.cartesian, c.cartesian]) });
                }
            }
        }
    }
    bases
}

impl Basis {
    /// Coordinates along this basis, in [0, 1), of coordinates along the lattice's own vectors.
    pub(super) fn coordinates(&self, frac: &[[f64; 3]]) -> Vec<[f64; 3]> {
        let inverse = unimodular_inverse(&self.rows);
        let coordinate = |r: &[f64; 3], k: usize| -> f64 { (0..3).map(|i| r[i] * f64::from(inverse[i][k])).sum() };
        frac.iter().map(|r| std::array::from_fn(|k| coordinate(r, k)).map(|x: f64| x - x.floor())).collect()
    }
}

/// Lattice vectors of at most this length (angstrom), zero left out.
fn vectors_within(lattice: &Lattice, radius: f64) -> Vec<Vector> {
    let most: [i32; 3] = std::array::from_fn(|k| (radius * reciprocal_lengths(lattice)[k]).floor() as i32);
    let range = |k: usize| -most[k]..=most[k];
    let mut vectors: Vec<Vector> = Vec::new();
    for (i, j) in range(0).flat_map(|i| range(1).map(move |j| (i, j))) {
        for k in range(2) {
            let cartesian = lattice.cartesian([i, j, k].map(f64::from));
            let length = norm(cartesian);
            if length <= radius && (i, j, k) != (0, 0, 0) {
                vectors.push(Vector { integers: [i, j, k], cartesian, length });
            }
        }
    }
    vectors
}

/// Lengths of the reciprocal vectors, without the factor 2 pi, 1/angstrom.
pub(super) fn reciprocal_lengths(lattice: &Lattice) -> [f64; 3] {
    let [a, b, c] = lattice.0;
    [cross(b, c), cross(c, a), cross(a, b)].map(|v| norm(v) / lattice.volume())
}

fn degrees_between(u: &Vector, v: &Vector) -> f64 {
    let dot: f64 = (0..3).map(|k| u.cartesian[k] * v.cartesian[k]).sum();
    (dot / u.length / v.length).clamp(-1.0, 1.0).acos().to_degrees()
}

fn determinant([a, b, c]: &[[i32; 3]; 3]) -> i64 {
    let minor = |i: usize, j: usize| i64::from(b[i]) * i64::from(c[j]) - i64::from(b[j]) * i64::from(c[i]);
    i64::from(a[0]) * minor(1, 2) - i64::from(a[1]) * minor(0, 2) + i64::from(a[2]) * minor(0, 1)
}

/// Inverse of an integer matrix of determinant 1 or -1: its adjugate times the determinant.
fn unimodular_inverse(m: &[[i32; 3]; 3]) -> [[i32; 3]; 3] {
    let sign = determinant(m) as i32;
    let cofactor = |i: usize, j: usize| {
        let ([p, q], [r, s]) = ([(i + 1) % 3, (i + 2) % 3], [(j + 1) % 3, (j + 2) % 3]);
        m[p][r] * m[q][s] - m[p][s] * m[q][r]
    };
    std::array::from_fn(|i| std::array::from_fn(|j| sign * cofactor(j, i)))
}

fn cross(u: [f64; 3], v: [f64; 3]) -> [f64; 3] {
    [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]]
}

fn norm(v: [f64; 3]) -> f64 {
    v.iter().map(|x| x * x).sum::<f64>().sqrt()
}
