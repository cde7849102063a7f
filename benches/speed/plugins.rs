//! What it costs to ask a plugin, beyond the plugin's own work: the plugin counts atoms.

use std::time::Duration;

use serde_json::Map;
use temper::crystal::{Structure, Tokens};
use temper::plugin::{Evaluator, PluginLibrary, REWARD, Supervision, WorkerCommand, serve};
use temper_plugin_api::{Batch, Outcome, Plugin, Properties, Result, Reward};

use super::crystals::drawn;
use super::measure::{Effort, Measured};

/// Crystals of a batch.
const BATCH: usize = 1000;

/// Set for the process of a worker.
pub const WORKER: &str = "TEMPER_BENCH_WORKER";

struct Atoms;

impl Reward for Atoms {
    type Config = ();

    fn properties() -> Properties {
        Properties::new("atoms")
    }

    fn new((): ()) -> Result<Self> {
        Ok(Self)
    }

    fn score(&self, batch: &Batch<'_>) -> Result<Vec<Outcome>> {
        Ok(batch.crystals().map(|crystal| Outcome::Value(crystal.atomic_numbers.len() as f64)).collect())
    }
}

fn plugin() -> Plugin {
    Plugin::new("atoms", "1.0.0").reward::<Atoms>()
}

fn library() -> PluginLibrary {
    PluginLibrary::of(plugin).expect("a plugin")
}

/// What the process of a worker does.
pub fn work() {
    serve(|| Ok(library()), 1).expect("a host");
}

pub fn in_process(effort: Effort) -> Measured {
    ask(effort, &Evaluator::in_process(&library(), REWARD, &Map::new()).expect("an instance"), 200)
}

pub fn in_a_worker(effort: Effort) -> Measured {
    let program = std::env::current_exe().expect("own path").into_os_string();
    let command = WorkerCommand::new("env", vec![format!("{WORKER}=1").into(), program]);
    let second = Duration::from_secs(1);
    let supervision = Supervision::of_one(30 * second, 30 * second, None);
    ask(effort, &Evaluator::in_workers("atoms", command, REWARD, &Map::new(), supervision).expect("a worker"), 20)
}

fn ask(effort: Effort, evaluator: &Evaluator, repeats: usize) -> Measured {
    let crystals = drawn(effort.items(BATCH));
    let structures: Vec<Structure> = crystals.iter().map(|t: &Tokens| t.to_structure().expect("a structure")).collect();
    let refs: Vec<&Structure> = structures.iter().collect();
    let atoms: usize = structures.iter().map(Structure::len).sum();
    let on = format!("{} crystals, {:.1} atoms on average", refs.len(), atoms as f64 / refs.len() as f64);
    // Enough for a clock of 10 ms.
    let repeats = effort.items(repeats);
    let mut values = Vec::new();
    let measured = Measured::of(effort, on, repeats * refs.len(), || {
        for _ in 0..repeats {
            values = evaluator.evaluate(&refs, None);
        }
    });
    assert!(values.iter().zip(&refs).all(|(value, crystal)| *value == Ok(Some(crystal.len() as f64))));
    measured
}
