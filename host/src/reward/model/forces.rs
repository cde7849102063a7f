//! Forces and stress of a potential: its own, or derived from its energy.

use std::path::Path;
use std::sync::Arc;

use super::{Engine, ModelError, OnnxModel, cache};
use crate::crystal::Structure;
use crate::graph::{self, GraphError, Potential};
use crate::reward::{Contract, ContractError, Failure, InputKind, ModelInput, ModelOutput, OutputKind};
use crate::runtime::Runtime;

/// Names of the outputs that are added; a file of another tool hardly has them.
const ADDED: [&str; 2] = ["temper/forces", "temper/stress"];

/// A potential with forces and stress.
#[derive(Debug)]
pub struct ForceModel {
    model: Arc<OnnxModel>,
    /// The potential with its derivatives, unless it has them itself.
    derived: Option<Engine>,
    forces: ModelOutput,
    stress: ModelOutput,
}

/// How a crystal's energy changes as its atoms move and its cell is strained.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// Force on each atom, eV/A.
    pub forces: Vec<[f64; 3]>,
    /// Derivative of the energy by strain over the volume, eV/A^3, sign as in ASE: negative where the crystal would expand.
    pub stress: [[f64; 3]; 3],
}

impl Response {
    /// Length of the largest force, eV/A.
    pub fn largest_force(&self) -> f64 {
        self.forces.iter().map(length).fold(0.0, f64::max)
    }

    /// Hydrostatic pressure, eV/A^3: positive where the crystal would expand.
    pub fn pressure(&self) -> f64 {
        -(self.stress[0][0] + self.stress[1][1] + self.stress[2][2]) / 3.0
    }

    /// The stress as xx, yy, zz, yz, xz, xy, eV/A^3.
    pub fn voigt(&self) -> [f64; 6] {
        let [[xx, xy, xz], [_, yy, yz], [.., zz]] = self.stress;
        [xx, yy, zz, yz, xz, xy]
    }
}

pub(in crate::reward) fn length(vector: &[f64; 3]) -> f64 {
    vector.iter().map(|x| x * x).sum::<f64>().sqrt()
}

impl ForceModel {
    /// Takes the potential's own forces and stress, or differentiates its energy. What is derived is kept in the folder
    /// `cache`, if there is one: a file is differentiated once.
    ///
    /// # Errors
    /// [`ModelError::NoForces`] when the model is no potential or cannot be differentiated, and what loading a model may give.
    pub fn new(runtime: &Runtime, model: Arc<OnnxModel>, cache: Option<&Path>) -> Result<Self, ModelError> {
        let contract = model.contract();
        let own = |quantity| contract.output(quantity).cloned();
        let added = |i: usize, quantity: &str, kind| ModelOutput {
            name: ADDED[i].into(),
            quantity: quantity.into(),
            kind,
            factor: 1.0,
        };
        let (forces, stress) = (own("forces"), own("stress"));
        let derived = match (&forces, &stress) {
            (Some(_), Some(_)) => None,
            _ => Some(Engine::of_derivatives(runtime, &model, &derived_graph(contract, cache)?)?),
        };
        let forces = forces.unwrap_or_else(|| added(0, "forces", OutputKind::Forces));
        let stress = stress.unwrap_or_else(|| added(1, "stress", OutputKind::Stress));
        Ok(Self { model, derived, forces, stress })
    }

    /// The potential.
    pub fn model(&self) -> &OnnxModel {
        &self.model
    }

    /// As [`OnnxModel::evaluate`], with forces and stress.
    pub fn evaluate(
        &self,
        structures: &[&Structure],
        quantities: &[&str],
    ) -> Vec<Result<(Vec<f64>, Response), Failure>> {
        let mut outputs = match self.model.scalar_outputs(quantities) {
            Ok(outputs) => outputs,
            Err(failure) => return vec![Err(failure); structures.len()],
        };
        outputs.extend([&self.forces, &self.stress]);
        let engine = self.derived.as_ref().unwrap_or(&self.model.engine);
        let rows = self.model.rows(engine, structures, &outputs);
        rows.into_iter().map(|row| row.and_then(|numbers| response(numbers, quantities.len()))).collect()
    }
}

/// Takes a row apart: `scalars` numbers, the forces, the stress.
fn response(mut numbers: Vec<Vec<f64>>, scalars: usize) -> Result<(Vec<f64>, Response), Failure> {
    let vectors: Vec<f64> = numbers.drain(scalars..).flatten().collect();
    let mut forces = vectors.as_chunks::<3>().0.to_vec();
    let stress = forces.len().checked_sub(3).map(|atoms| forces.split_off(atoms));
    let stress = stress.and_then(|rows| rows.try_into().ok());
    let stress = stress.ok_or_else(|| Failure::Model("it gave no stress".into()))?;
    Ok((numbers.into_iter().flatten().collect(), Response { forces, stress }))
}

/// The bytes of the model's file with forces and stress added, from the cache or made now.
fn derived_graph(contract: &Contract, cache: Option<&Path>) -> Result<Vec<u8>, ModelError> {
    let no_forces = |reason: String| ModelError::NoForces { model: contract.path.display().to_string(), reason };
    let potential = potential(contract).map_err(no_forces)?;
    let read = |source| ContractError::Read { path: contract.path.clone(), source };
    let bytes = std::fs::read(&contract.path).map_err(read)?;
    let key = cache::Key::new(&bytes, &potential);
    if let Some(graph) = cache.and_then(|folder| cache::load(folder, &key)) {
        return Ok(graph);
    }
    let derive = || -> Result<Vec<u8>, GraphError> {
        let derived = graph::add_forces_and_stress(&graph::decode(&bytes)?, &potential)?;
        Ok(graph::encode(&derived))
    };
    let graph = derive().map_err(|error| no_forces(error.to_string()))?;
    // A cache that cannot be written costs time and nothing else.
    if let Some(Err(error)) = cache.map(|folder| cache::store(folder, &key, &graph)) {
        tracing::debug!("the derivatives of {} are not kept: {error}", contract.path.display());
    }
    Ok(graph)
}

/// The contract's ports under the file's names; an error says why the file has no derivatives.
fn potential(contract: &Contract) -> Result<Potential<'_>, String> {
    let port = |kind: InputKind| contract.inputs.iter().find(|input: &&ModelInput| input.kind == kind);
    let needed = |kind, what: &str| {
        port(kind)
            .map(|input| input.name.as_str())
            .ok_or_else(|| format!("it takes no `{what}`, and does not depend on it"))
    };
    let energy = contract.output("energy").ok_or("it gives no `energy`, so it is no potential")?;
    let batch = port(InputKind::Batch).map(|input| input.name.as_str());
    if batch.is_none() && !contract.one_at_a_time {
        return Err("it takes no `batch`, and is not for one crystal at a time either".into());
    }
    Ok(Potential {
        positions: needed(InputKind::Positions, "positions")?,
        cell: needed(InputKind::Cell, "cell")?,
        batch,
        energy: &energy.name,
        per_atom: energy.kind == OutputKind::EnergyPerAtom,
        to_electronvolt: energy.factor,
        added: ADDED,
    })
}
