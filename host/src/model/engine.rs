//! A loaded graph, and how large its batches may be.

use std::sync::Mutex;

use super::graph_inputs::AtomGraph;
use super::{EvaluationError, ModelInput, ModelOptions, OnnxModel};
use crate::runtime::{self, Runtime, Session};

/// Memory that a graph with derivatives takes for each edge and triplet, bytes: it keeps the activations of its forward pass.
/// CHGNet's takes 18.1 to 18.5 kB, whether edges or triplets; for energies alone 2 kB.
const BYTES_PER_COST: u64 = 20_000;

/// Edges and triplets of a crystal of some hundreds of atoms, for which a session should have room.
const LARGE: usize = 65_536;

/// A graph, loaded as often as it may run side by side.
#[derive(Debug)]
pub(super) struct Engine {
    pub sessions: Vec<Mutex<Session>>,
    /// What the graph is fed beside the inputs of the contract.
    pub extra: Vec<ModelInput>,
    /// Edges and triplets of one batch; a single crystal may have more.
    batch_cost: usize,
    /// Most edges and triplets of a single crystal.
    largest: usize,
}

impl Engine {
    /// A graph of energies or properties in `count` sessions.
    pub fn open(
        count: usize,
        options: &ModelOptions,
        session: impl Fn() -> Result<Session, runtime::Error>,
    ) -> Result<Self, runtime::Error> {
        let sessions = (0..count).map(|_| session().map(Mutex::new)).collect::<Result<_, _>>()?;
        Ok(Self { sessions, extra: Vec::new(), batch_cost: options.batch_cost, largest: usize::MAX })
    }

    /// A graph with derivatives: as many sessions as the memory allows with a large crystal in each. Batches are smaller, for
    /// the memory that they take.
    pub fn of_derivatives(
        runtime: &Runtime,
        model: &OnnxModel,
        graph: &[u8],
        extra: Vec<ModelInput>,
    ) -> Result<Self, runtime::Error> {
        let budget = usize::try_from(model.options.memory / BYTES_PER_COST).unwrap_or(usize::MAX);
        let count = (budget / LARGE).clamp(1, model.engine.sessions.len());
        let largest = budget / count;
        let name = format!("{} with forces", model.contract.path.display());
        let session = model.options.session();
        let open = || Session::from_bytes(runtime, &name, graph, &session);
        let batch_cost = (model.options.batch_cost / 4).min(largest);
        Ok(Self { extra, batch_cost, largest, ..Self::open(count, &model.options, open)? })
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
