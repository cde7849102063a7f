//! Whether Temper computes on a CUDA device what it computes on the CPU, and how fast. README.md beside this file says how to run it.
//!
//! `cargo bench --bench gpu -- --test` runs the checks on the device that TEMPER_BENCH_DEVICE names, by default the CPU, on a few items.
#![allow(clippy::expect_used, clippy::panic, reason = "a bench that cannot run has failed")]
#![allow(clippy::print_stdout, reason = "the table is what a bench is for")]

#[path = "../speed/crystals.rs"]
#[allow(dead_code, reason = "the bench `speed` has further stages")]
mod crystals;
mod finetuning;
#[path = "../speed/measure.rs"]
#[allow(dead_code, reason = "the bench `speed` has further stages")]
mod measure;
mod peak;
#[path = "../speed/policy.rs"]
#[allow(dead_code, reason = "the bench `speed` has further stages")]
mod policy;
mod policy_parity;
mod potential_parity;
mod report;
#[path = "../speed/rewards.rs"]
#[allow(dead_code, reason = "the bench `speed` has further stages")]
mod rewards;
mod sampling_parity;
#[path = "../speed/structures.rs"]
#[allow(dead_code, reason = "the bench `speed` has further stages")]
mod structures;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use measure::{Effort, Measured};
use report::{Outcome, Report};
use serde_json::{Value, json};
use temper::runtime::Device;

/// A part of the report, in a process of its own: one that crashes or hangs takes no other with it.
struct Stage {
    name: &'static str,
    run: fn(Effort) -> Value,
    /// Seconds after which it is stopped.
    limit: u64,
    /// Whether it belongs to a short run for its assertions.
    quick: bool,
}

const fn stage(name: &'static str, run: fn(Effort) -> Value, limit: u64, quick: bool) -> Stage {
    Stage { name, run, limit, quick }
}

/// The checks first, then the figures, the most wanted first.
const STAGES: [Stage; 18] = [
    stage("doctor", finetuning::doctor, 60, true),
    stage("policy against the reference", policy_parity::reference, 60, true),
    stage("policy against the CPU", policy_parity::cpu, 90, true),
    stage("potential against PyTorch", potential_parity::golden, 60, true),
    stage("sample", |effort| figures(policy::sample(effort)), 90, false),
    stage("logp", |effort| figures(policy::logp(effort)), 60, false),
    stage("gradient", |effort| figures(policy::gradient(effort)), 60, false),
    stage("energy", |effort| figures(rewards::energy(effort)), 60, false),
    stage("forces", |effort| figures(rewards::forces(effort)), 60, false),
    stage("adam", |effort| figures(policy::adam(effort)), 30, false),
    stage("GFLOP of products", |effort| figures(peak::products(effort)), 30, false),
    stage("GB copied", |effort| figures(peak::copies(effort)), 30, false),
    stage("lists", |effort| figures(rewards::lists(effort)), 30, false),
    stage("decode", |effort| figures(structures::decode(effort)), 30, false),
    stage("hull", |effort| figures(rewards::hull(effort)), 30, false),
    stage("fine-tuning, shipped policy", finetuning::shipped_policy, 120, false),
    stage("fine-tuning, paper's size", finetuning::paper, 120, false),
    stage("sampled distribution", sampling_parity::distributions, 90, true),
];

/// Set for the process of one stage.
const STAGE: &str = "TEMPER_GPU_STAGE";
/// Before what a stage says to the process that waits for it.
const MARK: &str = "result ";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|a| a == "--test");
    let effort = if quick { Effort::Once } else { Effort::Full };
    if let Ok(name) = std::env::var(STAGE) {
        let stage = STAGES.iter().find(|stage| stage.name == name).expect("a stage's name");
        return println!("{MARK}{}", (stage.run)(effort));
    }
    let mut words = arguments.iter().filter(|a| !a.starts_with("--"));
    let folder = words.next().map(std::path::PathBuf::from);
    let wanted: Vec<&String> = words.collect();
    let chosen = |stage: &&Stage| wanted.is_empty() || wanted.iter().any(|word| stage.name.contains(word.as_str()));
    let mut report = Report::new(crystals::device());
    for stage in STAGES.iter().filter(|stage| stage.quick || !quick).filter(chosen) {
        report.add(stage.name, in_own_process(stage, &arguments));
        if let Some(folder) = &folder {
            // After every stage: whatever happens to the machine, what is known by then is kept.
            report.write(folder);
        }
    }
    println!("{}", report.markdown());
    assert!(!quick || report.is_good(), "a check has failed");
}

/// The limits are those of a GPU, whose time is short. A busy CPU may take three times as long.
fn in_own_process(stage: &Stage, arguments: &[String]) -> Outcome {
    let began = Instant::now();
    let limit = if crystals::device() == Device::Cpu { 3 * stage.limit } else { stage.limit };
    let mut process = Command::new(std::env::current_exe().expect("own path"));
    process.args(arguments).env(STAGE, stage.name).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = process.spawn().expect("a process for the stage");
    let read = |pipe: &mut dyn std::io::Read| {
        let mut bytes = Vec::new();
        // A pipe that breaks has said what it had to say.
        _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (mut out, mut err) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let (out, err) = (std::thread::spawn(move || read(&mut out)), std::thread::spawn(move || read(&mut err)));
    let ended = loop {
        let ended = child.try_wait().expect("a child");
        if ended.is_some() || began.elapsed().as_secs() > limit {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if ended.is_none() {
        _ = child.kill();
        _ = child.wait();
    }
    let (out, err) = (out.join().expect("a reader"), err.join().expect("a reader"));
    let said = out.lines().find_map(|line| line.strip_prefix(MARK)).and_then(|text| serde_json::from_str(text).ok());
    let seconds = began.elapsed().as_secs_f64();
    match (said, ended) {
        (Some(result), Some(status)) if status.success() => Outcome::done(seconds, result),
        (_, None) => Outcome::failed(seconds, format!("stopped after {limit} s; {}", end_of(&err))),
        (_, Some(status)) => Outcome::failed(seconds, format!("{status}; {}", end_of(&err))),
    }
}

/// The last lines, which say what happened.
fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(6)..].join(" | ")
}

fn figures(measured: Measured) -> Value {
    let (wall, cpu) = (1e3 * measured.wall_per_item(), 1e3 * measured.cpu_per_item());
    json!({ "ok": true, "on": measured.on, "per_second": 1e3 / wall, "wall_ms": wall, "cpu_ms": cpu, "rounds": measured.wall.len() })
}
