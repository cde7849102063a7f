//! A policy's graphs in float64, where no mistake can pass for rounding.

use std::collections::HashMap;
use std::f64::consts::{FRAC_PI_2, PI, TAU};

use ndarray::{Array2, ArrayD};
use temper::graph::onnx::ModelProto;
use temper::graph::{Attributes, Builder, DataType, Dim, Node, Tensor, Value, encode};
use temper::policy::{Features, Hyperparameters};
use temper::runtime::{Device, Input, Session, SessionOptions};

use crate::evaluate::runtime;

/// Parameters or their gradients by name.
pub type Tensors = Vec<(String, ArrayD<f64>)>;

/// A graph that computes everything in float64.
pub struct Float64 {
    session: Session,
}

impl Float64 {
    /// `tables` take the place of the graph's own cosines and sines of the rotation, (tokens, K/2) each.
    pub fn load(model: &ModelProto, hyper: &Hyperparameters, tables: Option<[Array2<f64>; 2]>) -> Self {
        let options = SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() };
        let bytes = encode(&in_float64(model, hyper, tables));
        Self { session: Session::from_bytes(runtime(), "policy graph in float64", &bytes, &options).unwrap() }
    }

    pub fn run(
        &mut self,
        parameters: &Tensors,
        features: &Features,
        extra: &[(&str, Tensor)],
        outputs: &[&str],
    ) -> Vec<ArrayD<f64>> {
        let parameters = parameters.iter().map(|(name, p)| (name.as_str(), Tensor::from(p.clone())));
        let rest = features.inputs().iter().chain(extra).map(|(name, tensor)| (*name, widened(tensor)));
        let inputs: Vec<(&str, Tensor)> = parameters.chain(rest).collect();
        let inputs: Vec<(&str, Input<'_>)> = inputs.iter().map(|(name, tensor)| (*name, tensor.into())).collect();
        let results = self.session.run(&inputs, outputs).unwrap().into_iter();
        let float64 = |result| match result {
            Tensor::F64(array) => array,
            other => panic!("{} instead of float64", other.data_type()),
        };
        results.map(float64).collect()
    }
}

/// The graph with float64 in the place of float32: the same nodes in the same order, except for operators that ONNX Runtime's CPU
/// provider has for float32 only. A gradient graph holds its derivative already, so extents need no names.
fn in_float64(model: &ModelProto, hyper: &Hyperparameters, tables: Option<[Array2<f64>; 2]>) -> ModelProto {
    let (source, mut b) = (Builder::from_model(model).unwrap(), Builder::new());
    let mut copies: HashMap<Value, Value> = HashMap::new();
    for input in source.inputs() {
        copies.insert(*input, declared(&mut b, &source, *input));
    }
    if let Some(tables) = tables {
        let rotation = source.nodes().iter().find(|node| node.op == "RotaryEmbedding").unwrap();
        for (own, table) in rotation.inputs[2..].iter().zip(tables) {
            copies.insert(own.unwrap(), b.constant(table * (hyper.key_size as f64).powf(-0.25)));
        }
    }
    let exact = exact_numbers(hyper);
    for node in source.nodes() {
        for value in node.inputs.iter().flatten() {
            if let Some(constant) = source.constant_of(*value) {
                copies.entry(*value).or_insert_with(|| b.constant(sharpened(constant, &exact)));
            }
        }
        let inputs: Vec<_> = node.inputs.iter().map(|value| value.map(|v| copies[&v])).collect();
        let outputs = copied(&mut b, node, &inputs);
        for (own, output) in node.outputs.iter().flatten().zip(outputs) {
            copies.entry(*own).or_insert(output);
        }
    }
    for output in source.outputs() {
        b.output(source.name(*output), copies[output]);
    }
    b.finish("float64", &[]).unwrap()
}

fn declared(b: &mut Builder, source: &Builder, input: Value) -> Value {
    let (name, known) = (source.name(input), source.facts(input));
    let dims = known.shape.iter().flatten().enumerate();
    let shape: Vec<Dim> =
        dims.map(|(axis, dim)| dim.known().map_or_else(|| b.symbol(&format!("{name}_{axis}")), Dim::Known)).collect();
    b.input(name, wide(known.data_type.unwrap()), &shape)
}

fn wide(data_type: DataType) -> DataType {
    if data_type == DataType::F32 { DataType::F64 } else { data_type }
}

/// The same numbers.
fn widened(tensor: &Tensor) -> Tensor {
    tensor.as_f32().map_or_else(|| tensor.clone(), |array| array.mapv(f64::from).into())
}

fn copied(b: &mut Builder, node: &Node, inputs: &[Option<Value>]) -> Vec<Value> {
    let input = |i: usize| inputs[i].unwrap();
    match node.op.as_str() {
        "Cast" => {
            let to = DataType::from_onnx(node.attributes.get_int("to").unwrap() as i32).unwrap();
            vec![b.cast(input(0), wide(to))]
        }
        "ConstantOfShape" => {
            let fill = widened(&node.attributes.get_tensor("value").unwrap());
            vec![b.node("ConstantOfShape", &[input(0)], Attributes::none().tensor("value", &fill))]
        }
        "Cos" => {
            let turned = b.add_scalar(input(0), FRAC_PI_2);
            vec![b.sin(turned)]
        }
        "Gelu" => vec![gelu(b, input(0))],
        "RotaryEmbedding" => vec![rotated(b, input(0), [input(2), input(3)])],
        _ => b.node_with(&node.qualified_op(), inputs, node.outputs.len(), node.attributes.clone()),
    }
}

/// In the tanh form of Gelu (Hendrycks and Gimpel 2016, section 2).
const CUBIC: f64 = 0.044715;

/// `x (1 + tanh(sqrt(2 / pi) (x + a x^3))) / 2`.
fn gelu(b: &mut Builder, x: Value) -> Value {
    let square = b.mul(x, x);
    let cube = b.mul(square, x);
    let cube = b.mul_scalar(cube, CUBIC);
    let argument = b.add(x, cube);
    let argument = b.mul_scalar(argument, (2.0 / PI).sqrt());
    let tanh = b.tanh(argument);
    let weight = b.add_scalar(tanh, 1.0);
    let weight = b.mul_scalar(weight, 0.5);
    b.mul(x, weight)
}

/// The halves of the last axis of (b, heads, T, K) as real and imaginary parts, times `cos + i sin` of the first T rows of tables.
fn rotated(b: &mut Builder, x: Value, tables: [Value; 2]) -> Value {
    let half = b.shape(tables[0]).unwrap()[1].known().unwrap();
    let (shape, zero) = (b.shape_of(x), b.ints(&[0]));
    let tokens = b.slice(shape, 0, 2, 3);
    let [cos, sin] = tables.map(|table| b.node("Slice", &[table, zero, tokens, zero], Attributes::none()));
    let (real, imaginary) = (b.slice(x, 3, 0, half), b.slice(x, 3, half, 2 * half));
    let (rc, is, rs, ic) = (b.mul(real, cos), b.mul(imaginary, sin), b.mul(real, sin), b.mul(imaginary, cos));
    let (real, imaginary) = (b.sub(rc, is), b.add(rs, ic));
    b.concat(&[real, imaginary], -1)
}

/// What stands in a graph rounded to float32, by the specification.
fn exact_numbers(hyper: &Hyperparameters) -> Vec<f64> {
    let (key, width, c) = (hyper.key_size as f64, hyper.model_size as f64, (2.0 / PI).sqrt());
    let frequencies = (0..hyper.key_size / 2).map(|i| 10000f64.powf(-2.0 * i as f64 / key));
    let numbers = [TAU, TAU.ln(), 1.0 / width, 1e-5, key.powf(-0.25), c, CUBIC * c, 3.0 * CUBIC * c];
    numbers.into_iter().chain(frequencies).collect()
}

/// A constant, with the exact number in the place of every float32 that is one rounded.
fn sharpened(constant: &Tensor, exact: &[f64]) -> Tensor {
    let sharp = |rounded: f32| {
        let found = exact.iter().find(|number| **number as f32 == rounded.abs());
        found.map_or(f64::from(rounded), |number| number.copysign(f64::from(rounded)))
    };
    constant.as_f32().map_or_else(|| constant.clone(), |array| array.mapv(sharp).into())
}
