//! A file that nobody has run here yet is run in a process of its own first, on crystals that are known to be trouble. What came of it is
//! kept, so that it is done once.
//!
//! ONNX Runtime divides by zero in some operators, and ends the process in others, where a tensor is empty: a crystal without triplets is
//! enough. Most of these are kept from it (`graph/import/guards.rs`), but a file can hide them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::check::crystals::{dimer, known_elements, simple_cubic};
use super::check::textbook_crystals;
use super::engine::Engine;
use super::graph_inputs::AtomGraph;
use super::graph_source::GraphSource;
use super::isolated_session::{IsolatedSession, IsolationError};
use super::isolation::ModelProcesses;
use super::{Contract, EvaluationError, LARGEST_LIST, ModelError, ModelInput, ModelOutput};
use crate::atomic::write_atomically;
use crate::crystal::Structure;
use crate::runtime::{Device, Runtime};
use crate::worker::{StartError, WorkerFailure};

/// How long a graph may take to be loaded, and a small crystal to be evaluated. ONNX Runtime 1.28 takes 20 s to load a graph with
/// derivatives of 7000 nodes in a chain.
const LOADING: Duration = Duration::from_secs(300);
const RUNNING: Duration = Duration::from_secs(30);

/// Memory that a small crystal may take, bytes, beside so many times the graph's own size.
const MEMORY: u64 = 4 << 30;
const COPIES: u64 = 4;

/// Atoms of a crystal that is small.
const SMALL: usize = 6;

/// What was seen of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Nothing happened.
    Sound,
    /// It killed ONNX Runtime: on which crystal, and how.
    Dies(String),
    /// It cannot be used: why.
    Unusable(String),
}

/// A verdict as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The program and the library that it was found with: others may find otherwise.
    found_with: String,
    verdict: Verdict,
}

/// What a graph is fed and asked for.
pub(super) struct Ports<'a> {
    pub contract: &'a Contract,
    /// What it is fed beside the inputs of the contract.
    pub extra: &'a [ModelInput],
    pub outputs: &'a [&'a ModelOutput],
}

/// What is kept of the graph, or is seen now.
///
/// # Errors
/// [`ModelError::Process`] when no process can be started, or loading takes too long here and now.
pub(super) fn first_look(
    runtime: &Runtime,
    graph: &GraphSource,
    ports: &Ports<'_>,
    processes: &ModelProcesses,
) -> Result<Verdict, ModelError> {
    let found_with = format!("temper {}, ONNX Runtime {}", env!("CARGO_PKG_VERSION"), runtime.build_info());
    let kept_at = processes.cache.as_ref().and_then(|cache| kept_at(cache, graph, ports));
    let read = |path: &PathBuf| serde_json::from_slice::<Kept>(&std::fs::read(path).ok()?).ok();
    if let Some(kept) = kept_at.as_ref().and_then(read).filter(|kept| kept.found_with == found_with) {
        return Ok(kept.verdict);
    }
    let verdict = look(runtime, graph, ports, processes)?;
    if let Some(path) = kept_at {
        // A verdict that is not kept is found again.
        let _ = path.parent().map(std::fs::create_dir_all);
        let kept = serde_json::to_vec(&Kept { found_with, verdict: verdict.clone() });
        let _ = kept.map(|bytes| write_atomically(&path, &bytes));
    }
    Ok(verdict)
}

/// Under a hash of all that decides what happens: the graph, and how it is fed.
fn kept_at(cache: &Path, graph: &GraphSource, Ports { contract, extra, .. }: &Ports<'_>) -> Option<PathBuf> {
    let mut hash = Sha256::new();
    let fed = format!("{:?}", (&contract.inputs, extra, contract.cutoff, contract.triplet_cutoff, contract.state));
    hash.update(fed.as_bytes());
    match &graph.bytes {
        Some(bytes) => hash.update(bytes),
        None => {
            for file in std::iter::once(&graph.path).chain(&contract.external) {
                hash.update(std::fs::read(file).ok()?);
            }
        }
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Some(cache.join("models").join(format!("{name}.json")))
}

fn look(
    runtime: &Runtime,
    graph: &GraphSource,
    ports: &Ports<'_>,
    processes: &ModelProcesses,
) -> Result<Verdict, ModelError> {
    let session = match started(runtime, graph, ports.contract, processes) {
        Ok(session) => session,
        // It says so again when it is loaded in earnest.
        Err(IsolationError::Refused(_)) => return Ok(Verdict::Sound),
        Err(IsolationError::Start(StartError::Failed(failure))) => {
            return harm(graph, "loading it", failure).map(Verdict::Unusable);
        }
        Err(error) => return Err(ModelError::Process { model: graph.name.clone(), reason: error.to_string() }),
    };
    let engine = Engine::of_one(session, ports.extra.to_vec());
    for (what, crystal) in cases(ports.contract) {
        let Err(EvaluationError::Died(failure)) = engine.run(ports.contract, &[crystal], ports.outputs) else {
            continue;
        };
        let dies = matches!(failure, WorkerFailure::Exited { .. });
        let reason = harm(graph, what, failure)?;
        return Ok(if dies { Verdict::Dies(reason) } else { Verdict::Unusable(reason) });
    }
    Ok(Verdict::Sound)
}

/// The process in which the graph is looked at.
fn started(
    runtime: &Runtime,
    graph: &GraphSource,
    contract: &Contract,
    processes: &ModelProcesses,
) -> Result<IsolatedSession, IsolationError> {
    let options = super::onnx_model::session_options(Device::Cpu, Some(RUNNING));
    let size = graph.bytes.as_ref().map_or_else(|| size_of_files(graph, contract), |bytes| bytes.len() as u64);
    let memory = MEMORY + COPIES * size;
    let limits = ModelProcesses {
        memory: Some(processes.memory.map_or(memory, |most| most.min(memory))),
        start_deadline: processes.start_deadline.min(LOADING),
        max_restarts: 0,
        ..processes.clone()
    };
    let session = IsolatedSession::new(&IsolatedSession::service(runtime, graph, &options, &limits), options.deadline);
    session.start().map(|()| session)
}

/// What the process came to, in words. That something took too long may lie in the machine: it is an error of now, and not kept.
fn harm(graph: &GraphSource, what: &str, failure: WorkerFailure) -> Result<String, ModelError> {
    match failure {
        WorkerFailure::Exited { how, .. } => Ok(format!("{what}: ONNX Runtime {how}")),
        WorkerFailure::Memory { limit, .. } => Ok(format!("{what} takes more than {} MiB of memory", limit >> 20)),
        WorkerFailure::Deadline(deadline) => {
            let reason = format!("{what} takes longer than {} s", deadline.as_secs_f64());
            Err(ModelError::Unusable { model: graph.name.clone(), reason })
        }
        other => Err(ModelError::Process { model: graph.name.clone(), reason: other.to_string() }),
    }
}

fn size_of_files(graph: &GraphSource, contract: &Contract) -> u64 {
    let size = |file: &PathBuf| std::fs::metadata(file).map_or(0, |file| file.len());
    std::iter::once(&graph.path).chain(&contract.external).map(size).sum()
}

/// Crystals to look at, as far as the model takes such: one like any other, one without triplets, one without edges.
fn cases(contract: &Contract) -> Vec<(&'static str, AtomGraph)> {
    let mut cases = Vec::new();
    let graph = |structure: &Structure| AtomGraph::with_isolated_atoms(structure, contract, LARGEST_LIST).ok();
    let small = textbook_crystals(contract).named.into_iter().filter(|(_, structure)| structure.len() <= SMALL);
    cases.extend(small.map(|(_, structure)| structure).find_map(|s| graph(&s)).map(|graph| ("a small crystal", graph)));
    let Some(&element) = known_elements(contract).first() else { return cases };
    let Some(cutoff) = contract.cutoff else { return cases };
    if let Some(triplet) = contract.triplet_cutoff {
        // One edge for each atom makes no pair of edges.
        let pair = dimer([element; 2], 0.7 * triplet, cutoff);
        cases.extend(graph(&pair).map(|graph| ("a crystal without triplets", graph)));
    }
    let lonely = simple_cubic(element, 3.0 * cutoff);
    cases.extend(graph(&lonely).map(|graph| ("a crystal without edges", graph)));
    cases
}
