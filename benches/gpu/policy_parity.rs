//! Log-probabilities and gradients of the policy.

use std::path::Path;

use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};
use temper::crystal::{Tokens, read_tokens};
use temper::policy::{
    GradientBatch, Hyperparameters, Likelihood, LogProbability, Loss, LossGradient, Parameters, Resources,
};
use temper::runtime::Device;
use temper::train::{NegativeLogLikelihood, PpoSurrogate};

use super::crystals::{arbitrary, host, resources, runtime, shared};
use super::measure::Effort;

const MEMORY: u64 = 2 << 30;
/// nats, where the reference's own float32 deviates less than half of it (tests/policy_parity).
const SMALLEST_TOLERANCE: f64 = 2e-5;
/// nats, of CUDA against the CPU at the paper's size: twice the deviation of the reference's own float32 there.
const PAPER_TOLERANCE: f64 = 4.6e-5;
/// Relative L2 distance of a gradient tensor.
const GRADIENT_TOLERANCE: f64 = 1e-4;

type Part = (&'static str, fn(&LogProbability) -> f64);
const PARTS: [Part; 4] = [("logp_w", |p| p.w), ("logp_xyz", |p| p.xyz), ("logp_a", |p| p.a), ("logp_l", |p| p.l)];

/// The tiny configuration against the JAX reference in float64.
pub fn reference(_: Effort) -> Value {
    let own = host().join("../tests/golden/crystalformer-tiny");
    let folder = shared().map(|folder| folder.join("golden/crystalformer/tiny")).filter(|f| f.is_dir()).unwrap_or(own);
    let read = |name: &str| std::fs::read(folder.join(name)).expect("a golden file");
    let meta: Value = serde_json::from_slice(&read("meta.json")).expect("JSON");
    let deviation: Value = serde_json::from_slice(&read("f32_deviation.json")).expect("JSON");
    let hyper: Hyperparameters = serde_json::from_value(meta["config"].clone()).expect("hyper-parameters");
    let parameters = Parameters::load(&folder.join("params.safetensors"), &hyper).expect("parameters");
    let records = read_tokens(&folder.join("batch.safetensors")).expect("crystals");
    let crystals: Vec<Tokens> = records.into_iter().map(|record| record.tokens.expect("a crystal")).collect();
    let refs: Vec<&Tokens> = crystals.iter().collect();

    let found = likelihood(&hyper, resources(MEMORY)).log_probabilities(&parameters, &refs).expect("log-probabilities");
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        let expected = float64(&folder.join("outputs.safetensors"), name);
        let apart = found.iter().zip(&expected).map(|(found, expected)| (part(found) - expected).abs());
        let own = deviation[format!("{name}_maxabs")].as_f64().expect("a deviation");
        rows.push(row(name, apart.fold(0.0, f64::max), SMALLEST_TOLERANCE.max(2.0 * own)));
    }
    if folder.join("grad_nll.safetensors").is_file() {
        let expected = |name: &str| Parameters::load(&folder.join(name), &hyper).expect("a gradient");
        let nll = gradient(&hyper, resources(MEMORY), &parameters, &refs, &NegativeLogLikelihood::mean(refs.len()));
        rows.push(row("gradient of nll", worst(&nll.gradient, &expected("grad_nll.safetensors")), GRADIENT_TOLERANCE));
        let ppo = gradient(&hyper, resources(MEMORY), &parameters, &refs, &golden_ppo(&folder, refs.len()));
        rows.push(row("gradient of PPO", worst(&ppo.gradient, &expected("grad_ppo.safetensors")), GRADIENT_TOLERANCE));
    }
    summary(rows)
}

/// The paper's size, untrained, on the device against the CPU.
pub fn cpu(effort: Effort) -> Value {
    let hyper = Hyperparameters::paper();
    let parameters = Parameters::initialise(&hyper, 1);
    let crystals = arbitrary(effort.items(64));
    let refs: Vec<&Tokens> = crystals.iter().collect();
    // More threads would take longer to load their sessions than they save.
    let on_cpu = Resources { device: Device::Cpu, threads: 1, memory: 4 << 30, ranks: temper::ranks::Ranks::one() };
    let logp = |resources| likelihood(&hyper, resources).log_probabilities(&parameters, &refs).expect("log p");
    let (found, expected) = (logp(resources(MEMORY)), logp(on_cpu));
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        let apart = found.iter().zip(&expected).map(|(found, expected)| (part(found) - part(expected)).abs());
        rows.push(row(name, apart.fold(0.0, f64::max), PAPER_TOLERANCE));
    }
    let nll = NegativeLogLikelihood::mean(refs.len());
    let ppo = ppo(&expected);
    let at = |resources| gradient(&hyper, resources, &parameters, &refs, &nll).gradient;
    rows.push(row("gradient of nll", worst_of(&at(resources(MEMORY)), &at(on_cpu)), GRADIENT_TOLERANCE));
    let at = |resources| gradient(&hyper, resources, &parameters, &refs, &ppo).gradient;
    rows.push(row("gradient of PPO", worst_of(&at(resources(MEMORY)), &at(on_cpu)), GRADIENT_TOLERANCE));
    summary(rows)
}

/// The reference's objective of its batch.
fn golden_ppo(folder: &Path, crystals: usize) -> PpoSurrogate {
    let [old_logp, base_logp, advantage] =
        ["old_logp", "pretrain_logp", "advantages"].map(|name| float64(&folder.join("batch.safetensors"), name));
    PpoSurrogate {
        row_weight: vec![1.0 / crystals as f64; crystals],
        old_logp,
        base_logp,
        advantage,
        clip: 0.2,
        beta: 0.1,
    }
}

/// An objective at a policy a little off the one that drew the crystals, with advantages of both signs.
fn ppo(logp: &[LogProbability]) -> PpoSurrogate {
    let old: Vec<f64> = logp.iter().enumerate().map(|(row, p)| p.total() + 0.1 * ((row % 5) as f64 - 2.0)).collect();
    PpoSurrogate {
        row_weight: vec![1.0 / old.len() as f64; old.len()],
        advantage: (0..old.len()).map(|row| if row % 2 == 0 { 1.0 } else { -0.5 }).collect(),
        base_logp: old.clone(),
        old_logp: old,
        clip: 0.2,
        beta: 0.1,
    }
}

fn likelihood(hyper: &Hyperparameters, resources: Resources) -> Likelihood {
    Likelihood::load(&runtime(), hyper, resources).expect("a session")
}

fn gradient<L: Loss>(
    hyper: &Hyperparameters,
    resources: Resources,
    parameters: &Parameters,
    crystals: &[&Tokens],
    loss: &L,
) -> GradientBatch {
    let graph = LossGradient::load(&runtime(), hyper, resources).expect("a session");
    graph.gradient(parameters, crystals, loss).expect("a gradient")
}

fn worst(found: &[ArrayD<f32>], expected: &Parameters) -> f64 {
    let expected: Vec<ArrayD<f32>> = expected.iter().map(|(_, p)| p.clone()).collect();
    worst_of(found, &expected)
}

/// Largest relative L2 distance of a tensor.
fn worst_of(found: &[ArrayD<f32>], expected: &[ArrayD<f32>]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let relative = |(found, expected): (&ArrayD<f32>, &ArrayD<f32>)| {
        let apart = norm(&mut found.iter().zip(expected).map(|(a, b)| f64::from(*a) - f64::from(*b)));
        if apart == 0.0 { 0.0 } else { apart / norm(&mut expected.iter().map(|x| f64::from(*x))) }
    };
    // Not `f64::max`, which would overlook a NaN.
    found.iter().zip(expected).map(relative).fold(0.0, |a, b| if b > a || b.is_nan() { b } else { a })
}

fn row(name: &str, worst: f64, tolerance: f64) -> Value {
    json!({ "name": name, "ok": worst <= tolerance, "worst": worst, "tolerance": tolerance })
}

fn summary(rows: Vec<Value>) -> Value {
    json!({ "ok": rows.iter().all(|row| row["ok"] == true), "rows": rows })
}

/// A tensor stored as float64 or float32.
fn float64(path: &Path, name: &str) -> Vec<f64> {
    let bytes = std::fs::read(path).expect("a golden file");
    let archive = SafeTensors::deserialize(&bytes).expect("safetensors");
    let view = archive.tensor(name).expect("a tensor");
    let data = view.data();
    match view.dtype() {
        Dtype::F64 => data.as_chunks().0.iter().map(|word| f64::from_le_bytes(*word)).collect(),
        Dtype::F32 => data.as_chunks().0.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect(),
        other => panic!("{name} holds {other:?}"),
    }
}
