//! The policy's graphs in float64 against the JAX reference's float64 values. What is left is one approximation: the Bessel function
//! of the coordinates' densities.

use ndarray::{Array1, Array2, ArrayD, Zip, arr0};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use temper::crystal::{Tokens, wyckoff_position};
use temper::graph::Tensor;
use temper::policy::{DropoutMasks, Features, Loss, ParameterSpec, logp_graph, loss_gradient_graph, parameter_specs};
use temper::train::{DirectPreference, NegativeLogLikelihood, PairLogRatios};

use crate::evaluate::{random_parameters, small};
use crate::float64::{Float64, Tensors};
use crate::reference::{Golden, LEARNING_RATE, PARTS};

/// Of log p, nats. The sums of a network of 16 layers differ by 1e-13.
const ROUNDING: f64 = 1e-11;
/// Relative error of the Bessel function that the graphs use for coordinates: 1.9e-7 of what tends to 0.399 (Abramowitz and Stegun).
const BESSEL: f64 = 4.8e-7;
/// Relative L2 distance of a gradient tensor. The Bessel function makes 5e-9 for the NLL and, through the ratios of PPO, 2e-7.
const NLL_GRADIENT: f64 = 1e-8;
const PPO_GRADIENT: f64 = 5e-7;
/// Learning rates, of any one parameter after three steps. The same, 2e-6 and 1.2e-4: see rounding.rs.
const NLL_STEPS: f64 = 5e-6;
/// Relative, of a slope: the Bessel function's and that of the differences.
const PREFERENCE_SLOPE: f64 = 1e-6;
const PPO_STEPS: f64 = 2e-4;

#[test]
fn made_up_log_probabilities() {
    check_log_probabilities(&Golden::made_up());
}

#[test]
fn tiny_log_probabilities() {
    Golden::find("tiny").inspect(check_log_probabilities);
}

#[test]
fn paper_log_probabilities() {
    Golden::find("paper").inspect(check_log_probabilities);
}

#[test]
fn nll_gradient() {
    Golden::find("tiny")
        .inspect(|golden| check_gradient(golden, nll(golden), "grad_nll_f64.safetensors", NLL_GRADIENT));
}

#[test]
fn ppo_gradient() {
    Golden::find("tiny")
        .inspect(|golden| check_gradient(golden, ppo(golden), "grad_ppo_f64.safetensors", PPO_GRADIENT));
}

#[test]
fn three_optimiser_steps_on_nll() {
    Golden::find("tiny")
        .inspect(|golden| check_steps(golden, nll(golden), "params_adam3_nll_f64.safetensors", NLL_STEPS));
}

#[test]
fn three_optimiser_steps_on_ppo() {
    Golden::find("tiny")
        .inspect(|golden| check_steps(golden, ppo(golden), "params_adam3_ppo_f64.safetensors", PPO_STEPS));
}

/// The gradient of preferences as training takes it, from a policy that has moved away from the base, against differences of the loss
/// as the paper writes it (Rafailov et al. 2023, eq. 7): in every tensor, along the gradient and a random direction at once.
#[test]
fn the_gradient_of_preferences() {
    const BETA: f64 = 0.3;
    let golden = Golden::made_up();
    let hyper = &golden.hyper;
    // The lattice of a crystal that fills all slots is left out of gradients: see network/distributions.rs.
    let crystals: Vec<&Tokens> = golden.crystals.iter().filter(|c| c.sites.len() < hyper.n_max).collect();
    let crystals = &crystals[..crystals.len() / 2 * 2];
    let features = Features::new(crystals, hyper).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(17);
    let base = tensors(&golden, "params.safetensors");
    let away = |(name, p): &(String, ArrayD<f64>)| (name.clone(), p.mapv(|x| x + random.random_range(-0.05..0.05)));
    let policy: Tensors = base.iter().map(away).collect();
    let mut logp = Float64::load(&logp_graph(hyper).unwrap(), hyper, None);
    let mut totals = |parameters: &Tensors| {
        let parts = logp.run(parameters, &features, &[], &PARTS);
        (0..crystals.len()).map(|row| parts.iter().map(|part| part[row]).sum()).collect::<Vec<f64>>()
    };
    let base_logp = totals(&base);
    let mut ratios = |parameters: &Tensors| {
        let all: Vec<f64> = totals(parameters).iter().zip(&base_logp).map(|(now, base)| now - base).collect();
        let pairs = all.as_chunks::<2>().0.iter();
        pairs.map(|[chosen, rejected]| PairLogRatios { chosen: *chosen, rejected: *rejected }).collect::<Vec<_>>()
    };
    let likelihood = DirectPreference { beta: BETA }.as_likelihood(&ratios(&policy));
    let mut extra = vec![("row_weight", Array1::from(likelihood.row_weight).into())];
    extra.extend(DropoutMasks::none(hyper).into_inputs());
    let names: Vec<String> = policy.iter().map(|(name, _)| format!("grad/{name}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let graph = loss_gradient_graph::<NegativeLogLikelihood>(hyper).unwrap();
    let gradient = Float64::load(&graph, hyper, None).run(&policy, &features, &extra, &names);
    let mut loss = |parameters: &Tensors| {
        let pairs = ratios(parameters);
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        pairs.iter().map(|p| -sigmoid(BETA * p.chosen - BETA * p.rejected).ln()).sum::<f64>() / pairs.len() as f64
    };
    let mut worst = 0.0_f64;
    for (i, gradient) in gradient.iter().enumerate() {
        let unit = |tensor: &ArrayD<f64>| tensor / norm([tensor]).max(f64::MIN_POSITIVE);
        let aside = ArrayD::from_shape_simple_fn(gradient.raw_dim(), || random.random_range(-1.0..1.0));
        let direction = unit(gradient) + unit(&aside);
        let mut slope = |step: f64| {
            let mut at = |step: f64| {
                let mut moved = policy.clone();
                moved[i].1 = &moved[i].1 + &direction * step;
                loss(&moved)
            };
            (at(step) - at(-step)) / (2.0 * step)
        };
        // Two central differences, extrapolated to a step of zero.
        let difference = (4.0 * slope(1e-4) - slope(2e-4)) / 3.0;
        let expected = (gradient * &direction).sum();
        let apart = (difference - expected).abs() / (1e-3 + expected.abs());
        worst = worst.max(apart);
        assert!(apart < PREFERENCE_SLOPE, "{}: {difference} but {expected}", policy[i].0);
    }
    println!("slopes of preferences: {worst:.1e}");
}

/// The program's own optimiser is the one that meets the reference above. Gradients of one entry that differ by orders of magnitude
/// from step to step tell the decay rates, which three steps of a real gradient hardly show.
#[test]
fn the_optimiser_of_the_program() {
    let mut random = ChaCha8Rng::seed_from_u64(31);
    let mut found = random_parameters(&small(2), 30);
    found.iter_mut().for_each(|(_, mut tensor)| tensor.fill(0.0));
    let mut expected: Tensors = found.iter().map(|(name, p)| (name.to_owned(), p.mapv(f64::from))).collect();
    let (mut own, mut exact) = (temper::train::Adam::new(&found), Adam::new(&expected));
    for _ in 0..5 {
        let mut draw = || random.random_range(-1.0_f32..1.0) * 10_f32.powf(random.random_range(-2.0..2.0));
        let gradient: Vec<_> =
            found.iter().map(|(_, p)| ArrayD::from_shape_simple_fn(p.raw_dim(), &mut draw)).collect();
        own.descend(&mut found, &gradient, LEARNING_RATE, 1.0);
        exact.descend(&mut expected, &gradient.iter().map(|g| g.mapv(f64::from)).collect::<Vec<_>>());
    }
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        for (found, expected) in found.iter().zip(expected) {
            let apart = (f64::from(*found) - expected).abs() / LEARNING_RATE;
            assert!(apart <= 1e-5, "{name}: {apart:e} learning rates apart");
        }
    }
}

/// Each crystal alone, so without pads. The reference has values for exact tables of the rotation.
fn check_log_probabilities(golden: &Golden) {
    let mut graph = Float64::load(&logp_graph(&golden.hyper).unwrap(), &golden.hyper, None);
    let parameters = tensors(golden, "params.safetensors");
    let expected = PARTS.map(|part| golden.float64("outputs_rope64.safetensors", part));
    let mut worst = [0.0_f64; 4];
    for (row, crystal) in golden.crystals.iter().enumerate() {
        let features = Features::new(&[crystal], &golden.hyper).unwrap();
        let found = graph.run(&parameters, &features, &[], &PARTS);
        let positions = crystal.sites.iter().filter_map(|site| wyckoff_position(crystal.group, site.wyckoff));
        let free = positions.flat_map(|position| position.fc_mask).filter(|free| *free).count();
        for (part, name) in PARTS.into_iter().enumerate() {
            let tolerance = ROUNDING + if name == "logp_xyz" { BESSEL * free as f64 } else { 0.0 };
            let apart = (found[part][0] - expected[part][row]).abs();
            worst[part] = worst[part].max(apart);
            assert!(apart <= tolerance, "crystal {row}: {name} is off by {apart:e}, more than {tolerance:e}");
        }
    }
    let [w, xyz, a, l] = worst;
    println!("{}: letters {w:.1e}, coordinates {xyz:.1e}, elements {a:.1e}, lattice {l:.1e}", golden.name());
}

fn check_gradient(golden: &Golden, mut gradient: Gradient, file: &str, tolerance: f64) {
    let found = sum(&gradient.parts(&tensors(golden, "params.safetensors")));
    let expected = tensors(golden, file);
    let mut worst = (0.0, "");
    for (found, (name, expected)) in found.iter().zip(&expected) {
        // The reference holds the gradient of the objective as it is, to be climbed.
        let apart = norm([&(found * gradient.sign - expected)]) / norm([expected]);
        worst = if apart > worst.0 { (apart, name) } else { worst };
    }
    println!("{file}: {:.1e} in {}", worst.0, worst.1);
    assert!(worst.0 <= tolerance, "{}: relative distance {:e}", worst.1, worst.0);
}

fn check_steps(golden: &Golden, mut gradient: Gradient, file: &str, tolerance: f64) {
    let mut found = tensors(golden, "params.safetensors");
    let mut adam = Adam::new(&found);
    for _ in 0..3 {
        let slope = sum(&gradient.parts(&found));
        adam.descend(&mut found, &slope);
    }
    let expected = tensors(golden, file);
    let mut worst = (0.0, "");
    for ((name, found), (_, expected)) in found.iter().zip(&expected) {
        let apart = found.iter().zip(expected).map(|(found, expected)| (found - expected).abs());
        let apart = apart.fold(0.0, f64::max) / LEARNING_RATE;
        worst = if apart > worst.0 { (apart, name) } else { worst };
    }
    println!("{file}: {:.1e} learning rates in {}", worst.0, worst.1);
    assert!(worst.0 <= tolerance, "{}: {:e} learning rates apart", worst.1, worst.0);
}

/// Adam after clipping to norm 1 (spec section 9), in float64.
pub struct Adam {
    first: Vec<ArrayD<f64>>,
    second: Vec<ArrayD<f64>>,
    count: i32,
}

impl Adam {
    pub fn new(parameters: &Tensors) -> Self {
        let zeros: Vec<_> = parameters.iter().map(|(_, p)| ArrayD::zeros(p.raw_dim())).collect();
        Self { first: zeros.clone(), second: zeros, count: 0 }
    }

    pub fn descend(&mut self, parameters: &mut Tensors, gradient: &[ArrayD<f64>]) {
        let norm = norm(gradient);
        self.count += 1;
        let (correct1, correct2) = (1.0 - 0.9_f64.powi(self.count), 1.0 - 0.999_f64.powi(self.count));
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (((_, p), g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
            Zip::from(p).and(g).and(m).and(v).for_each(|p, g, m, v| {
                let g = g / norm.max(1.0);
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                *p -= LEARNING_RATE * (*m / correct1) / ((*v / correct2).sqrt() + 1e-8);
            });
        }
    }
}

/// Euclidean norm over all tensors.
pub fn norm<'a>(tensors: impl IntoIterator<Item = &'a ArrayD<f64>>) -> f64 {
    tensors.into_iter().flatten().map(|x| x * x).sum::<f64>().sqrt()
}

/// The gradient of a batch from those of its crystals.
pub fn sum(parts: &[Vec<ArrayD<f64>>]) -> Vec<ArrayD<f64>> {
    let mut sum = parts[0].clone();
    parts[1..].iter().for_each(|part| sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += part));
    sum
}

/// A gradient graph, with what it wants beside parameters and crystals.
pub struct Gradient<'a> {
    graph: Float64,
    golden: &'a Golden,
    rows: Vec<(&'static str, Vec<f64>)>,
    whole: Vec<(&'static str, Tensor)>,
    /// 1 for the gradient of a loss, -1 for that of an objective.
    sign: f64,
}

fn nll(golden: &Golden) -> Gradient<'_> {
    let mut gradient = Gradient::new(golden, &NegativeLogLikelihood::mean(golden.crystals.len()), 1.0);
    gradient.whole.extend(DropoutMasks::none(&golden.hyper).into_inputs());
    gradient
}

pub fn ppo(golden: &Golden) -> Gradient<'_> {
    Gradient::new(golden, &golden.ppo(), -1.0)
}

impl<'a> Gradient<'a> {
    fn new<L: Loss>(golden: &'a Golden, loss: &L, sign: f64) -> Self {
        let graph = loss_gradient_graph::<L>(&golden.hyper).unwrap();
        let graph = Float64::load(&graph, &golden.hyper, Some(rotation_tables(golden)));
        let rows = loss.row_inputs().into_iter().map(|(name, values)| (name, values.to_vec())).collect();
        let whole = loss.scalar_inputs().into_iter().map(|(name, value)| (name, arr0(value).into())).collect();
        Self { graph, golden, rows, whole, sign }
    }

    /// The downhill gradient of each crystal alone.
    pub fn parts(&mut self, parameters: &Tensors) -> Vec<Vec<ArrayD<f64>>> {
        let names: Vec<String> = parameters.iter().map(|(name, _)| format!("grad/{name}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let part = |(row, crystal): (usize, &Tokens)| {
            let features = Features::new(&[crystal], &self.golden.hyper).unwrap();
            let mut extra = self.whole.clone();
            extra.extend(self.rows.iter().map(|(name, rows)| (*name, Array1::from_elem(1, rows[row]).into())));
            let part = self.graph.run(parameters, &features, &extra, &names);
            part.into_iter().map(|g| g * self.sign).collect()
        };
        self.golden.crystals.iter().enumerate().map(part).collect()
    }
}

/// Cosines and sines as the reference's gradients have them: computed in float32. Crystals that fill all slots have one token more
/// than the tables, which predicts nothing.
fn rotation_tables(golden: &Golden) -> [Array2<f64>; 2] {
    let (rows, key) = (5 * golden.hyper.n_max, golden.hyper.key_size);
    ["cos_ref_f32", "sin_ref_f32"].map(|name| {
        // Both halves of a row are the same.
        let stored = golden.float64("rope.safetensors", name);
        Array2::from_shape_fn((rows + 1, key / 2), |(row, i)| stored[row.min(rows - 1) * key + i])
    })
}

pub fn tensors(golden: &Golden, file: &str) -> Tensors {
    let tensor = |spec: ParameterSpec| {
        let numbers = golden.float64(file, &spec.name);
        (spec.name, ArrayD::from_shape_vec(spec.shape, numbers).unwrap())
    };
    parameter_specs(&golden.hyper).into_iter().map(tensor).collect()
}
