//! The same numbers, to the last bit, whatever the number of threads and the memory.

use temper::crystal::{SpaceGroup, Tokens};
use temper::policy::{
    Draws, Hyperparameters, Likelihood, LogProbability, LossGradient, Parameters, Resources, SampleSettings, Sampler,
};
use temper::runtime::Device;
use temper::train::NegativeLogLikelihood;

use crate::evaluate::{gradient, log_probabilities, random_parameters, runtime, small};

/// More than a chunk of the sampler and a group of the likelihood hold.
const CRYSTALS: usize = 300;

/// What a user sees of a batch: crystals, their log-probabilities, a gradient.
#[derive(PartialEq, Debug)]
struct Run {
    crystals: Vec<Tokens>,
    logp: Vec<[u64; 4]>,
    gradient: Vec<Vec<u32>>,
}

#[test]
fn threads_and_memory_change_no_bit() {
    let hyper = small(6);
    let parameters = random_parameters(&hyper, 21);
    let run = |threads, memory| {
        run(&hyper, &parameters, Resources { device: Device::Cpu, threads, memory, ranks: temper::ranks::Ranks::one() })
    };
    let alone = run(1, 4 << 30);
    let longest = alone.crystals.iter().map(|c| c.sites.len()).max().unwrap();
    let shortest = alone.crystals.iter().map(|c| c.sites.len()).min().unwrap();
    assert!(longest > shortest + 2, "lengths from {shortest} to {longest} make one group");
    assert_eq!(run(2, 4 << 30), alone);
    assert_eq!(run(3, 3 << 29), alone);
}

fn run(hyper: &Hyperparameters, parameters: &Parameters, resources: Resources) -> Run {
    let crystals = drawn(hyper, parameters, resources);
    let logp = Likelihood::load(runtime(), hyper, resources).unwrap();
    let logp = log_probabilities(&logp, parameters, &crystals);
    let graph = LossGradient::load(runtime(), hyper, resources).unwrap();
    let batch = gradient(&graph, parameters, &crystals, &NegativeLogLikelihood::mean(CRYSTALS));
    let bits = |p: &LogProbability| [p.w, p.xyz, p.a, p.l].map(f64::to_bits);
    let gradient = batch.gradient.iter().map(|g| g.iter().map(|x| x.to_bits()).collect()).collect();
    Run { crystals, logp: logp.iter().map(bits).collect(), gradient }
}

/// So little memory that chunks are halved, and halved again, as their crystals grow.
#[test]
fn crystals_do_not_depend_on_being_set_aside() {
    let hyper = small(6);
    let parameters = random_parameters(&hyper, 22);
    let draw = |memory| {
        drawn(
            &hyper,
            &parameters,
            Resources { device: Device::Cpu, threads: 1, memory, ranks: temper::ranks::Ranks::one() },
        )
    };
    let (whole, parts) = (draw(1 << 30), draw(1 << 14));
    for (a, b) in whole.iter().zip(&parts) {
        let kinds = |t: &Tokens| t.sites.iter().map(|s| (s.wyckoff, s.species.number())).collect::<Vec<_>>();
        assert_eq!((a.group, kinds(a)), (b.group, kinds(b)));
        let numbers = |t: &Tokens| t.sites.iter().flat_map(|s| s.coord).chain(t.lattice).collect::<Vec<f64>>();
        for (x, y) in numbers(a).into_iter().zip(numbers(b)) {
            assert!((x - y).abs() < 1e-5, "{x} or {y}");
        }
    }
}

fn drawn(hyper: &Hyperparameters, parameters: &Parameters, resources: Resources) -> Vec<Tokens> {
    let sampler = Sampler::load(runtime(), hyper, resources).unwrap();
    let groups: Vec<SpaceGroup> = (0..CRYSTALS).map(|i| SpaceGroup::new(1 + (i as i64 * 7) % 230).unwrap()).collect();
    let settings = SampleSettings::of_policy(None);
    let draws = Draws { seed: 5, step: 1, first: 0 };
    let drawn = sampler.sample(parameters, &groups, draws, &settings).unwrap();
    drawn.into_iter().map(Result::unwrap).collect()
}
