//! What is loaded for CUDA computes what the processor's graph does: both run here, on the processor.
//!
//! Rewrites of one operator are compared with float64 or whole numbers, everything that ships with itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot run has failed, and says so"
)]

#[path = "cuda_graphs/bodies.rs"]
mod bodies;
#[path = "cuda_graphs/functions.rs"]
mod functions;
#[path = "cuda_graphs/models.rs"]
mod models;
#[path = "cuda_graphs/operators.rs"]
mod operators;
#[path = "cuda_graphs/scatters.rs"]
mod scatters;
mod support;

use std::sync::Arc;

use temper::graph::onnx::ModelProto;
use temper::graph::{Builder, ForCuda, Tensor, Value, encode, for_cuda};
use temper::runtime::{Device, Locator, Runtime, Session, SessionOptions};

/// The process's ONNX Runtime.
pub fn runtime() -> Arc<Runtime> {
    Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap()
}

/// One thread of the processor.
pub fn cpu() -> SessionOptions {
    SessionOptions { device: Device::Cpu, threads: 1, ..SessionOptions::default() }
}

/// A graph of the given inputs, axes unknown until it runs, whose output `y` is what `build` makes.
pub fn graph(inputs: &[Tensor], build: impl FnOnce(&mut Builder, &[Value]) -> Value) -> ModelProto {
    let mut b = Builder::new();
    let mut values = Vec::new();
    for (i, tensor) in inputs.iter().enumerate() {
        let dims: Vec<_> = (0..tensor.shape().len()).map(|axis| b.symbol(&format!("n{i}_{axis}"))).collect();
        values.push(b.input(&format!("x{i}"), tensor.data_type(), &dims));
    }
    let y = build(&mut b, &values);
    b.output("y", y);
    b.finish("case", &[]).unwrap()
}

/// `y`, or why the graph does not run.
pub fn run(model: &ModelProto, inputs: &[Tensor]) -> Result<Tensor, String> {
    let mut session = Session::from_bytes(&runtime(), "case", &encode(model), &cpu()).map_err(|e| e.to_string())?;
    let names: Vec<String> = (0..inputs.len()).map(|i| format!("x{i}")).collect();
    let fed: Vec<_> = names.iter().zip(inputs).map(|(name, tensor)| (name.as_str(), tensor.into())).collect();
    let mut outputs = session.run(&fed, &["y"]).map_err(|e| e.to_string())?;
    Ok(outputs.remove(0))
}

/// The graph for CUDA, which must be another one, without obstacles, and final.
pub fn rewritten(model: &ModelProto) -> ModelProto {
    let ForCuda { rewritten, obstacles, .. } = for_cuda(model).unwrap();
    assert!(obstacles.is_empty(), "{obstacles:?}");
    let rewritten = rewritten.unwrap();
    assert_eq!(for_cuda(&rewritten).unwrap().rewritten, None);
    let ports = |model: &ModelProto| {
        let graph = model.graph.clone().unwrap();
        (graph.input, graph.output)
    };
    assert_eq!(ports(model), ports(&rewritten));
    rewritten
}

/// The operator's own result and that of what stands for it.
pub fn both(inputs: &[Tensor], build: impl FnOnce(&mut Builder, &[Value]) -> Value) -> [Tensor; 2] {
    let model = graph(inputs, build);
    [run(&model, inputs).unwrap(), run(&rewritten(&model), inputs).unwrap()]
}
