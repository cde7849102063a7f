//! What the device can do at most.

use ndarray::{Array2, ArrayD};
use temper::graph::{Attributes, Builder, DataType, Dim, encode};
use temper::runtime::{Input, OrtTensor, Session, SessionOptions};

use super::crystals::{device, runtime};
use super::measure::{Effort, Measured};

/// Square products in float32, without the shorter mantissa of TF32. An item is a GFLOP.
pub fn products(effort: Effort) -> Measured {
    let n = if effort == Effort::Full { 8192 } else { 256 };
    let repeats = effort.items(10);
    let mut measured = repeated(effort, "MatMul", n, repeats);
    measured.scale(2.0 * (n as f64).powi(3) * repeats as f64 / 1e9);
    measured
}

/// Sums of two matrices: an item is a GB read or written.
pub fn copies(effort: Effort) -> Measured {
    let n = if effort == Effort::Full { 16384 } else { 256 };
    let repeats = effort.items(10);
    let mut measured = repeated(effort, "Add", n, repeats);
    measured.scale(3.0 * 4.0 * (n as f64).powi(2) * repeats as f64 / 1e9);
    measured
}

/// An operator on two square matrices that lie on the device, as its result does.
fn repeated(effort: Effort, operator: &str, n: usize, repeats: usize) -> Measured {
    let mut b = Builder::new();
    let extent = [Dim::Known(n as i64); 2];
    let (x, y) = (b.input("a", DataType::F32, &extent), b.input("b", DataType::F32, &extent));
    let c = b.node(operator, &[x, y], Attributes::none());
    b.output("c", c);
    let model = encode(&b.finish("peak", &[]).expect("a graph"));
    let options = SessionOptions { device: device(), threads: 1, ..SessionOptions::default() };
    let mut session = Session::from_bytes(&runtime(), "peak", &model, &options).expect("a session");
    let matrix: ArrayD<f32> = Array2::from_shape_fn((n, n), |(i, j)| ((i + 2 * j) % 7) as f32 - 3.0).into_dyn();
    let matrix = OrtTensor::upload(&matrix, device()).expect("room for a matrix");
    let inputs: [(&str, Input<'_>); 2] = [("a", (&matrix).into()), ("b", (&matrix).into())];
    Measured::of(effort, format!("{operator} of {n} x {n} in float32"), 1, || {
        for _ in 0..repeats {
            session.run_keeping(&inputs, &[], &["c"]).expect("a result");
        }
    })
}
