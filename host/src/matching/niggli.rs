//! Niggli cells of lattices that are known to some digits only.

use moyo::base::Lattice as MoyoLattice;
use nalgebra::Matrix3;

use super::mapping::bases_like;
use super::reduce::ReduceError;
use crate::crystal::Lattice;

/// Relative to V^(2/3), entries of the metric that differ by less are equal. With moyo's tolerance of 1e-8 A^2 a lattice given to six digits may
/// come out with angles of 90, 107 and 120 degrees instead of 73, 73 and 60.
const TOLERANCE: f64 = 1e-5;

/// Angles of bases of one lattice that differ by less are the same, degrees.
const SAME_ANGLE: f64 = 1.0;

/// Most steps of the reduction of a basis that is already nearly reduced.
const MOST_STEPS: usize = 100;

/// Most lattice vectors, roughly, that are no longer than the cell's longest.
const MOST_VECTORS: f64 = 1e6;

/// The right-handed Niggli cell of a lattice. Where symmetry leaves a choice between several bases, it is the one that pymatgen
/// takes, the first in the order of [`choice_order`]: atoms are merged within a tolerance along each vector, so that
/// verdicts on noisy supercells depend on it.
pub(super) fn niggli_cell(lattice: &Lattice) -> Result<Lattice, ReduceError> {
    let failed = || {
        let (lengths, angles) = lattice.parameters();
        ReduceError::Niggli { lengths, angles }
    };
    let (near, change) = MoyoLattice::from_basis(lattice.0).minkowski_reduce().map_err(|_| failed())?;
    let near = Lattice(near.basis_as_array());
    refuse_elongated(&near)?;
    let in_original =
        |n: [i32; 3]| -> [i32; 3] { std::array::from_fn(|j| (0..3).map(|i| change[(j, i)] * n[i]).sum()) };
    let scale = near.volume().cbrt();
    let parameters = niggli_metric(metric(&near), TOLERANCE * scale).map(|g| parameters(&g)).ok_or_else(failed)?;
    let target = Lattice::from_parameters(parameters.0, parameters.1)?;
    let bases = bases_like(&near, &target, TOLERANCE * scale, SAME_ANGLE).into_iter();
    let right_handed = bases.filter(|basis| basis.lattice.signed_volume() > 0.0);
    let order = |k: usize, basis: &super::mapping::Basis| choice_order(basis.lattice.0[k], in_original(basis.rows[k]));
    let first = right_handed.min_by_key(|basis| std::array::from_fn::<_, 3, _>(|k| order(k, basis)));
    first.map(|basis| basis.lattice).ok_or_else(failed)
}

/// Refuses a cell in which the vectors as long as its longest are too many to try.
fn refuse_elongated(reduced: &Lattice) -> Result<(), ReduceError> {
    let ((lengths, _), volume) = (reduced.parameters(), reduced.volume());
    let longest = lengths.iter().fold(0.0, |a: f64, b| a.max(*b));
    if 4.0 / 3.0 * std::f64::consts::PI * longest.powi(3) > MOST_VECTORS * volume {
        return Err(ReduceError::Elongated { lengths, volume });
    }
    Ok(())
}

/// Order in which pymatgen comes upon lattice vectors: by octant, negative coordinates first, then descending in the integer
/// coordinates along the original vectors.
fn choice_order(cartesian: [f64; 3], integers: [i32; 3]) -> ([bool; 3], [i32; 3]) {
    (cartesian.map(|x| x >= -1e-8), integers.map(|n| -n))
}

/// The metric tensor of the Niggli cell (I. Krivy and B. Gruber, Acta Cryst. A 32, 297 (1976), with the tolerance of R. W.
/// Grosse-Kunstleve et al., Acta Cryst. A 60, 1 (2004)), A^2; `None` if the steps do not end.
fn niggli_metric(mut g: Matrix3<f64>, e: f64) -> Option<Matrix3<f64>> {
    for _ in 0..MOST_STEPS {
        g = sorted_and_signed(g, e);
        let Some(change) = shortening(&g, e) else { return Some(g) };
        g = change.transpose() * g * change;
    }
    None
}

/// Steps 1 to 4: lengths ascending, and angles all acute or none.
fn sorted_and_signed(mut g: Matrix3<f64>, e: f64) -> Matrix3<f64> {
    let swap = |g: &mut Matrix3<f64>, i: usize, j: usize| {
        g.swap_rows(i, j);
        g.swap_columns(i, j);
    };
    for _ in 0..MOST_STEPS {
        if descends([g[(0, 0)], g[(1, 1)]], [g[(1, 2)], g[(0, 2)]], e) {
            swap(&mut g, 0, 1);
        }
        if !descends([g[(1, 1)], g[(2, 2)]], [g[(0, 2)], g[(0, 1)]], e) {
            break;
        }
        swap(&mut g, 1, 2);
    }
    let sign = |x: f64| if 2.0 * x.abs() < e { 0 } else { x.signum() as i32 };
    let signs = [sign(g[(1, 2)]), sign(g[(0, 2)]), sign(g[(0, 1)])];
    let flips = flips(signs);
    Matrix3::from_fn(|i, j| g[(i, j)] * f64::from(flips[i] * flips[j]))
}

/// Whether two vectors stand in the wrong order by their squared lengths, or if these are equal by their products with the third.
fn descends(squares: [f64; 2], products: [f64; 2], e: f64) -> bool {
    let [first, second] = squares;
    second + e < first || ((first - second).abs() < e && 2.0 * products[0].abs() > 2.0 * products[1].abs() + e)
}

/// Signs of the vectors that make the products b.c, a.c, a.b (of these signs) all positive, or else none positive.
fn flips(signs: [i32; 3]) -> [i32; 3] {
    if signs.iter().product::<i32>() == 1 {
        return signs.map(|s| if s == -1 { -1 } else { 1 });
    }
    let mut flips = signs.map(|s| if s == 1 { -1 } else { 1 });
    if flips.iter().product::<i32>() == -1
        && let Some(free) = signs.iter().rposition(|s| *s == 0)
    {
        flips[free] = -1;
    }
    flips
}

/// Steps 5 to 8: the change of basis that shortens a vector, if there is one.
fn shortening(g: &Matrix3<f64>, e: f64) -> Option<Matrix3<f64>> {
    let (a, b) = (g[(0, 0)], g[(1, 1)]);
    let (xi, eta, zeta) = (2.0 * g[(1, 2)], 2.0 * g[(0, 2)], 2.0 * g[(0, 1)]);
    // The product of two vectors against the square of the shorter one, and the products that decide where they are equal.
    let long = |product: f64, square: f64, at_plus: [f64; 2], at_minus: f64| {
        product.abs() > square + e
            || ((square - product).abs() < e && at_plus[0] - e > 2.0 * at_plus[1])
            || ((square + product).abs() < e && -e > at_minus)
    };
    let less = |row: usize, column: usize, product: f64| {
        let mut change = Matrix3::identity();
        change[(row, column)] = -product.signum();
        change
    };
    let sum = xi + eta + zeta + a + b;
    if long(xi, b, [zeta, eta], zeta) {
        Some(less(1, 2, xi))
    } else if long(eta, a, [zeta, xi], zeta) {
        Some(less(0, 2, eta))
    } else if long(zeta, a, [eta, xi], eta) {
        Some(less(0, 1, zeta))
    } else if -e > sum || (sum.abs() < e && e < zeta + 2.0 * (a + eta)) {
        Some(Matrix3::new(1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0))
    } else {
        None
    }
}

fn metric(lattice: &Lattice) -> Matrix3<f64> {
    let dot = |i: usize, j: usize| (0..3).map(|k| lattice.0[i][k] * lattice.0[j][k]).sum();
    Matrix3::from_fn(dot)
}

/// Lengths (A) and angles (degrees) of a metric tensor.
fn parameters(g: &Matrix3<f64>) -> ([f64; 3], [f64; 3]) {
    let lengths = [0, 1, 2].map(|i| g[(i, i)].sqrt());
    let angle = |i: usize, j: usize| (g[(i, j)] / lengths[i] / lengths[j]).clamp(-1.0, 1.0).acos().to_degrees();
    (lengths, [angle(1, 2), angle(0, 2), angle(0, 1)])
}
