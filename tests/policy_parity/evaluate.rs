//! A policy's graphs, run as the program runs them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use ndarray::ArrayD;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::crystal::{Element, Site, SpaceGroup, Tokens};
use temper::policy::{
    GradientBatch, Hyperparameters, Likelihood, LogProbability, Loss, LossGradient, Parameters, Resources,
    parameter_specs,
};
use temper::runtime::{Device, Locator, Runtime};

pub fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Arc<Runtime>> =
        LazyLock::new(|| Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap());
    &RUNTIME
}

pub fn resources() -> Resources {
    Resources { device: Device::Cpu, threads: 1, memory: 1 << 30, ranks: temper::ranks::Ranks::one() }
}

pub fn logp(hyper: &Hyperparameters) -> Likelihood {
    Likelihood::load(runtime(), hyper, resources()).unwrap()
}

pub fn gradient_of<L: Loss>(hyper: &Hyperparameters) -> LossGradient<L> {
    LossGradient::load(runtime(), hyper, resources()).unwrap()
}

/// The gradient of a loss over some crystals, without dropout.
pub fn gradient<L: Loss>(
    graph: &LossGradient<L>,
    parameters: &Parameters,
    crystals: &[Tokens],
    loss: &L,
) -> GradientBatch {
    graph.gradient(parameters, &refs(crystals), loss).unwrap()
}

pub fn log_probabilities(graph: &Likelihood, parameters: &Parameters, crystals: &[Tokens]) -> Vec<LogProbability> {
    graph.log_probabilities(parameters, &refs(crystals)).unwrap()
}

pub fn totals(logp: &[LogProbability]) -> Vec<f64> {
    logp.iter().map(LogProbability::total).collect()
}

pub fn mean_weight(count: usize) -> Vec<f64> {
    vec![1.0 / count as f64; count]
}

pub fn refs(crystals: &[Tokens]) -> Vec<&Tokens> {
    crystals.iter().collect()
}

/// Relative distance |a - b| / |b| in the Euclidean norm.
pub fn distance(a: &ArrayD<f32>, b: &ArrayD<f32>) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>().sqrt();
    let apart = norm(&mut a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)));
    let size = norm(&mut b.iter().map(|b| f64::from(*b)));
    if apart == 0.0 { 0.0 } else { apart / size }
}

/// A small policy with `n_max` slots.
pub fn small(n_max: usize) -> Hyperparameters {
    Hyperparameters {
        Nf: 2,
        Kx: 3,
        Kl: 2,
        n_max,
        h0_size: 6,
        num_layers: 2,
        // More than are worked on together.
        num_heads: 6,
        key_size: 4,
        model_size: 8,
        embed_size: 4,
        ..Hyperparameters::paper()
    }
}

/// Parameters large enough that every distribution is far from uniform, and no tensor is without effect.
pub fn random_parameters(hyper: &Hyperparameters, seed: u64) -> Parameters {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut tensors = BTreeMap::new();
    for spec in parameter_specs(hyper) {
        let centre = if spec.name.ends_with("/scale") { 1.0 } else { 0.0 };
        let draw = || centre + random.random_range(-0.5_f32..0.5);
        tensors.insert(spec.name, ArrayD::from_shape_simple_fn(spec.shape, draw));
    }
    Parameters::assemble(tensors, hyper, "random".as_ref()).unwrap()
}

/// A crystal from its group and its sites as (Wyckoff index, atomic number, coordinates).
pub fn crystal(group: i64, sites: &[(u8, u8, [f64; 3])]) -> Tokens {
    let site = |(wyckoff, number, coord): &(u8, u8, [f64; 3])| Site {
        wyckoff: *wyckoff,
        species: Element::from_number(*number).unwrap(),
        coord: *coord,
    };
    let group = SpaceGroup::new(group).unwrap();
    Tokens { group, lattice: [2.1, 2.4, 3.0, 1.4, 1.6, 1.8], sites: sites.iter().map(site).collect() }
}

/// Crystals of one to four sites in five groups.
pub fn some_crystals() -> Vec<Tokens> {
    vec![
        crystal(225, &[(1, 11, [0.0; 3]), (2, 17, [0.5; 3])]),
        crystal(1, &[(1, 3, [0.1, 0.2, 0.3]), (1, 8, [0.7, 0.55, 0.9]), (1, 8, [0.31, 0.77, 0.05])]),
        crystal(221, &[(5, 26, [0.27, 0.0, 0.0])]),
        crystal(
            62,
            &[(3, 22, [0.12, 0.25, 0.6]), (3, 8, [0.4, 0.25, 0.8]), (4, 8, [0.1, 0.02, 0.3]), (4, 1, [0.3, 0.9, 0.7])],
        ),
        crystal(12, &[(1, 14, [0.0; 3]), (9, 92, [0.21, 0.0, 0.43])]),
    ]
}
