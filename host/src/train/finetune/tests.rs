//! The formulas of a step (arXiv 2504.02367, appendix C; spec sections 8 and 12) against numbers worked out by hand.

use std::sync::Arc;

use ndarray::ArrayD;

use super::batch::all_skipped;
use super::*;
use crate::crystal::{Element, Site, SpaceGroup, Tokens};
use crate::policy::{LogProbability, Resources, SpaceGroupDistribution, tiny_hyperparameters};
use crate::reward::RewardTable;
use crate::runtime::{Device, Locator};
use crate::train::losses::mean_weights;
use crate::train::{AdvantageScale, Baseline, EntropyBonus, KlGradient, NegativeLogLikelihood, Schedule};

pub(in crate::train) fn settings(kl_gradient: KlGradient) -> FinetuneSettings {
    FinetuneSettings {
        steps: 1,
        batch: 4,
        epochs: 1,
        clip: 0.2,
        learning_rate: 1e-3,
        schedule: Schedule::Constant,
        grad_clip: 1.0,
        kl_weight: 0.1,
        kl_target: None,
        entropy_bonus: EntropyBonus::default(),
        kl_gradient,
        kl_stop: None,
        composition_prior: None,
        baseline: Baseline::Moving,
        advantage_scale: AdvantageScale::None,
        baseline_decay: 0.95,
        replay: None,
        max_failed: 1.0,
        max_idle_steps: 5,
        groups: SpaceGroupDistribution::uniform(),
        restriction: None,
        seed: 3,
        resources: Resources { device: Device::Cpu, threads: 1, memory: 1 << 30, ranks: crate::ranks::Ranks::one() },
    }
}

pub(in crate::train) fn assert_near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
    }
}

/// A policy that is not its base, and four crystals with rewards of both signs.
pub(super) struct Bench {
    runtime: Arc<Runtime>,
    pub(super) start: Parameters,
    base: Parameters,
    crystals: Vec<Tokens>,
}

pub(super) const REWARDS: [[f64; 4]; 2] = [[1.0, -2.0, 0.5, 3.0], [-1.0, 0.0, 2.0, 1.5]];

impl Bench {
    pub(super) fn new() -> Self {
        let runtime = Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap();
        let hyper = tiny_hyperparameters();
        let crystal = |group, sites: &[(u8, u8, [f64; 3])]| {
            let site = |(wyckoff, number, coord): &(u8, u8, [f64; 3])| Site {
                wyckoff: *wyckoff,
                species: Element::from_number(*number).unwrap(),
                coord: *coord,
            };
            let sites = sites.iter().map(site).collect();
            Tokens { group: SpaceGroup::new(group).unwrap(), lattice: [2.1, 2.4, 3.0, 1.4, 1.6, 1.8], sites }
        };
        let crystals = vec![
            crystal(225, &[(1, 11, [0.0; 3]), (2, 17, [0.5; 3])]),
            crystal(1, &[(1, 3, [0.1, 0.2, 0.3]), (1, 8, [0.7, 0.55, 0.9])]),
            crystal(221, &[(5, 26, [0.27, 0.0, 0.0])]),
            crystal(62, &[(3, 22, [0.12, 0.25, 0.6]), (3, 8, [0.4, 0.25, 0.8]), (4, 8, [0.1, 0.02, 0.3])]),
        ];
        let large = |seed| {
            let mut parameters = Parameters::initialise(&hyper, seed);
            parameters.iter_mut().for_each(|(_, mut p)| p.mapv_inplace(|x| 2.0 * x));
            parameters
        };
        Self { runtime, start: large(1), base: large(2), crystals }
    }

    pub(super) fn crystals(&self) -> Vec<&Tokens> {
        self.crystals.iter().collect()
    }

    pub(super) fn finetuning(&self, settings: &FinetuneSettings) -> Finetuning {
        Finetuning::new(&self.runtime, &tiny_hyperparameters(), self.base.clone(), settings).unwrap()
    }

    fn logp(&self, parameters: &Parameters) -> Vec<f64> {
        let resources = settings(KlGradient::Detached).resources;
        let graph = Likelihood::load(&self.runtime, &tiny_hyperparameters(), resources).unwrap();
        graph.log_probabilities(parameters, &self.crystals()).unwrap().iter().map(LogProbability::total).collect()
    }

    /// Derivative of `sum(slope * log p)`.
    fn weighted(&self, parameters: &Parameters, slope: &[f64]) -> Vec<ArrayD<f32>> {
        let resources = settings(KlGradient::Detached).resources;
        let graph = LossGradient::load(&self.runtime, &tiny_hyperparameters(), resources).unwrap();
        let loss = NegativeLogLikelihood { row_weight: slope.iter().map(|x| -x).collect() };
        graph.gradient(parameters, &self.crystals(), &loss).unwrap().gradient
    }

    /// `learn` on a batch with some rewards.
    pub(super) fn learn(
        &self,
        rewards: &[f64],
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> BatchStatistics {
        let (learned, _) = self.try_to_learn(rewards, settings, state);
        assert_eq!(learned.idle, None);
        learned.statistics.unwrap()
    }

    fn try_to_learn(
        &self,
        rewards: &[f64],
        settings: &FinetuneSettings,
        state: &mut FinetuneState,
    ) -> (Learned, Batch) {
        let mut batch = self.batch(rewards);
        let learned = self.finetuning(settings).learn(&mut batch, settings, state, &mut StageTimes::default()).unwrap();
        state.finish(state.step + 1, &learned, Some(mean(rewards)));
        (learned, batch)
    }

    pub(super) fn batch(&self, rewards: &[f64]) -> Batch {
        let sample =
            |(tokens, reward): (&Tokens, &f64)| Sample { objective: Some(*reward), ..Sample::new(Ok(tokens.clone())) };
        Batch {
            samples: self.crystals.iter().zip(rewards).map(sample).collect(),
            trainable: (0..rewards.len()).collect(),
            table: RewardTable::new(Vec::new(), rewards.len()),
            monitor: None,
            failed: 0,
            not_finite: 0,
            refused: None,
        }
    }
}

/// At the policy that drew the batch the ratio is 1 and nothing is clipped, so that the objective's derivative by log p of crystal i
/// is `slope(A_i, log ratio_i) / 4`. Two batches, because the second has a baseline of the first.
fn check_first_steps(kl_gradient: KlGradient, reward: fn(f64, f64) -> f64, slope: fn(f64, f64) -> f64) {
    let (bench, settings) = (Bench::new(), settings(kl_gradient));
    let mut state = FinetuneState::new(bench.start.clone());
    let (mut parameters, mut adam) = (bench.start.clone(), Adam::new(&bench.start));
    let (mut baseline, base_logp) = (None, bench.logp(&bench.base));
    for rewards in REWARDS {
        let logp = bench.logp(&parameters);
        let log_ratio: Vec<f64> = logp.iter().zip(&base_logp).map(|(logp, base)| logp - base).collect();
        assert!(log_ratio.iter().all(|x| x.abs() > 1e-3), "a KL term that is seen: {log_ratio:?}");
        let r: Vec<f64> = rewards.iter().zip(&log_ratio).map(|(r, log_ratio)| reward(*r, *log_ratio)).collect();
        let mean_r = r.iter().sum::<f64>() / 4.0;
        let b = baseline.map_or(mean_r, |b: f64| 0.95 * b + 0.05 * mean_r);
        baseline = Some(b);
        let slopes: Vec<f64> = r.iter().zip(&log_ratio).map(|(r, log_ratio)| slope(r - b, *log_ratio) / 4.0).collect();
        let downhill: Vec<_> = bench.weighted(&parameters, &slopes).into_iter().map(|g| -g).collect();
        adam.descend(&mut parameters, &downhill, settings.learning_rate, settings.grad_clip);

        let statistics = bench.learn(&rewards, &settings, &mut state);
        assert_near(&[statistics.baseline, state.baseline.unwrap()], &[b, b]);
        assert_near(&[statistics.kl], &[log_ratio.iter().sum::<f64>() / 4.0]);
        assert_near(&[statistics.entropy], &[-logp.iter().sum::<f64>() / 4.0]);
        assert_eq!((statistics.update.clip_fraction, statistics.update.grad_norms.len()), (0.0, 1));
        let moved = |(found, expected): (&f32, &f32)| f64::from(found - expected).abs() / settings.learning_rate;
        for ((name, found), (_, expected)) in state.parameters.iter().zip(parameters.iter()) {
            let apart = found.iter().zip(expected).map(moved).fold(0.0, f64::max);
            assert!(apart < 1e-2, "{name}: {apart} learning rates apart");
        }
        // What is next does not inherit the rounding.
        parameters = state.parameters.clone();
        adam = state.adam.clone();
    }
}

/// R = r - tau (log p - log p_base) is a constant of the batch, and A = R - b the slope.
#[test]
fn two_steps_of_the_detached_form() {
    check_first_steps(KlGradient::Detached, |r, log_ratio| r - 0.1 * log_ratio, |advantage, _| advantage);
}

/// A' = A - tau (log p - log p_base) is differentiated with the ratio: the slope is A' - tau.
#[test]
fn two_steps_of_the_form_of_the_reference() {
    let slope = |advantage: f64, log_ratio: f64| advantage - 0.1 * log_ratio - 0.1;
    check_first_steps(KlGradient::Reference, |r, _| r, slope);
}

/// A large first step moves ratios out of the clip range and the policy away from the one that drew the batch; where it stands is
/// measured at the second gradient, and `kl_stop` decides there whether to go on.
#[test]
fn clip_fraction_and_kl_stop() {
    let bench = Bench::new();
    let settings = FinetuneSettings { learning_rate: 3e-4, ..settings(KlGradient::Detached) };
    let mut once = FinetuneState::new(bench.start.clone());
    bench.learn(&REWARDS[0], &settings, &mut once);
    let (old, new) = (bench.logp(&bench.start), bench.logp(&once.parameters));
    let log_ratio: Vec<f64> = new.iter().zip(&old).map(|(new, old)| new - old).collect();
    let outside = log_ratio.iter().filter(|x| !(0.8..=1.2).contains(&x.exp())).count();
    assert!((1..4).contains(&outside), "some ratios must be clipped, and some not: {log_ratio:?}");
    let kl = log_ratio.iter().map(|x| x.exp() - 1.0 - x).sum::<f64>() / 4.0;

    let two = |kl_stop| {
        let mut state = FinetuneState::new(bench.start.clone());
        let statistics =
            bench.learn(&REWARDS[0], &FinetuneSettings { epochs: 2, kl_stop, ..settings.clone() }, &mut state);
        (statistics.update, state.parameters)
    };
    let (stopped, parameters) = two(Some(0.99 * kl));
    assert_eq!((stopped.clip_fraction, stopped.grad_norms.len()), (outside as f64 / 4.0, 1));
    assert_eq!(parameters, once.parameters);
    for kl_stop in [Some(1.01 * kl), None] {
        let (through, parameters) = two(kl_stop);
        assert_eq!((through.clip_fraction, through.grad_norms.len()), (outside as f64 / 4.0, 2));
        assert_ne!(parameters, once.parameters);
    }
}

/// Nothing that is not finite reaches the parameters, the moments or the baseline: the step counts as one of which nothing was
/// learned, and the next one is as if it had not been.
#[test]
fn what_is_not_finite_teaches_nothing() {
    let bench = Bench::new();
    let settings = settings(KlGradient::Detached);
    let mut state = FinetuneState::new(bench.start.clone());
    let (learned, _) = bench.try_to_learn(&[1e308, 1e308, 1e308, -1e308], &settings, &mut state);
    assert_eq!(learned.idle.unwrap(), "the objective overflows: the baseline is inf");
    assert_eq!((state.idle, state.baseline, &state.parameters), (1, None, &bench.start));

    let mut broken = bench.start.clone();
    broken.iter_mut().for_each(|(_, mut p)| p.fill(f32::NAN));
    let mut state = FinetuneState::new(broken);
    let (learned, batch) = bench.try_to_learn(&REWARDS[0], &settings, &mut state);
    assert_eq!(learned.idle.unwrap(), "no crystal of the batch has a finite log p under policy and base");
    assert_eq!((batch.not_finite, batch.trainable.len()), (4, 0));
    assert_eq!((state.idle, state.adam.count), (1, 0));

    // An optimiser step that overflows, three times.
    let steep = FinetuneSettings { epochs: 3, learning_rate: 1e300, ..settings.clone() };
    let mut state = FinetuneState::new(bench.start.clone());
    let (learned, _) = bench.try_to_learn(&REWARDS[0], &steep, &mut state);
    assert_eq!(learned.idle.unwrap(), all_skipped(3, 0.625));
    let statistics = learned.statistics.unwrap();
    assert_eq!((statistics.update.skipped, statistics.update.grad_norms.len()), (3, 0));
    assert_eq!((state.idle, state.adam.count, &state.parameters), (1, 0, &bench.start));
    bench.learn(&REWARDS[0], &settings, &mut state);
    assert_eq!(state.idle, 0);
}

/// The weight of a step is what the one before has left: KL far above a target makes it 2 % larger, in both forms.
#[test]
fn the_weight_of_the_kl_term_is_led_to_a_target() {
    let bench = Bench::new();
    for kl_gradient in [KlGradient::Detached, KlGradient::Reference] {
        let settings = FinetuneSettings { kl_target: Some(0.01), baseline: Baseline::Batch, ..settings(kl_gradient) };
        let mut state = FinetuneState::new(bench.start.clone());
        let first = bench.learn(&REWARDS[0], &settings, &mut state);
        assert_eq!(first.kl_weight, 0.1);
        let expected = if first.kl > 0.01 { 0.102 } else { 0.098 };
        assert_near(&[state.kl_weight.unwrap()], &[expected]);
        let second = bench.learn(&REWARDS[1], &settings, &mut state);
        assert_near(&[second.kl_weight], &[expected]);
        // The baseline shows what the weight was in R.
        let mean = 0.625 - if kl_gradient == KlGradient::Detached { expected * second.kl } else { 0.0 };
        assert_near(&[second.baseline], &[mean]);
    }
}

/// A crystal that is replayed has the ratio 1 at the start of its step, and the baseline that the batch has without it. The batch is
/// the first two crystals, and the memory holds the other two of the batch before.
#[test]
fn replayed_crystals_are_learned_from_beside_the_batch() {
    let bench = Bench::new();
    let replay = Replay { crystals: 2, size: 2, age: 9 };
    let settings = FinetuneSettings { baseline: Baseline::Batch, ..settings(KlGradient::Detached) };
    let settings = FinetuneSettings { replay: Some(replay), ..settings };
    let mut state = FinetuneState::new(bench.start.clone());
    let mut before = bench.batch(&[1.0, -2.0, 0.5, 3.0]);
    before.trainable = vec![2, 3];
    state.remember(1, &before, &replay);
    state.step = 1;
    let mut batch = bench.batch(&[1.0, -2.0, 0.0, 0.0]);
    batch.trainable = vec![0, 1];
    let learned = bench.finetuning(&settings).learn(&mut batch, &settings, &mut state, &mut StageTimes::default());
    let statistics = learned.unwrap().statistics.unwrap();

    let (logp, base) = (bench.logp(&bench.start), bench.logp(&bench.base));
    let r: Vec<f64> = (0..4).map(|i| [1.0, -2.0, 0.5, 3.0][i] - 0.1 * (logp[i] - base[i])).collect();
    let mean = (r[0] + r[1]) / 2.0;
    assert_near(&statistics.logp, &logp[..2]);
    assert_near(&[statistics.kl], &[(logp[0] - base[0] + logp[1] - base[1]) / 2.0]);
    assert_near(&[statistics.baseline], &[mean]);
    assert_eq!(statistics.replayed, 2);
    let slopes = [r[0] - r[1], r[1] - r[0], r[2] - mean, r[3] - mean].map(|advantage| advantage / 4.0);
    let downhill: Vec<_> = bench.weighted(&bench.start, &slopes).into_iter().map(|g| -g).collect();
    let (mut parameters, mut adam) = (bench.start.clone(), Adam::new(&bench.start));
    adam.descend(&mut parameters, &downhill, settings.learning_rate, settings.grad_clip);
    for ((name, found), (_, expected)) in state.parameters.iter().zip(parameters.iter()) {
        let apart = found.iter().zip(expected).map(|(a, b)| f64::from(a - b).abs() / settings.learning_rate);
        assert!(apart.fold(0.0, f64::max) < 1e-2, "{name}");
    }
}

/// Entropy of the elements: R grows by -0.5 ln p(elements), whichever way the KL term enters.
#[test]
fn an_entropy_bonus_is_part_of_the_reward() {
    let bench = Bench::new();
    let resources = settings(KlGradient::Detached).resources;
    let graph = Likelihood::load(&bench.runtime, &tiny_hyperparameters(), resources).unwrap();
    let logp = graph.log_probabilities(&bench.start, &bench.crystals()).unwrap();
    let mean_a = logp.iter().map(|logp| logp.a).sum::<f64>() / 4.0;
    for kl_gradient in [KlGradient::Detached, KlGradient::Reference] {
        let baseline = |a| {
            let entropy_bonus = EntropyBonus { a, ..EntropyBonus::default() };
            let settings = FinetuneSettings { entropy_bonus, ..settings(kl_gradient) };
            bench.learn(&REWARDS[0], &settings, &mut FinetuneState::new(bench.start.clone())).baseline
        };
        assert_near(&[baseline(0.5) - baseline(0.0)], &[-0.5 * mean_a]);
    }
}

/// Half way along the cosine, the learning rate is half of the first, in the steps of Adam as well.
#[test]
fn the_learning_rate_follows_its_schedule() {
    let bench = Bench::new();
    let falling = FinetuneSettings { steps: 10, schedule: Schedule::Cosine, ..settings(KlGradient::Detached) };
    assert_near(&[falling.rate(0), falling.rate(5), falling.rate(10)], &[1e-3, 5e-4, 0.0]);
    let learned = |settings: &FinetuneSettings| {
        let mut state = FinetuneState { step: 5, ..FinetuneState::new(bench.start.clone()) };
        bench.learn(&REWARDS[0], settings, &mut state);
        state.parameters
    };
    let constant = FinetuneSettings { learning_rate: falling.rate(5), ..settings(KlGradient::Detached) };
    assert_eq!(learned(&falling), learned(&constant));
}

/// A ratio of e^200 is no float32: the clamp keeps the loss finite, and a ratio within it as it was.
#[test]
fn a_ratio_beyond_all_bounds_is_finite() {
    let bench = Bench::new();
    let resources = settings(KlGradient::Detached).resources;
    let graph = LossGradient::<PpoSurrogate>::load(&bench.runtime, &tiny_hyperparameters(), resources).unwrap();
    let logp = bench.logp(&bench.start);
    let gradient = |shift: f64| {
        let loss = PpoSurrogate {
            row_weight: mean_weights(4),
            old_logp: logp.iter().map(|p| p + shift).collect(),
            base_logp: logp.clone(),
            advantage: vec![-1.0; 4],
            clip: 0.2,
            beta: 0.0,
        };
        graph.gradient(&bench.start, &bench.crystals(), &loss).unwrap().gradient
    };
    for shift in [-200.0, 200.0] {
        assert!(gradient(shift).iter().flatten().all(|x| x.is_finite()), "{shift}");
    }
    assert!(gradient(0.0).iter().flatten().any(|x| *x != 0.0));
}

/// What several processes need to share a run: rows that do not depend on who draws them, and gradients that add up.
#[test]
fn a_batch_may_be_drawn_and_differentiated_in_shares() {
    let bench = Bench::new();
    let settings = FinetuneSettings { batch: 6, ..settings(KlGradient::Detached) };
    let finetuning = bench.finetuning(&settings);
    let draw = |rows| {
        let samples = finetuning.sample(&bench.start, 2, rows, &settings).unwrap();
        let kinds = |t: Tokens| (t.group, t.sites.iter().map(|site| (site.wyckoff, site.species)).collect::<Vec<_>>());
        samples.into_iter().map(|sample| kinds(sample.tokens.unwrap())).collect::<Vec<_>>()
    };
    assert_eq!([draw(0..2), draw(2..6)].concat(), draw(0..6));

    let slopes = [0.3, -0.1, 0.2, -0.4];
    let whole = bench.weighted(&bench.start, &slopes);
    let (first, second) = ([0.3, -0.1, 0.0, 0.0], [0.0, 0.0, 0.2, -0.4]);
    let (first, second) = (bench.weighted(&bench.start, &first), bench.weighted(&bench.start, &second));
    for ((whole, first), second) in whole.iter().zip(&first).zip(&second) {
        let largest = whole.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
        assert!((whole - &(first + second)).iter().all(|x| x.abs() <= 1e-4 * largest + 1e-6));
    }
}
