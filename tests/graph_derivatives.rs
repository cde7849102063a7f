//! Every derivative against central differences, and every inferred shape against what ONNX Runtime returns.
//!
//! `cases` is the table: one row per operator and form. Each row is run with its extents stated, and with every extent unknown
//! until the graph runs.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot run has failed, and says so"
)]

#[path = "graph_derivatives/cases.rs"]
mod cases;
#[path = "graph_derivatives/check.rs"]
mod check;
#[path = "graph_derivatives/composites.rs"]
mod composites;
#[path = "graph_derivatives/empty.rs"]
mod empty;
#[path = "graph_derivatives/files.rs"]
mod files;
#[path = "graph_derivatives/model_cases.rs"]
mod model_cases;
#[path = "graph_derivatives/opsets.rs"]
mod opsets;
#[path = "graph_derivatives/potential.rs"]
mod potential;

use std::collections::BTreeSet;

use cases::{Case, cases};
use check::{Extents, check, check_empty};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::graph::{Attributes, Builder, DataType, GraphError, Tensor, Value, differentiable};

#[test]
fn every_rule_is_in_the_table() {
    let covered: BTreeSet<&str> = cases().iter().map(|case| case.op).collect();
    let known: BTreeSet<&str> = differentiable().collect();
    assert_eq!(covered, known);
}

#[test]
fn derivatives_equal_differences_where_extents_are_known() {
    let failures: Vec<String> = cases().iter().filter_map(|case| check(case, Extents::Stated).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn derivatives_equal_differences_where_extents_are_unknown() {
    let failures: Vec<String> = cases().iter().filter_map(|case| check(case, Extents::Unknown).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn derivatives_of_empty_tensors_are_empty_or_zero() {
    let mut ran = 0;
    let mut failures = Vec::new();
    for case in cases() {
        println!("{} {}", case.op, case.detail);
        match check_empty(&case) {
            Ok(count) => ran += count,
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(ran > 300, "{ran} cases ran");
}

#[test]
fn derivatives_of_random_compositions_equal_differences() {
    for seed in 0..60 {
        let case = Case::new("composition", &[&[3, 4], &[4], &[3, 1]], move |b, v| compose(b, v, seed));
        for extents in [Extents::Stated, Extents::Unknown] {
            if let Err(failure) = check(&case, extents) {
                panic!("seed {seed}: {failure}");
            }
        }
    }
}

/// A chain of operators whose values stay of the order of one; every result can be read again later.
fn compose(b: &mut Builder, inputs: &[Value], seed: u64) -> Value {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut made = inputs.to_vec();
    for _ in 0..8 {
        let x = made[random.random_range(0..made.len())];
        let y = made[random.random_range(0..made.len())];
        let next = match random.random_range(0..14) {
            0 => b.add(x, y),
            1 => b.sub(x, y),
            2 => b.mul(x, y),
            3 => b.tanh(x),
            4 => b.abs(x),
            5 => b.sigmoid(x),
            6 => {
                let square = b.mul(y, y);
                let positive = b.add_scalar(square, 0.5);
                b.div(x, positive)
            }
            7 => b.softmax(x, -1),
            8 => b.reduce_sum(x, &[-1], true),
            9 => b.slice(x, -1, 0, 1),
            10 => {
                let square = b.mul(x, x);
                let positive = b.add_scalar(square, 0.3);
                b.sqrt(positive)
            }
            11 => b.node("ReduceMean", &[x], Attributes::none().int("keepdims", 0)),
            12 => {
                let half = b.mul_scalar(x, 0.5);
                b.exp(half)
            }
            _ => b.softmax(x, 0),
        };
        let scalar = b.shape(next).is_some_and(|shape| shape.is_empty());
        made.push(if scalar { b.unsqueeze(next, &[0]) } else { next });
    }
    let total = made.iter().skip(inputs.len()).map(|v| b.sum_all(*v)).collect::<Vec<_>>();
    b.node("Sum", &total, Attributes::none())
}

/// Where a function has a corner, or a formula would multiply zero by infinity, the number is PyTorch's.
#[test]
fn corners_have_the_derivative_that_pytorch_gives() {
    type Row = (&'static str, fn(&mut Builder, Value) -> Value, f64, f64);
    let rows: [Row; 12] = [
        ("abs", |b, x| b.abs(x), 0.0, 0.0),
        ("relu", |b, x| b.relu(x), 0.0, 0.0),
        ("norm", |b, x| b.node("ReduceL2", &[x], Attributes::none()), 0.0, 0.0),
        ("product", |b, x| b.node("ReduceProd", &[x], Attributes::none()), 0.0, 1.0),
        ("x^0", |b, x| power(b, x, 0.0), 0.0, 0.0),
        ("x^1", |b, x| power(b, x, 1.0), 0.0, 1.0),
        ("x^2", |b, x| power(b, x, 2.0), -3.0, -6.0),
        ("x^3", |b, x| power(b, x, 3.0), -3.0, 27.0),
        ("2^x", |b, x| base(b, 2.0, x), 0.0, std::f64::consts::LN_2),
        ("0^x", |b, x| base(b, 0.0, x), 2.0, 0.0),
        ("clip at the bound", |b, x| clip(b, x), 1.0, 1.0),
        ("max of equals", |b, x| maximum(b, x), 0.5, 0.5),
    ];
    for (name, build, at, expected) in rows {
        let found = check::slope_at(build, at).unwrap();
        assert!((found - expected).abs() < 1e-6, "{name} at {at}: {found}, not {expected}");
    }
    assert_eq!(check::slope_at(|b, x| b.sqrt(x), 0.0).unwrap(), f64::INFINITY);
}

fn power(b: &mut Builder, x: Value, exponent: f64) -> Value {
    // The exponent is an unknown number to the rule, so that the general form is what is tested.
    let exponent = b.scalar_like(x, exponent);
    let exponent = b.node("Identity", &[exponent], Attributes::none());
    b.pow(x, exponent)
}

fn base(b: &mut Builder, base: f64, x: Value) -> Value {
    let base = b.scalar_like(x, base);
    b.pow(base, x)
}

fn clip(b: &mut Builder, x: Value) -> Value {
    let (low, high) = (b.scalar_like(x, -1.0), b.scalar_like(x, 1.0));
    b.node("Clip", &[x, low, high], Attributes::none())
}

fn maximum(b: &mut Builder, x: Value) -> Value {
    let half = b.scalar_like(x, 0.5);
    b.max(x, half)
}

#[test]
fn what_has_no_derivative_is_named() {
    let built = |build: fn(&mut Builder, Value) -> Value| {
        let mut b = Builder::new();
        let x = b.input("x", DataType::F32, &[temper::graph::Dim::Known(4)]);
        let y = build(&mut b, x);
        b.differentiate(y, &[x]).unwrap_err()
    };
    let unknown = built(|b, x| b.node("Hardmax", &[x], Attributes::none()));
    assert!(matches!(&unknown, GraphError::NoDerivative { op, .. } if op == "Hardmax"), "{unknown}");
    let later = built(|b, x| {
        let strange = b.node("Hardmax", &[x], Attributes::none());
        b.node("Reshape", &[strange, strange], Attributes::none())
    });
    assert_eq!(later.to_string(), "no derivative for operator Hardmax (node `Hardmax_1`)");
    let unique = built(|b, x| b.node_with("Unique", &[Some(x)], 1, Attributes::none())[0]);
    assert!(matches!(&unique, GraphError::NoDerivative { op, .. } if op == "Unique"), "{unique}");
}

#[test]
fn a_value_and_what_it_is_made_of_can_both_be_asked_for() {
    let mut b = Builder::new();
    let x = b.input("x", DataType::F64, &[]);
    let y = b.mul(x, x);
    let z = b.mul(y, y);
    let grads = b.differentiate(z, &[x, y]).unwrap();
    let found = check::run_scalars(b, &grads, &Tensor::from(ndarray::arr0(3.0_f64)));
    assert_eq!(found, [108.0, 18.0]);
}
