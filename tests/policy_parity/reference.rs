//! Values of the JAX reference (float64), where they are at hand: a tiny configuration, and the paper's.

use std::path::{Path, PathBuf};

use ndarray::ArrayD;
use safetensors::{Dtype, SafeTensors};
use temper::crystal::{Tokens, read_tokens};
use temper::policy::{
    GradientBatch, Hyperparameters, LogProbability, LossGradient, Parameters, SpaceGroupDistribution,
};
use temper::train::{
    Adam, AdvantageScale, Baseline, EntropyBonus, FinetuneSettings, FinetuneState, Finetuning, KlGradient,
    NegativeLogLikelihood, PpoSurrogate, StageTimes, UpdateStatistics,
};

use crate::evaluate::{
    distance, gradient, gradient_of, log_probabilities, logp, mean_weight, refs, resources, runtime,
};
use crate::rounding;

pub const PARTS: [&str; 4] = ["logp_w", "logp_xyz", "logp_a", "logp_l"];
/// Allowed where the reference's own float32 deviates less than half of it.
const SMALLEST_TOLERANCE: f64 = 2e-5;
/// Relative L2 distance of a gradient tensor.
const GRADIENT_TOLERANCE: f64 = 1e-4;
pub const LEARNING_RATE: f64 = 1e-4;
pub const CLIP: f64 = 0.2;
pub const BETA: f64 = 0.1;
/// Distance of any one parameter after three steps, in learning rates; a step is about one of them. One rounding of a parameter
/// near 1 is 1.2e-3.
const STEP_TOLERANCE: f64 = 2.5e-3;

#[test]
fn made_up_log_probabilities() {
    check_log_probabilities(&Golden::made_up());
}

#[test]
fn tiny_log_probabilities() {
    Golden::find("tiny").inspect(check_log_probabilities);
}

#[test]
fn tiny_nll_gradient() {
    Golden::find("tiny").inspect(check_nll_gradient);
}

#[test]
fn tiny_ppo_gradient() {
    Golden::find("tiny").inspect(check_ppo_gradient);
}

#[test]
fn paper_log_probabilities() {
    Golden::find("paper").inspect(check_log_probabilities);
}

#[test]
fn paper_nll_gradient() {
    Golden::find("paper").inspect(check_nll_gradient);
}

#[test]
fn paper_ppo_gradient() {
    Golden::find("paper").inspect(check_ppo_gradient);
}

#[test]
fn three_optimiser_steps_on_nll() {
    let Some(golden) = Golden::find("tiny") else { return };
    let graph = gradient_of(&golden.hyper);
    let loss = NegativeLogLikelihood::mean(golden.crystals.len());
    let mut parameters = golden.parameters.clone();
    let mut adam = Adam::new(&parameters);
    for _ in 0..3 {
        let batch = gradient(&graph, &parameters, &golden.crystals, &loss);
        adam.descend(&mut parameters, &batch.gradient, LEARNING_RATE, 1.0);
    }
    let tolerance: Vec<_> =
        golden.parameters.iter().map(|(_, p)| ArrayD::from_elem(p.raw_dim(), STEP_TOLERANCE)).collect();
    golden.compare_steps(&parameters, "params_adam3_nll_f64.safetensors", &tolerance);
}

/// As fine-tuning takes them. The roundings of parameters and gradients are independent. One entry in 14,565, in which the crystals'
/// parts of the gradient nearly cancel, may be off by more than 5e-3; in float64 (exact.rs) none may.
#[test]
fn three_optimiser_steps_on_ppo() {
    let Some(golden) = Golden::find("tiny") else { return };
    let mut state = FinetuneState::new(golden.parameters.clone());
    let update = update(&golden, 3, &mut state);
    let gradients = rounding::of_three_ppo_steps(&golden);
    let tolerance: Vec<_> = gradients.iter().map(|rounding| rounding.mapv(|r| r.hypot(STEP_TOLERANCE))).collect();
    assert!(tolerance.iter().flatten().filter(|tolerance| **tolerance > 5e-3).count() <= 1);
    golden.compare_steps(&state.parameters, "params_adam3_ppo_f64.safetensors", &tolerance);
    assert_eq!((update.grad_norms.len(), update.skipped), (3, 0));
    let norm = golden.meta("grad_ppo_norm").as_f64().unwrap();
    assert!((update.grad_norms[0] - norm).abs() <= GRADIENT_TOLERANCE * norm, "{} is not {norm}", update.grad_norms[0]);
}

/// The ratios that the reference's batch was made for.
#[test]
fn the_clip_fraction_of_the_references_batch() {
    let Some(golden) = Golden::find("tiny") else { return };
    let found = update(&golden, 1, &mut FinetuneState::new(golden.parameters.clone())).clip_fraction;
    let ratios: Vec<f64> = serde_json::from_value(golden.meta("ratios_target")).unwrap();
    let outside = ratios.iter().filter(|ratio| !(0.8..=1.2).contains(*ratio)).count();
    assert_eq!(found, outside as f64 / ratios.len() as f64);
}

/// Optimiser steps of a fine-tuning on the reference's batch.
fn update(golden: &Golden, epochs: usize, state: &mut FinetuneState) -> UpdateStatistics {
    let settings = FinetuneSettings {
        steps: 1,
        batch: golden.crystals.len(),
        epochs,
        clip: CLIP,
        learning_rate: LEARNING_RATE,
        grad_clip: 1.0,
        kl_weight: BETA,
        kl_target: None,
        composition_prior: None,
        schedule: temper::train::Schedule::Constant,
        kl_gradient: KlGradient::Reference,
        kl_stop: None,
        replay: None,
        entropy_bonus: EntropyBonus::default(),
        baseline: Baseline::Moving,
        baseline_decay: 0.95,
        advantage_scale: AdvantageScale::None,
        max_failed: 0.0,
        max_idle_steps: 1,
        groups: SpaceGroupDistribution::uniform(),
        restriction: None,
        seed: 0,
        resources: resources(),
    };
    let finetuning = Finetuning::new(runtime(), &golden.hyper, golden.parameters.clone(), &settings).unwrap();
    let (crystals, mut times) = (refs(&golden.crystals), StageTimes::default());
    finetuning.update(&crystals, &golden.ppo(), crystals.len(), &settings, state, &mut times).unwrap()
}

fn check_log_probabilities(golden: &Golden) {
    let found = log_probabilities(&logp(&golden.hyper), &golden.parameters, &golden.crystals);
    let parts: [fn(&LogProbability) -> f64; 4] = [|p| p.w, |p| p.xyz, |p| p.a, |p| p.l];
    for (name, part) in PARTS.into_iter().zip(parts) {
        let tolerance = SMALLEST_TOLERANCE.max(2.0 * golden.deviation(&format!("{name}_maxabs")));
        let expected = golden.float64("outputs.safetensors", name);
        assert_eq!(expected.len(), found.len());
        let apart = found.iter().zip(&expected).map(|(found, expected)| (part(found) - expected).abs());
        let worst = apart.fold(0.0, f64::max);
        println!("{} {name}: {worst:.1e} of {tolerance:.1e}", golden.name());
        assert!(worst <= tolerance, "{name}: {worst:e} is more than {tolerance:e}");
    }
}

fn check_nll_gradient(golden: &Golden) {
    let loss = NegativeLogLikelihood::mean(golden.crystals.len());
    let batch = gradient(&gradient_of(&golden.hyper), &golden.parameters, &golden.crystals, &loss);
    golden.compare_gradient(&batch, "grad_nll.safetensors");
}

fn check_ppo_gradient(golden: &Golden) {
    let batch = golden.ppo_gradient(&gradient_of(&golden.hyper), &golden.parameters);
    golden.compare_gradient(&batch, "grad_ppo.safetensors");
}

/// One configuration of the reference, and its batch of 32 crystals.
pub struct Golden {
    folder: PathBuf,
    pub hyper: Hyperparameters,
    pub parameters: Parameters,
    pub crystals: Vec<Tokens>,
}

impl Golden {
    /// A configuration's folder; without it, says so and gives none.
    pub fn find(name: &str) -> Option<Self> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
        let shared = std::env::var_os("TEMPER_SHARED").map_or_else(beside, PathBuf::from);
        let folder = shared.join("golden/crystalformer").join(name);
        if !folder.is_dir() {
            println!("skipped: no shared data at {}", folder.display());
            return None;
        }
        Some(Self::read(folder))
    }

    fn read(folder: PathBuf) -> Self {
        let meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("meta.json")).unwrap()).unwrap();
        let hyper: Hyperparameters = serde_json::from_value(meta["config"].clone()).unwrap();
        let parameters = Parameters::load(&folder.join("params.safetensors"), &hyper).unwrap();
        let records = read_tokens(&folder.join("batch.safetensors")).unwrap();
        let crystals = records.into_iter().map(|record| record.tokens.unwrap()).collect();
        Self { folder, hyper, parameters, crystals }
    }

    /// The tiny configuration with its made-up crystals, which is always at hand.
    pub fn made_up() -> Self {
        Self::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/crystalformer-tiny").into())
    }

    pub fn name(&self) -> String {
        self.folder.file_name().unwrap().to_string_lossy().into_owned()
    }

    pub fn bytes(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(file)).unwrap()
    }

    fn parameters(&self, file: &str) -> Parameters {
        Parameters::load(&self.folder.join(file), &self.hyper).unwrap()
    }

    /// The numbers of a tensor that is stored as float64 or float32.
    pub fn float64(&self, file: &str, name: &str) -> Vec<f64> {
        let bytes = self.bytes(file);
        let view = SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap();
        let data = view.data();
        match view.dtype() {
            Dtype::F64 => data.as_chunks().0.iter().map(|word| f64::from_le_bytes(*word)).collect(),
            Dtype::F32 => data.as_chunks().0.iter().map(|word| f64::from(f32::from_le_bytes(*word))).collect(),
            other => panic!("{file}: {name} holds {other:?}"),
        }
    }

    /// How far the reference's own float32 is from its float64.
    pub fn deviation(&self, of: &str) -> f64 {
        let all: serde_json::Value = serde_json::from_slice(&self.bytes("f32_deviation.json")).unwrap();
        all[of].as_f64().unwrap()
    }

    fn ppo_gradient(&self, graph: &LossGradient<PpoSurrogate>, parameters: &Parameters) -> GradientBatch {
        gradient(graph, parameters, &self.crystals, &self.ppo())
    }

    /// The reference's PPO objective of its batch.
    pub fn ppo(&self) -> PpoSurrogate {
        let row_weight = mean_weight(self.crystals.len());
        let [old_logp, base_logp, advantage] =
            ["old_logp", "pretrain_logp", "advantages"].map(|name| self.float64("batch.safetensors", name));
        PpoSurrogate { row_weight, old_logp, base_logp, advantage, clip: CLIP, beta: BETA }
    }

    /// An entry of the reference's `meta.json`.
    fn meta(&self, key: &str) -> serde_json::Value {
        serde_json::from_slice::<serde_json::Value>(&self.bytes("meta.json")).unwrap()[key].take()
    }

    /// Demands that parameters be the reference's up to a number of learning rates.
    fn compare_steps(&self, parameters: &Parameters, file: &str, tolerance: &[ArrayD<f64>]) {
        let mut worst = (0.0, 0.0, 0.0);
        for ((name, found), tolerance) in parameters.iter().zip(tolerance) {
            let expected = self.float64(file, name);
            for ((found, expected), tolerance) in found.iter().zip(expected).zip(tolerance) {
                let apart = (f64::from(*found) - expected).abs() / LEARNING_RATE;
                worst = if apart / tolerance > worst.0 { (apart / tolerance, apart, *tolerance) } else { worst };
                assert!(apart <= *tolerance, "{name}: {apart:e} learning rates apart, more than {tolerance:e}");
            }
        }
        println!("{file}: {:.1e} learning rates of {:.1e}", worst.1, worst.2);
    }

    fn compare_gradient(&self, found: &GradientBatch, file: &str) {
        let expected = self.parameters(file);
        let mut worst = (0.0, "");
        for ((name, expected), found) in expected.iter().zip(&found.gradient) {
            let apart = distance(found, expected);
            worst = if apart > worst.0 { (apart, name) } else { worst };
        }
        println!("{} {file}: {:.1e} in {}", self.name(), worst.0, worst.1);
        assert!(worst.0 <= GRADIENT_TOLERANCE, "{}: relative distance {:e}", worst.1, worst.0);
    }
}
