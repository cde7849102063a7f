//! How much is copied between the processor and the device, at the size of the paper's policy.
//!
//! Each task runs in a process of its own, whose calls are counted at its end. What one more token, group or optimiser step
//! costs is the difference between two tasks. The bounds are what is true today, a tenth added.

use std::process::Command;
use std::sync::Arc;

use temper::crystal::{Element, Site, SpaceGroup, Tokens};
use temper::policy::{
    Draws, Hyperparameters, Likelihood, LossGradient, Parameters, Resources, SampleSettings, Sampler,
};
use temper::runtime::{Device, Locator, Runtime};
use temper::train::PpoSurrogate;

use crate::device::{FakeDevice, Report, device};

/// What the process that is counted does: a task's name and a number.
const TASK: &str = "TEMPER_TEST_TASK";

/// Crystals that are drawn side by side.
const ROWS: usize = 64;

fn runtime() -> Arc<Runtime> {
    Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cuda(0)).unwrap()
}

fn resources() -> Resources {
    let memory = runtime().memory(Device::Cuda(0));
    Resources { device: Device::Cuda(0), threads: 1, memory, ranks: temper::ranks::Ranks::one() }
}

fn draws(hyper: &Hyperparameters, parameters: &Parameters, sampler: Option<&Sampler>, sites: usize) {
    let made;
    let sampler = match sampler {
        Some(sampler) => sampler,
        None => {
            made = Sampler::load(&runtime(), hyper, resources()).unwrap().with_sites(vec![sites; ROWS]);
            &made
        }
    };
    let settings = SampleSettings::of_policy(None);
    let groups = vec![SpaceGroup::new(1).unwrap(); ROWS];
    sampler.sample(parameters, &groups, Draws { seed: 1, step: 0, first: 0 }, &settings).unwrap();
}

/// Triclinic crystals of one length.
fn crystals(sites: usize) -> Vec<Tokens> {
    let site =
        |i: usize| Site { wyckoff: 1, species: Element::from_number(11).unwrap(), coord: [0.1, 0.2, i as f64 / 20.0] };
    let crystal = Tokens {
        group: SpaceGroup::new(1).unwrap(),
        lattice: [4.0, 4.1, 4.2, 1.5, 1.6, 1.7],
        sites: (0..sites).map(site).collect(),
    };
    vec![crystal; 8]
}

/// Crystals that make so many groups: each is too short to be padded to the one before.
fn groups(number: usize) -> Vec<Tokens> {
    [20, 6, 1][..number].iter().map(|sites| crystals(*sites).remove(0)).collect()
}

fn loss(crystals: usize) -> PpoSurrogate {
    let zeros = vec![0.0; crystals];
    let (old_logp, base_logp, advantage) = (zeros.clone(), zeros.clone(), zeros);
    let row_weight = vec![1.0 / crystals as f64; crystals];
    PpoSurrogate { row_weight, old_logp, base_logp, advantage, clip: 0.2, beta: 0.0 }
}

/// Does what the variable asks for, in a process that a test below starts; nothing otherwise.
#[test]
fn the_task_of_a_child() {
    let Ok(task) = std::env::var(TASK) else { return };
    let (task, number) = task.split_once(' ').unwrap();
    let number: usize = number.parse().unwrap();
    let hyper = Hyperparameters::paper();
    let mut parameters = Parameters::initialise(&hyper, 1);
    match task {
        "decode" => draws(&hyper, &parameters, None, number),
        "groups" => {
            let likelihood = Likelihood::load(&runtime(), &hyper, resources()).unwrap();
            let crystals = groups(number);
            likelihood.log_probabilities(&parameters, &crystals.iter().collect::<Vec<_>>()).unwrap();
        }
        "gradients" => {
            let gradient = LossGradient::<PpoSurrogate>::load(&runtime(), &hyper, resources()).unwrap();
            let crystals = groups(number);
            gradient.gradient(&parameters, &crystals.iter().collect::<Vec<_>>(), &loss(crystals.len())).unwrap();
        }
        // As many of the longest crystals.
        "long" => {
            let gradient = LossGradient::<PpoSurrogate>::load(&runtime(), &hyper, resources()).unwrap();
            let crystals = vec![crystals(20).remove(0); number];
            gradient.gradient(&parameters, &crystals.iter().collect::<Vec<_>>(), &loss(crystals.len())).unwrap();
        }
        _ => {
            let (runtime, crystals) = (runtime(), crystals(3));
            let crystals: Vec<&Tokens> = crystals.iter().collect();
            let sampler = Sampler::load(&runtime, &hyper, resources()).unwrap().with_sites(vec![1; ROWS]);
            let likelihood = Likelihood::load(&runtime, &hyper, resources()).unwrap();
            let gradient = LossGradient::<PpoSurrogate>::load(&runtime, &hyper, resources()).unwrap();
            let base = parameters.clone();
            for _ in 0..number {
                parameters.iter_mut().for_each(|(_, mut p)| p *= 1.01);
                draws(&hyper, &parameters, Some(&sampler), 1);
                likelihood.log_probabilities(&parameters, &crystals).unwrap();
                likelihood.log_probabilities(&base, &crystals).unwrap();
                gradient.gradient(&parameters, &crystals, &loss(crystals.len())).unwrap();
            }
        }
    }
}

fn child(task: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["copies::the_task_of_a_child", "--exact", "--nocapture"]).env(TASK, task);
    command
}

fn counted(device: &FakeDevice, task: &str) -> Report {
    let (output, report) = device.run(child(task));
    assert!(output.status.success(), "{task}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(report.contains_key("cudaMalloc"), "{task} never came to the device");
    report
}

/// What a process cost, or a part of its work.
#[derive(Debug)]
struct Cost {
    /// Bytes to the device, and back.
    up: f64,
    down: f64,
    /// Bytes from one place of the device to another.
    within: f64,
    /// Copies to the device.
    copies_up: f64,
    /// Times that the processor waited for the device.
    waits: f64,
    /// Sessions that were made: each that runs has a stream of its own.
    sessions: f64,
}

impl Cost {
    fn of(report: &Report) -> Self {
        let sum = |names: &[&str], i: usize| {
            let calls = names.iter().filter_map(|name| report.get(*name));
            calls.map(|(count, bytes)| [*count, *bytes][i] as f64).sum::<f64>()
        };
        let up = ["H2D async", "H2D sync"];
        Self {
            up: sum(&up, 1),
            down: sum(&["D2H async", "D2H sync"], 1),
            within: sum(&["D2D async", "D2D sync"], 1),
            copies_up: sum(&up, 0),
            waits: sum(&["cudaStreamSynchronize", "cudaDeviceSynchronize"], 0),
            sessions: sum(&["cudaStreamCreateWithFlags"], 0),
        }
    }
}

/// What a unit costs, of which the second task has `units` more than the first; and what the second task costs in all.
fn difference(device: &FakeDevice, tasks: [&str; 2], units: f64) -> [Cost; 2] {
    let [less, more] = tasks.map(|task| Cost::of(&counted(device, task)));
    let each = |of: fn(&Cost) -> f64| (of(&more) - of(&less)) / units;
    let each = Cost {
        up: each(|cost| cost.up),
        down: each(|cost| cost.down),
        within: each(|cost| cost.within),
        copies_up: each(|cost| cost.copies_up),
        waits: each(|cost| cost.waits),
        sessions: each(|cost| cost.sessions),
    };
    println!("{} less {}, each of {units}: {each:?}; in all: {more:?}", tasks[1], tasks[0]);
    [each, more]
}

/// Caches stay on the device and are written in place: what goes up is the last token, what comes down the row of the
/// distribution. Their room grows on the way, from 40 tokens to 60.
#[test]
fn copies_of_a_token() {
    let Some(device) = device() else { return };
    let [cost, _] = difference(device, ["decode 5", "decode 9"], 20.0);
    assert!(cost.up < 6.2e3 && cost.down < 48.2e3 && cost.sessions == 0.0, "{cost:?}");
    assert!(cost.copies_up < 12.0 && cost.within < 60e3 && cost.waits < 3.0, "{cost:?}");
}

/// Within a token the host waits for the device only where it has asked for the row. (It waits for a compaction, too; here the
/// caches have room for all tokens.) Nothing is allocated.
#[test]
fn nothing_waits_within_a_token_but_for_its_row() {
    let Some(device) = device() else { return };
    let calls = device.trace(child("decode 3"));
    let is_row = |call: &String| call.starts_with("D2H async 43776 ");
    let (first, last) = (calls.iter().position(is_row).unwrap(), calls.iter().rposition(is_row).unwrap());
    assert!(calls.iter().filter(|call| is_row(call)).count() >= 15);
    let waits = |call: &String| call.contains("Synchronize");
    for (before, call) in calls[first..last].iter().zip(&calls[first + 1..]).filter(|(_, call)| waits(call)) {
        assert!(
            call.ends_with("kernels=0 gemms=0") && (waits(before) || before.starts_with("D2H")),
            "{before}, {call}"
        );
    }
    let allocations = calls[first..last].iter().filter(|call| call.starts_with("cudaMalloc")).count();
    assert_eq!(allocations, 0);
}

/// Of a batch whose gradient takes more than the device has, a quarter of the device is taken at a time, and little beside it.
#[test]
fn a_batch_is_cut_to_the_memory_of_the_device() {
    let Some(device) = device() else { return };
    let peak = |task| counted(device, task)["peak"].1 as f64 / f64::from(1 << 30);
    let [few, many] = [peak("long 24"), peak("long 120")];
    println!("24 crystals of 20 sites: {few:.2} GiB; 120: {many:.2} GiB");
    assert!((many - few).abs() < 0.1, "{few} {many}");
    assert!(many < 1.6, "{many}");
}

/// Parameters stay on the device: what goes up are the crystals.
#[test]
fn copies_of_a_group_of_log_probabilities() {
    let Some(device) = device() else { return };
    let [cost, _] = difference(device, ["groups 1", "groups 2"], 1.0);
    assert!(cost.up < 5.6e3 && cost.down < 40.0 && cost.sessions == 0.0, "{cost:?}");
    assert!(cost.waits > 0.0, "no other group: {cost:?}");
}

/// The sum of the gradients stays on the device, too.
#[test]
fn copies_of_a_group_of_gradients() {
    let Some(device) = device() else { return };
    let [cost, _] = difference(device, ["gradients 1", "gradients 2"], 1.0);
    assert!(cost.up < 7.6e3 && cost.down < 40.0 && cost.sessions == 0.0, "{cost:?}");
    assert!(cost.waits > 0.0, "no other group: {cost:?}");
}

/// Of 64 crystals of one site, and a group of eight that is scored under policy and base and differentiated. The parameters go up
/// once, 19.3 MB, for all graphs; the base has stayed there. The gradient comes down once. No session is made.
#[test]
fn copies_of_an_optimiser_step() {
    let Some(device) = device() else { return };
    let [cost, all] = difference(device, ["step 1", "step 3"], 2.0);
    assert!(cost.up < 19.6e6 && cost.down < 19.8e6 && cost.sessions == 0.0, "{cost:?}");
    // Preparation, decoding, compaction, log-probabilities and gradients, and the one that tries the device.
    assert!(all.sessions <= 6.0, "{all:?}");
}
