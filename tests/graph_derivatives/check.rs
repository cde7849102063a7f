//! One case: built, differentiated, run, and compared with differences.

use std::collections::{BTreeSet, HashMap};

use ndarray::ArrayD;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::graph::onnx::{ModelProto, ValueInfoProto};
use temper::graph::{Builder, DataType, Dim, GraphError, Tensor, Value, decode, encode, for_runtime};
use temper::runtime::{Device, Locator, Optimization, Runtime, Session, SessionOptions};

use crate::cases::{Argument, Case};

/// What the graph says about the extents of its inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Extents {
    /// Numbers.
    Stated,
    /// Symbols, each axis its own.
    Unknown,
    /// Symbols, and every axis of this extent is empty when the graph runs.
    Empty(usize),
}

impl Extents {
    /// Extents of an argument when the graph runs; those that are always stated stay.
    fn of(self, argument: &Argument) -> Vec<usize> {
        let empty = |axis, n| self == Self::Empty(n) && argument.is_varied() && !argument.keeps(axis);
        argument.shape().into_iter().enumerate().map(|(axis, n)| if empty(axis, n) { 0 } else { n }).collect()
    }
}

/// Builds the case as a file, reads it back, differentiates the sum of the result times random weights, and compares.
pub fn check(case: &Case, extents: Extents) -> Result<(), String> {
    attempt(case, extents).map_err(|reason| format!("{} {} ({extents:?}): {reason}", case.op, case.detail))
}

/// As [`check`], with empty tensors: for every extent, all axes of that extent have none. Returns how many of them the
/// operator itself can be given.
pub fn check_empty(case: &Case) -> Result<usize, String> {
    let varied = case.arguments.iter().filter(|argument| argument.is_varied());
    let extents: BTreeSet<usize> = varied.flat_map(Argument::shape).collect();
    let mut ran = 0;
    for extent in extents {
        let extents = Extents::Empty(extent);
        let bytes = forward(case, extents);
        let runs = |bytes: &[u8]| evaluate(&mut session(&as_loaded(bytes))?, case, &sample(case, extents)).map(drop);
        if let Err(reason) = bytes.and_then(|bytes| runs(&bytes)) {
            println!("{} {} {extents:?} is not possible: {reason}", case.op, case.detail);
            continue;
        }
        check(case, extents)?;
        ran += 1;
    }
    Ok(ran)
}

fn attempt(case: &Case, extents: Extents) -> Result<(), String> {
    let forward = forward(case, extents)?;
    let mut builder = Builder::from_model(&decode(&forward).map_err(text)?).map_err(text)?;
    let y = builder.find("y").ok_or("no result")?;
    let inputs = sample(case, extents);
    let mut session = session(&as_loaded(&forward))?;
    let result = evaluate(&mut session, case, &inputs)?;
    let weights = weights(result.shape());
    let dim = |b: &mut Builder, i: usize, n: usize| match extents {
        Extents::Stated => Dim::Known(n as i64),
        _ => b.symbol(&format!("w{i}")),
    };
    let dims: Vec<Dim> = result.shape().iter().enumerate().map(|(i, n)| dim(&mut builder, i, *n)).collect();
    let w = builder.input("w", case.data_type, &dims);
    let wanted: Vec<usize> = (0..case.arguments.len()).filter(|i| case.arguments[*i].is_varied()).collect();
    let wrt: Vec<Value> = wanted.iter().filter_map(|i| builder.find(&format!("x{i}"))).collect();
    let written = builder.nodes().len();
    let grads = builder.differentiate_from(&[(y, w)], &wrt).map_err(text)?;
    let derivative = Derivative { builder, written, grads };
    let fed = feeds(&inputs, of_type(&weights, case.data_type));
    let returned = derivative.run_all(&fed, extents == Extents::Stated)?;
    derivative.agrees_when_optimized(&fed, &returned, case.tolerance)?;
    for (grad, i) in returned.iter().zip(wanted) {
        compare(case, &mut session, &inputs, i, &weights, grad)?;
    }
    Ok(())
}

fn text(error: GraphError) -> String {
    error.to_string()
}

fn forward(case: &Case, extents: Extents) -> Result<Vec<u8>, String> {
    let mut b = Builder::new();
    let mut inputs = Vec::new();
    for (i, argument) in case.arguments.iter().enumerate() {
        let mut dims = Vec::new();
        for (axis, n) in argument.shape().iter().enumerate() {
            dims.push(match extents {
                Extents::Stated => Dim::Known(*n as i64),
                _ if argument.keeps(axis) => Dim::Known(*n as i64),
                _ => b.symbol(&format!("x{i}_{axis}")),
            });
        }
        inputs.push(b.input(&format!("x{i}"), argument.data_type(case.data_type), &dims));
    }
    let y = (case.build)(&mut b, &inputs);
    b.output("y", y);
    let mut model = b.finish("case", &[]).map_err(text)?;
    model.opset_import[0].version = Some(case.opset);
    Ok(encode(&model))
}

/// The file as models are loaded: kept from what ONNX Runtime gets wrong on empty tensors.
pub fn as_loaded(bytes: &[u8]) -> Vec<u8> {
    let rewritten = decode(bytes).ok().and_then(|model| for_runtime(&model).unwrap());
    rewritten.map_or_else(|| bytes.to_vec(), |model| encode(&model))
}

/// Random numbers, all different and none at 0, where many functions have a corner.
fn sample(case: &Case, extents: Extents) -> Vec<Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let total: usize = case.arguments.iter().map(|a| a.shape().iter().product::<usize>()).sum();
    let total = total.next_multiple_of(2).max(2);
    let mut slots: Vec<usize> = (0..total).collect();
    slots.shuffle(&mut random);
    let mut slots = slots.into_iter();
    let mut number = |(low, high): (f64, f64)| {
        let slot = slots.next().unwrap_or_default() as f64;
        low + (high - low) * (slot + 0.5 + random.random_range(-0.2..0.2)) / total as f64
    };
    let tensor = |argument: &Argument| match argument {
        Argument::Fixed(tensor) => tensor.clone(),
        Argument::Varied { range, .. } => {
            let values = ArrayD::from_shape_simple_fn(extents.of(argument), || number(*range));
            of_type(&values, case.data_type)
        }
    };
    case.arguments.iter().map(tensor).collect()
}

fn of_type(values: &ArrayD<f64>, data_type: DataType) -> Tensor {
    match data_type {
        DataType::F64 => values.clone().into(),
        _ => values.mapv(|x| x as f32).into(),
    }
}

fn as_f64(tensor: &Tensor) -> Result<ArrayD<f64>, String> {
    match tensor {
        Tensor::F32(a) => Ok(a.mapv(f64::from)),
        Tensor::F64(a) => Ok(a.clone()),
        other => Err(format!("a result of type {}", other.data_type())),
    }
}

fn weights(shape: &[usize]) -> ArrayD<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    ArrayD::from_shape_simple_fn(shape.to_vec(), || random.random_range(0.5..1.5))
}

/// A session on one thread that runs the graph as it stands.
pub fn session(bytes: &[u8]) -> Result<Session, String> {
    session_with(bytes, Optimization::None)
}

fn session_with(bytes: &[u8], optimization: Optimization) -> Result<Session, String> {
    let locator = Locator::from_env(&|line| println!("{line}"));
    let runtime = Runtime::open(&locator, Device::Cpu).map_err(|e| e.to_string())?;
    let options = SessionOptions { device: Device::Cpu, threads: 1, optimization, ..SessionOptions::default() };
    Session::from_bytes(&runtime, "case", bytes, &options).map_err(|e| e.to_string())
}

fn evaluate(session: &mut Session, case: &Case, inputs: &[Tensor]) -> Result<ArrayD<f64>, String> {
    let fed: Vec<_> = inputs.iter().enumerate().map(|(i, tensor)| (format!("x{i}"), tensor.clone())).collect();
    let out = run(session, &fed, &["y".to_owned()]).map_err(|e| format!("{}: {e}", case.op))?;
    as_f64(&out[0])
}

fn feeds(inputs: &[Tensor], weights: Tensor) -> Vec<(String, Tensor)> {
    let inputs = inputs.iter().enumerate().map(|(i, tensor)| (format!("x{i}"), tensor.clone()));
    inputs.chain(std::iter::once(("w".to_owned(), weights))).collect()
}

/// A graph with derivatives: the nodes after the first `written` are what the rules added.
struct Derivative {
    builder: Builder,
    written: usize,
    grads: Vec<Value>,
}

impl Derivative {
    fn model(&self) -> Result<ModelProto, String> {
        let mut b = self.builder.clone();
        for (i, grad) in self.grads.iter().enumerate() {
            b.output(&format!("grad{i}"), *grad);
        }
        b.finish("derivative", &[]).map_err(text)
    }

    /// Runs the graph with every value as an output of which anything was inferred, which must hold. (Nothing is inferred of
    /// outputs that ONNX Runtime never makes, such as the statistics of `SkipLayerNormalization`.)
    fn run_all(&self, fed: &[(String, Tensor)], no_identities: bool) -> Result<Vec<ArrayD<f64>>, String> {
        let mut model = self.model()?;
        let graph = model.graph.get_or_insert_default();
        let declared: Vec<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
        let made: Vec<String> = graph.node.iter().flat_map(|node| node.output.iter().cloned()).collect();
        let known = self.named();
        let inferred = |name: &String| known.find(name).is_some_and(|value| known.shape(value).is_some());
        for name in made.iter().filter(|name| inferred(name) && !declared.contains(name)) {
            graph.output.push(ValueInfoProto { name: Some(name.clone()), ..Default::default() });
        }
        let mut session = session(&encode(&model))?;
        let names: Vec<String> = session.outputs().iter().map(|o| o.name.clone()).collect();
        let returned = run(&mut session, fed, &names)?;
        let mut symbols = HashMap::new();
        for (name, tensor) in names.iter().zip(&returned) {
            sound(&known, name, tensor, &mut symbols)?;
        }
        let found: HashMap<&str, &Tensor> = names.iter().map(String::as_str).zip(&returned).collect();
        if no_identities {
            self.changes_something(&found)?;
        }
        let grad = |i: usize| found.get(format!("grad{i}").as_str()).map(|tensor| as_f64(tensor));
        (0..self.grads.len()).map(|i| grad(i).ok_or("a derivative is missing")?).collect()
    }

    fn named(&self) -> Builder {
        let mut b = self.builder.clone();
        for (i, grad) in self.grads.iter().enumerate() {
            b.output(&format!("grad{i}"), *grad);
        }
        b
    }

    /// No node that a rule added hands its input on as it is.
    fn changes_something(&self, found: &HashMap<&str, &Tensor>) -> Result<(), String> {
        let named = self.named();
        for node in &self.builder.nodes()[self.written..] {
            let tensor = |value: Option<&Option<Value>>| found.get(named.name((*value?)?)).copied();
            let (Some(input), Some(output)) = (tensor(node.inputs.first()), tensor(node.outputs.first())) else {
                continue;
            };
            let moves_only = ["Transpose", "Reshape", "Expand", "Slice", "Cast", "Concat", "Sum", "Tile", "Pad"];
            let moves_only = moves_only.contains(&node.op.as_str()) || node.op.contains("queeze");
            let alone = node.inputs.len() == 1 || !matches!(node.op.as_str(), "Concat" | "Sum");
            let turned = node.op == "Transpose" && {
                let order = node.attributes.get_ints("perm").unwrap_or_default();
                order.iter().enumerate().any(|(new, old)| *old != new as i64)
            };
            if moves_only && alone && !turned && input == output {
                return Err(format!("{} changes nothing: {:?} stays {:?}", node.name, input.shape(), output.shape()));
            }
        }
        Ok(())
    }

    /// ONNX Runtime's rewrites keep the numbers.
    fn agrees_when_optimized(
        &self,
        fed: &[(String, Tensor)],
        expected: &[ArrayD<f64>],
        (relative, absolute): (f64, f64),
    ) -> Result<(), String> {
        let mut session = session_with(&encode(&self.model()?), Optimization::All)?;
        let names: Vec<String> = (0..self.grads.len()).map(|i| format!("grad{i}")).collect();
        for ((found, expected), name) in run(&mut session, fed, &names)?.iter().zip(expected).zip(&names) {
            let found = as_f64(found)?;
            let close = |(a, b): (&f64, &f64)| (a - b).abs() <= absolute + relative * b.abs() || a == b;
            if found.shape() != expected.shape() || !found.iter().zip(expected).all(close) {
                return Err(format!("{name} is {found} when optimised, not {expected}"));
            }
        }
        Ok(())
    }
}

fn run(session: &mut Session, fed: &[(String, Tensor)], outputs: &[String]) -> Result<Vec<Tensor>, String> {
    let declared: Vec<String> = session.inputs().iter().map(|i| i.name.clone()).collect();
    let fed: Vec<_> = fed.iter().filter(|(name, _)| declared.contains(name)).collect();
    let fed: Vec<_> = fed.iter().map(|(name, tensor)| (name.as_str(), tensor.into())).collect();
    let asked: Vec<&str> = outputs.iter().map(String::as_str).collect();
    session.run(&fed, &asked).map_err(|e| e.to_string())
}

/// What was inferred of a value holds for the tensor that it turned out to be.
pub fn sound(b: &Builder, name: &str, found: &Tensor, symbols: &mut HashMap<u32, usize>) -> Result<(), String> {
    let value = b.find(name).ok_or_else(|| format!("`{name}` is unknown"))?;
    let known = b.facts(value);
    let told =
        |what: String| Err(format!("`{name}`: inferred {what}, found {:?} {}", found.shape(), found.data_type()));
    if known.data_type.is_some_and(|t| t != found.data_type()) {
        return told(format!("{:?}", known.data_type));
    }
    let Some(shape) = &known.shape else { return Ok(()) };
    if shape.len() != found.shape().len() {
        return told(format!("{shape:?}"));
    }
    for (dim, n) in shape.iter().zip(found.shape()) {
        let holds = match dim {
            Dim::Known(known) => *known == *n as i64,
            Dim::Symbol(symbol) => *symbols.entry(*symbol).or_insert(*n) == *n,
        };
        if !holds {
            return told(format!("{shape:?}"));
        }
    }
    let content: Option<Vec<i64>> = found.as_i64().map(|a| a.iter().copied().collect());
    match (known.known_content(), content) {
        (Some(known), Some(content)) if known != content => told(format!("the numbers {known:?}, not {content:?}")),
        _ => Ok(()),
    }
}

/// Differences of fourth order: `(8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h`.
fn compare(
    case: &Case,
    session: &mut Session,
    inputs: &[Tensor],
    i: usize,
    weights: &ArrayD<f64>,
    grad: &ArrayD<f64>,
) -> Result<(), String> {
    let point = as_f64(&inputs[i])?;
    if grad.shape() != point.shape() {
        return Err(format!("the derivative by input {i} has shape {:?}, not {:?}", grad.shape(), point.shape()));
    }
    let h = case.step();
    let flat: Vec<f64> = point.iter().copied().collect();
    for (at, found) in grad.iter().enumerate() {
        let mut value = |offset: f64| -> Result<f64, String> {
            let mut moved = flat.clone();
            moved[at] += offset;
            let moved = ArrayD::from_shape_vec(point.shape().to_vec(), moved).map_err(|e| e.to_string())?;
            let mut inputs = inputs.to_vec();
            inputs[i] = of_type(&moved, case.data_type);
            Ok((evaluate(session, case, &inputs)? * weights).sum())
        };
        let (near, far) = (value(h)? - value(-h)?, value(2.0 * h)? - value(-2.0 * h)?);
        let expected = (8.0 * near - far) / (12.0 * h);
        let (relative, absolute) = case.tolerance;
        let close = (found - expected).abs() <= absolute + relative * expected.abs();
        if !close {
            return Err(format!("by element {at} of input {i}: {found}, differences give {expected}"));
        }
    }
    Ok(())
}

/// The derivative of a function of one number, in double precision.
pub fn slope_at(build: impl Fn(&mut Builder, Value) -> Value, at: f64) -> Result<f64, String> {
    // ReduceL2 and ReduceProd have no double kernel.
    let mut b = Builder::new();
    let x = b.input("x", DataType::F32, &[Dim::Known(1)]);
    let y = build(&mut b, x);
    let grads = b.differentiate(y, &[x]).map_err(text)?;
    Ok(run_scalars(b, &grads, &Tensor::from(ndarray::arr1(&[at as f32])))[0])
}

/// Runs a graph with the one input `x`; the results have one element each.
pub fn run_scalars(mut b: Builder, values: &[Value], x: &Tensor) -> Vec<f64> {
    let names: Vec<String> = (0..values.len()).map(|i| format!("out{i}")).collect();
    for (value, name) in values.iter().zip(&names) {
        b.output(name, *value);
    }
    let mut session = session(&encode(&b.finish("scalars", &[]).unwrap())).unwrap();
    let asked: Vec<&str> = names.iter().map(String::as_str).collect();
    let out = session.run(&[("x", x.into())], &asked).unwrap();
    out.iter().map(|tensor| as_f64(tensor).unwrap().sum()).collect()
}
