//! How fast every stage of a reinforcement step is, beside the program that it is compared with.
//!
//! `cargo bench` prints the table; `cargo bench -- sample hull` measures some stages only, and `cargo bench -- --test` runs each
//! stage once on a few items, for its assertions. Every stage runs in a process of its own, so that memory is its own too.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run has failed")]
#![allow(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "speed/crystals.rs"]
mod crystals;
#[path = "speed/machine.rs"]
mod machine;
#[path = "speed/measure.rs"]
mod measure;
#[path = "speed/plugins.rs"]
mod plugins;
#[path = "speed/policy.rs"]
mod policy;
#[path = "speed/rewards.rs"]
mod rewards;
#[path = "speed/roofline.rs"]
mod roofline;
#[path = "speed/structures.rs"]
mod structures;
#[path = "speed/table.rs"]
mod table;

use measure::{Effort, Measured};

/// A stage, and the peer's figures as `README.md` beside this file has them.
struct Stage {
    name: &'static str,
    what: &'static str,
    measure: fn(Effort) -> Measured,
    peer: Option<Peer>,
}

/// Another program's figure for the same work.
struct Peer {
    what: &'static str,
    /// Items per second of wall time.
    rate: f64,
    /// CPU milliseconds per item.
    cpu_ms: f64,
    /// How many times faster we want to be.
    target: f64,
}

const fn peer(what: &'static str, rate: f64, cpu_ms: f64, target: f64) -> Option<Peer> {
    Some(Peer { what, rate, cpu_ms, target })
}

const STAGES: [Stage; 18] = [
    Stage { name: "sample", what: "crystals sampled", measure: policy::sample, peer: peer("JAX", 0.30, 5100.0, 500.0) },
    Stage { name: "logp", what: "log-probabilities", measure: policy::logp, peer: peer("JAX", 21.9, 73.8, 14.0) },
    Stage { name: "gradient", what: "PPO gradients", measure: policy::gradient, peer: peer("JAX", 4.1, 400.0, 18.0) },
    Stage { name: "adam", what: "Adam and clipping", measure: policy::adam, peer: None },
    Stage {
        name: "energy",
        what: "CHGNet energies, 1 thread",
        measure: rewards::energy,
        peer: peer("PyTorch", 44.0, 22.7, 3.0),
    },
    Stage { name: "forces", what: "CHGNet forces, derived, 1 thread", measure: rewards::forces, peer: None },
    Stage { name: "relax", what: "relaxations, 1 thread", measure: rewards::relaxations, peer: None },
    Stage { name: "lists", what: "neighbour lists, 1 thread", measure: rewards::lists, peer: None },
    Stage { name: "decode", what: "tokens to crystals, 1 thread", measure: structures::decode, peer: None },
    Stage {
        name: "tokenise",
        what: "CIF to tokens, 1 thread",
        measure: structures::tokenise,
        peer: peer("reference loader", 4.35, 230.0, 230.0),
    },
    Stage { name: "match", what: "pairs of structures matched, 1 thread", measure: structures::matched, peer: None },
    Stage {
        name: "hull",
        what: "energies above hull, 1 thread",
        measure: rewards::hull,
        peer: peer("pymatgen by system", 476.0, 2.1, 10.5),
    },
    Stage { name: "plugin", what: "asked of a plugin, in-process", measure: plugins::in_process, peer: None },
    Stage { name: "worker", what: "asked of a plugin in a worker", measure: plugins::in_a_worker, peer: None },
    Stage { name: "square", what: "GFLOP of square products", measure: machine::square, peer: None },
    Stage { name: "shape", what: "GFLOP of the policy's products", measure: machine::policy_shape, peer: None },
    Stage { name: "copy", what: "GB copied", measure: machine::copy, peer: None },
    Stage { name: "start", what: "start to first crystal", measure: policy::start, peer: None },
];

/// Set for the process of one stage.
const STAGE: &str = "TEMPER_BENCH_STAGE";

fn main() {
    if std::env::var_os(plugins::WORKER).is_some() {
        return plugins::work();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let effort = if arguments.iter().any(|a| a == "--test") { Effort::Once } else { Effort::Full };
    if let Ok(name) = std::env::var(STAGE) {
        let stage = STAGES.iter().find(|stage| stage.name == name).expect("a stage's name");
        return (stage.measure)(effort).tell();
    }
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let chosen = STAGES.iter().filter(|s| wanted.is_empty() || wanted.iter().any(|w| *w == s.name));
    let rows: Vec<(&Stage, Measured)> = chosen.map(|stage| (stage, in_own_process(stage, &arguments))).collect();
    table::print(&rows, effort);
}

fn in_own_process(stage: &Stage, arguments: &[String]) -> Measured {
    let mut process = std::process::Command::new(std::env::current_exe().expect("own path"));
    let output = process.args(arguments).env(STAGE, stage.name).stderr(std::process::Stdio::inherit()).output();
    let output = output.expect("a process for the stage");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "stage {} failed: {text}", stage.name);
    Measured::heard(&text).unwrap_or_else(|| panic!("stage {} said {text}", stage.name))
}
