//! The policy at the paper's size, untrained: what it draws differs from a trained one's, what it computes does not.

use ndarray::ArrayD;
use temper::crystal::Tokens;
use temper::policy::{
    GradientBatch, Hyperparameters, Likelihood, LogProbability, LossGradient, ModelToml, Parameters, PolicyDirectory,
    SampleSettings, Sampler,
};
use temper::train::{Adam, PpoSurrogate};

use super::crystals::{arbitrary, draws, groups, numbers_of_sites, resources, runtime};
use super::measure::{Effort, Measured};

/// Budgets that hold the process below the targets of 2 and 4 GB.
const SAMPLING_MEMORY: u64 = 1536 << 20;
const LIKELIHOOD_MEMORY: u64 = 2 << 30;

const SITES: &str = "4.83 M parameters, 4.8 sites on average";

fn policy() -> (Hyperparameters, Parameters) {
    let hyper = Hyperparameters::paper();
    let parameters = Parameters::initialise(&hyper, 1);
    assert_eq!(parameters.count(), 4_833_575);
    (hyper, parameters)
}

pub fn sample(effort: Effort) -> Measured {
    let (hyper, parameters) = policy();
    let count = effort.items(1000);
    let (groups, sites) = (groups(count), numbers_of_sites(count));
    let sampler =
        Sampler::load(&runtime(), &hyper, resources(SAMPLING_MEMORY)).expect("graphs").with_sites(sites.clone());
    let settings = SampleSettings::of_policy(None);
    Measured::of(effort, SITES, count, || {
        let rows = sampler.sample(&parameters, &groups, draws(), &settings).expect("samples");
        // A letter without free coordinates cannot follow itself, so a few rows end before their time.
        let reached =
            rows.iter().zip(&sites).filter(|(row, sites)| row.as_ref().is_ok_and(|c| c.sites.len() == **sites));
        assert!(reached.count() * 10 >= count * 9, "rows must have the numbers of sites that were asked for");
    })
}

pub fn logp(effort: Effort) -> Measured {
    let (hyper, parameters) = policy();
    let crystals = arbitrary(effort.items(1000));
    let refs: Vec<&Tokens> = crystals.iter().collect();
    let likelihood = likelihood(&hyper);
    let mut values = Vec::new();
    let measured = Measured::of(effort, SITES, crystals.len(), || {
        values = likelihood.log_probabilities(&parameters, &refs).expect("log-probabilities");
    });
    for (row, value) in values.iter().enumerate().take(8) {
        let alone = likelihood.log_probabilities(&parameters, &refs[row..=row]).expect("a log-probability");
        assert_close(value, &alone[0]);
    }
    assert!(values.iter().all(|value| value.total().is_finite()));
    measured
}

fn likelihood(hyper: &Hyperparameters) -> Likelihood {
    Likelihood::load(&runtime(), hyper, resources(LIKELIHOOD_MEMORY)).expect("a session")
}

fn assert_close(one: &LogProbability, other: &LogProbability) {
    let (one, other) = (one.total(), other.total());
    assert!((one - other).abs() < 1e-4 * (1.0 + other.abs()), "{one} {other}");
}

pub fn gradient(effort: Effort) -> Measured {
    let (hyper, parameters) = policy();
    let crystals = arbitrary(effort.items(1000));
    let refs: Vec<&Tokens> = crystals.iter().collect();
    let old = likelihood(&hyper).log_probabilities(&parameters, &refs).expect("log-probabilities");
    let gradients = LossGradient::load(&runtime(), &hyper, resources(LIKELIHOOD_MEMORY)).expect("a session");
    let loss = ppo(&old);
    let mut last: Option<GradientBatch> = None;
    let measured = Measured::of(effort, SITES, refs.len(), || {
        last = Some(gradients.gradient(&parameters, &refs, &loss).expect("a gradient"));
    });
    let last = last.expect("a round");
    last.logp.iter().zip(&old).for_each(|(new, old)| assert_close(new, old));
    assert!(last.gradient.iter().flatten().all(|g| g.is_finite()));
    // The policy that drew the crystals is the one that is differentiated: the gradient is not zero.
    assert!(last.gradient.iter().flatten().any(|g| *g != 0.0));
    measured
}

/// The clipped objective at the policy that drew the crystals, with advantages of both signs.
fn ppo(old: &[LogProbability]) -> PpoSurrogate {
    let old: Vec<f64> = old.iter().map(LogProbability::total).collect();
    PpoSurrogate {
        row_weight: vec![1.0 / old.len() as f64; old.len()],
        advantage: (0..old.len()).map(|row| if row % 2 == 0 { 1.0 } else { -0.5 }).collect(),
        base_logp: old.clone(),
        old_logp: old,
        clip: 0.2,
        beta: 0.0,
    }
}

pub fn adam(effort: Effort) -> Measured {
    let (_, mut parameters) = policy();
    let gradient: Vec<ArrayD<f32>> = parameters.iter().map(|(_, p)| p.mapv(|x| x + 0.01)).collect();
    let mut adam = Adam::new(&parameters);
    let before = parameters.iter().next().map(|(_, p)| p.clone()).expect("a parameter");
    let measured = Measured::of(effort, "one optimiser step", effort.items(20), || {
        for _ in 0..effort.items(20) {
            let norm = adam.descend(&mut parameters, &gradient, 1e-4, 1.0);
            assert!(norm.is_finite() && norm > 1.0, "{norm}");
        }
    });
    let after = parameters.iter().next().map(|(_, p)| p).expect("a parameter");
    assert!(after.iter().zip(&before).all(|(after, before)| after < before || before < &-0.01));
    measured
}

/// The binary, from its start to a crystal in a file; the first round makes what is kept for the next.
pub fn start(effort: Effort) -> Measured {
    let (hyper, parameters) = policy();
    let folder = tempfile::tempdir().expect("a folder");
    let directory = folder.path().join("policy");
    PolicyDirectory { model: ModelToml { hyper, spacegroups: None, provenance: None }, parameters }
        .save(&directory)
        .expect("a policy's folder");
    Measured::of(effort, SITES, 1, || {
        let out = folder.path().join("one.jsonl");
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_temper"));
        command.args(["sample", "--quiet", "-n", "1", "-m"]).arg(&directory).arg("-o").arg(&out);
        assert!(command.status().expect("the binary").success());
        assert_eq!(std::fs::read_to_string(&out).expect("a crystal").lines().count(), 1);
    })
}
