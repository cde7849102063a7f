//! What the machine can do at most: the measure of everything else.

use std::sync::Mutex;

use ndarray::Array2;
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, encode};
use temper::runtime::{Device, Runtime, Session, SessionOptions};

use super::crystals::{cores, runtime};
use super::measure::{Effort, Measured};

/// Rows, inner extent and columns of a square product, and of the policy's own: a group's tokens into queries.
const SQUARE: [usize; 3] = [1024, 1024, 1024];
const POLICY: [usize; 3] = [1024, 64, 1024];

pub fn square(effort: Effort) -> Measured {
    product(effort, SQUARE, 20)
}

pub fn policy_shape(effort: Effort) -> Measured {
    product(effort, POLICY, 320)
}

/// Products on every core at once, each on a session with one thread, as the policy's graphs run. An item is a GFLOP.
fn product(effort: Effort, [rows, inner, columns]: [usize; 3], repeats: usize) -> Measured {
    let repeats = effort.items(repeats);
    let model = encode(&matmul([rows, inner, columns]));
    let runtime = runtime();
    let sessions: Vec<Mutex<Session>> = (0..cores()).map(|_| Mutex::new(session(&runtime, &model))).collect();
    let a = Tensor::from(Array2::from_shape_fn((rows, inner), |(i, j)| ((i + j) % 7) as f32 - 3.0));
    let b = Tensor::from(Array2::from_shape_fn((inner, columns), |(i, j)| ((2 * i + j) % 5) as f32 - 2.0));
    let on = format!("{rows} x {inner} x {columns}, one session a core");
    let giga = 2.0 * (rows * inner * columns * repeats * cores()) as f64 / 1e9;
    let mut measured = Measured::of(effort, on, 1, || {
        std::thread::scope(|scope| {
            for session in &sessions {
                scope.spawn(|| {
                    let mut session = session.lock().expect("a session");
                    for _ in 0..repeats {
                        session.run_values(&[("a", (&a).into()), ("b", (&b).into())], &["c"]).expect("a product");
                    }
                });
            }
        });
    });
    let c = sessions[0].lock().expect("a session").run(&[("a", (&a).into()), ("b", (&b).into())], &["c"]);
    let expected: f32 = (0..inner).map(|k| ((k % 7) as f32 - 3.0) * ((2 * k % 5) as f32 - 2.0)).sum();
    assert_eq!(c.expect("a product")[0].as_f32().expect("float32")[[0, 0]], expected);
    measured.scale(giga);
    measured
}

fn matmul([rows, inner, columns]: [usize; 3]) -> temper::graph::onnx::ModelProto {
    let mut b = Builder::new();
    let [rows, inner, columns] = [rows, inner, columns].map(|n| Dim::Known(n as i64));
    let x = b.input("a", DataType::F32, &[rows, inner]);
    let y = b.input("b", DataType::F32, &[inner, columns]);
    let c = b.node("MatMul", &[x, y], Attributes::none());
    b.output("c", c);
    b.finish("product", &[]).expect("a graph")
}

fn session(runtime: &Runtime, model: &[u8]) -> Session {
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
    Session::from_bytes(runtime, "product", model, &options).expect("a session")
}

/// Copying. An item is a GB read and a GB written.
pub fn copy(effort: Effort) -> Measured {
    let bytes = if effort == Effort::Full { 256 << 20 } else { 1 << 20 };
    let from = vec![1u8; bytes];
    let mut to: Vec<Mutex<Vec<u8>>> = (0..cores()).map(|_| Mutex::new(vec![0u8; bytes])).collect();
    let repeats = effort.items(8);
    let mut measured = Measured::of(effort, "every core at once", 1, || {
        std::thread::scope(|scope| {
            for to in &to {
                scope.spawn(|| {
                    let mut to = to.lock().expect("a buffer");
                    (0..repeats).for_each(|_| to.copy_from_slice(std::hint::black_box(&from)));
                });
            }
        });
    });
    assert!(to.iter_mut().all(|to| to.get_mut().is_ok_and(|to| to[bytes - 1] == 1)));
    measured.scale((bytes * repeats * cores()) as f64 / 1e9);
    measured
}
