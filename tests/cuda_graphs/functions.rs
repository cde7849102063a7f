//! Functions of one number against float64.

use ndarray::Array1;
use temper::graph::{Attributes, Tensor};

use crate::{graph, rewritten, run};

/// Numbers of every size, of both signs, close to 0, 1 and the ends of float32, and those that are none.
fn arguments(low: f32, high: f32) -> Vec<f32> {
    let mut numbers: Vec<f32> = (0..=20_000).map(|i| low + (high - low) * i as f32 / 20_000.0).collect();
    numbers.extend((-44..=38).flat_map(|power| [1.0_f32, 3.0, -7.0].map(|x| x * 10.0_f32.powi(power))));
    let near =
        |x: f32| (0..200_u32).flat_map(move |i| [f32::from_bits(x.to_bits() + i), f32::from_bits(x.to_bits() - i - 1)]);
    numbers.extend([0.414_213_57_f32, 0.5, 1.0, 2.0, 88.7, 89.4].into_iter().flat_map(near).flat_map(|x| [x, -x]));
    numbers.extend([
        0.0,
        -0.0,
        f32::MIN_POSITIVE,
        1e-45,
        f32::MAX,
        f32::MIN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
    ]);
    numbers
}

/// Relative error; both infinite or both no number is none.
fn error(found: f32, expected: f64) -> f64 {
    let rounded = expected as f32;
    if found == rounded || (found.is_nan() && rounded.is_nan()) {
        return 0.0;
    }
    let size = expected.abs().max(f64::from(f32::MIN_POSITIVE));
    let error = (f64::from(found) - expected).abs() / size;
    if error.is_finite() { error } else { f64::INFINITY }
}

#[test]
fn functions_without_a_kernel_are_within_their_bounds() {
    type Case = (&'static str, [f32; 2], f64, fn(f64) -> f64);
    let cases: [Case; 9] = [
        ("Acos", [-1.0, 1.0], 4e-7, f64::acos),
        ("Asin", [-1.0, 1.0], 4e-7, f64::asin),
        ("Atan", [-20.0, 20.0], 4e-7, f64::atan),
        ("Tan", [-9.0, 9.0], 4e-7, f64::tan),
        ("Sinh", [-12.0, 12.0], 4e-7, f64::sinh),
        ("Cosh", [-12.0, 12.0], 4e-7, f64::cosh),
        ("Asinh", [-12.0, 12.0], 4e-7, asinh),
        ("Acosh", [1.0, 12.0], 4e-7, acosh),
        ("Atanh", [-1.0, 1.0], 4e-7, f64::atanh),
    ];
    for (op, [low, high], bound, exact) in cases {
        let numbers = arguments(low, high);
        // The sine of a large float32 is a matter of the range reduction of the sine, not of the quotient.
        let numbers: Vec<f32> =
            numbers.into_iter().filter(|x| op != "Tan" || x.abs() < 20.0 || !x.is_finite()).collect();
        let input = [Tensor::from(Array1::from(numbers.clone()))];
        let model = rewritten(&graph(&input, |b, x| b.node(op, &[x[0]], Attributes::none())));
        let found = run(&model, &input).unwrap();
        let rows = numbers.iter().zip(found.as_f32().unwrap());
        let worst = rows.map(|(x, y)| (error(*y, exact(f64::from(*x))), *x, *y));
        let worst = worst.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        println!("{op}: off by {:.2e} of its value at {}", worst.0, worst.1);
        assert!(worst.0 < bound, "{op}({}) = {}, not {}", worst.1, worst.2, exact(f64::from(worst.1)));
    }
}

/// The standard library's overflows on the way for arguments whose square does.
fn asinh(x: f64) -> f64 {
    if x.abs() > 1e8 { (x.abs().ln() + std::f64::consts::LN_2).copysign(x) } else { x.asinh() }
}

fn acosh(x: f64) -> f64 {
    if x > 1e8 { x.ln() + std::f64::consts::LN_2 } else { x.acosh() }
}
