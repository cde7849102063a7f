//! A loaded graph, and how large its batches may be.

use std::sync::{Mutex, PoisonError};

use super::evaluate::{OutputRow, numbers};
use super::first_look::{Ports, Verdict, first_look};
use super::graph_inputs::{self, AtomGraph};
use super::graph_source::GraphSource;
use super::isolated_session::IsolatedSession;
use super::isolation::{Isolation, ModelProcesses};
use super::{Contract, EvaluationError, ModelError, ModelInput, ModelOptions, ModelOutput, OnnxModel};
use crate::graph::Tensor;
use crate::runtime::{Input, Runtime, Session};

/// Memory that a graph with derivatives takes for each edge and triplet, bytes: it keeps the activations of its forward pass.
/// CHGNet's takes 18.1 to 18.5 kB, whether edges or triplets; for energies alone 2 kB.
const BYTES_PER_COST: u64 = 20_000;

/// Edges and triplets of a crystal of some hundreds of atoms, for which a session should have room.
const LARGE: usize = 65_536;

/// A graph, loaded as often as it may run side by side.
#[derive(Debug)]
pub(super) struct Engine {
    pub sessions: Vec<Mutex<GraphSession>>,
    /// What the graph is fed beside the inputs of the contract.
    pub extra: Vec<ModelInput>,
    /// How it died when it was first looked at, if it did; it runs in processes of its own then.
    pub dies: Option<String>,
    /// Edges and triplets of one batch; a single crystal may have more.
    batch_cost: usize,
    /// Most edges and triplets of a single crystal.
    largest: usize,
}

/// A loaded graph, here or in a process of its own.
#[derive(Debug)]
pub(super) enum GraphSession {
    Here(Session),
    Isolated(IsolatedSession),
}

impl GraphSession {
    fn run(&mut self, inputs: &[(&str, Input<'_>)], outputs: &[&str]) -> Result<Vec<Tensor>, EvaluationError> {
        match self {
            Self::Here(session) => Ok(session.run(inputs, outputs)?),
            Self::Isolated(session) => session.run(inputs, outputs),
        }
    }
}

impl Engine {
    /// A graph of energies or properties in `count` sessions.
    pub fn open(
        runtime: &Runtime,
        graph: &GraphSource,
        ports: &Ports<'_>,
        count: usize,
        options: &ModelOptions,
    ) -> Result<Self, ModelError> {
        let look = |processes| first_look(runtime, graph, ports, processes);
        let verdict = match (options.isolation, &options.processes) {
            (None, Some(processes)) => look(processes)?,
            _ => Verdict::Sound,
        };
        let dies = match verdict {
            Verdict::Sound => None,
            Verdict::Dies(how) => Some(how),
            Verdict::Unusable(reason) => return Err(ModelError::Unusable { model: graph.name.clone(), reason }),
        };
        let apart = dies.is_some() || options.isolation == Some(Isolation::Process);
        let sessions = match options.processes.as_ref().filter(|_| apart) {
            Some(processes) => isolated(runtime, graph, count, options, processes)?,
            None => {
                let session = || graph.open(runtime, &options.session()).map(GraphSession::Here);
                (0..count).map(|_| session().map(Mutex::new)).collect::<Result<_, _>>()?
            }
        };
        let (extra, batch_cost) = (ports.extra.to_vec(), options.batch_cost);
        Ok(Self { sessions, extra, dies, batch_cost, largest: usize::MAX })
    }

    /// One session, for single crystals.
    pub fn of_one(session: IsolatedSession, extra: Vec<ModelInput>) -> Self {
        let sessions = vec![Mutex::new(GraphSession::Isolated(session))];
        Self { sessions, extra, dies: None, batch_cost: 0, largest: usize::MAX }
    }

    /// A graph with derivatives: as many sessions as the memory allows with a large crystal in each. Batches are smaller, for
    /// the memory that they take.
    pub fn of_derivatives(
        runtime: &Runtime,
        model: &OnnxModel,
        graph: Vec<u8>,
        extra: &[ModelInput],
        outputs: &[&ModelOutput],
    ) -> Result<Self, ModelError> {
        let budget = usize::try_from(model.options.memory / BYTES_PER_COST).unwrap_or(usize::MAX);
        let count = (budget / LARGE).clamp(1, model.engine.sessions.len());
        let largest = budget / count;
        let path = model.contract.path.clone();
        let graph = GraphSource { name: format!("{} with forces", path.display()), path, bytes: Some(graph) };
        let batch_cost = (model.options.batch_cost / 4).min(largest);
        let ports = Ports { contract: &model.contract, extra, outputs };
        Ok(Self { batch_cost, largest, ..Self::open(runtime, &graph, &ports, count, &model.options)? })
    }

    /// One row of numbers per crystal, as the graph gives them.
    pub fn run(
        &self,
        contract: &Contract,
        batch: &[AtomGraph],
        outputs: &[&ModelOutput],
    ) -> Result<Vec<OutputRow>, EvaluationError> {
        let inputs = contract.inputs.iter().chain(&self.extra);
        let tensors: Vec<(&str, Tensor)> =
            inputs.map(|input| (input.name.as_str(), graph_inputs::tensor(input, batch, contract))).collect();
        let inputs: Vec<(&str, Input<'_>)> = tensors.iter().map(|(name, tensor)| (*name, tensor.into())).collect();
        let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        let worker = rayon::current_thread_index().unwrap_or(0) % self.sessions.len();
        let mut session = self.sessions[worker].lock().unwrap_or_else(PoisonError::into_inner);
        let results = session.run(&inputs, &names)?;
        drop(session);
        let mut rows = vec![OutputRow::with_capacity(outputs.len()); batch.len()];
        for (output, tensor) in outputs.iter().zip(&results) {
            for (row, values) in rows.iter_mut().zip(numbers(output, tensor, batch).map_err(EvaluationError::Failed)?) {
                row.push(values);
            }
        }
        Ok(rows)
    }

    /// How many crystals of these costs, at least one, make a batch.
    pub fn batch_length(&self, costs: impl Iterator<Item = usize>) -> usize {
        let total = costs.scan(0, |total, cost| {
            *total += cost;
            Some(*total)
        });
        total.take_while(|total| *total <= self.batch_cost).count().max(1)
    }

    /// The crystal, if it is not too large.
    pub fn has_room_for(&self, crystal: AtomGraph) -> Result<AtomGraph, EvaluationError> {
        let (cost, largest) = (crystal.cost(), self.largest);
        if cost > largest { Err(EvaluationError::TooLarge { cost, largest }) } else { Ok(crystal) }
    }
}

/// Sessions in processes of their own; the first one is started now, so that a graph that cannot be loaded is known.
fn isolated(
    runtime: &Runtime,
    graph: &GraphSource,
    count: usize,
    options: &ModelOptions,
    processes: &ModelProcesses,
) -> Result<Vec<Mutex<GraphSession>>, ModelError> {
    let service = IsolatedSession::service(runtime, graph, &options.session(), processes);
    let sessions: Vec<_> = (0..count).map(|_| IsolatedSession::new(&service, options.deadline)).collect();
    let failed = |reason: String| ModelError::Process { model: graph.name.clone(), reason };
    sessions.first().map_or(Ok(()), IsolatedSession::start).map_err(|error| failed(error.to_string()))?;
    Ok(sessions.into_iter().map(|session| Mutex::new(GraphSession::Isolated(session))).collect())
}
