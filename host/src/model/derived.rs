//! The graph of a potential with forces and stress, derived from its energy.

use std::path::Path;

use super::model_file::ModelFile;
use super::{Axis, Contract, InputKind, ModelError, ModelInput, OutputKind, cache};
use crate::graph::{self, EdgeGeometry, Potential};

/// Names of the outputs that are added, chosen so that no exporter uses them.
pub(super) const ADDED: [&str; 2] = ["temper/forces", "temper/stress"];

/// Inputs that the derivatives need and a file may lack, likewise.
const EXTRA: [(InputKind, &str, &[Axis]); 6] = [
    (InputKind::Positions, "temper/positions", &[Axis::Atoms, Axis::Fixed(3)]),
    (InputKind::Cell, "temper/cell", &[Axis::Crystals, Axis::Fixed(3), Axis::Fixed(3)]),
    (InputKind::Batch, "temper/batch", &[Axis::Atoms]),
    (InputKind::EdgeCentre, "temper/edge_centre", &[Axis::Edges]),
    (InputKind::EdgeNeighbour, "temper/edge_neighbour", &[Axis::Edges]),
    (InputKind::EdgeVector, "temper/edge_vector", &[Axis::Edges, Axis::Fixed(3)]),
];

/// The model's file with forces and stress added.
pub(super) struct DerivedGraph {
    pub bytes: Vec<u8>,
    /// What it is fed beside the inputs of the contract.
    pub extra: Vec<ModelInput>,
    key: cache::Key,
    /// Only what has been verified is stored.
    pub from_cache: bool,
}

impl DerivedGraph {
    /// From the cache, or made now.
    pub fn of(contract: &Contract, cache: Option<&Path>) -> Result<Self, ModelError> {
        let no_forces = |reason: String| ModelError::NoForces { model: contract.path.display().to_string(), reason };
        let (potential, extra) = potential(contract).map_err(no_forces)?;
        let file = ModelFile::read(&contract.path)?;
        let key = cache::Key::new(file.contents(), &potential);
        if let Some(bytes) = cache.and_then(|folder| cache::load(folder, &key)) {
            return Ok(Self { bytes, extra, key, from_cache: true });
        }
        let derived = graph::add_forces_and_stress(&file.model, &potential);
        let derived = derived.map_err(|error| no_forces(error.to_string()))?;
        Ok(Self { bytes: graph::encode(&derived), extra, key, from_cache: false })
    }

    /// A cache that cannot be written costs time and nothing else.
    pub fn store(&self, cache: Option<&Path>) {
        if let Some(Err(error)) = cache.map(|folder| cache::store(folder, &self.key, &self.bytes)) {
            tracing::debug!("a graph with derivatives is not kept: {error}");
        }
    }
}

/// Angstroms in the file's unit of length.
pub(super) fn length_factor(contract: &Contract) -> f64 {
    contract.inputs.iter().find(|input| input.kind.is_length()).map_or(1.0, |input| input.factor.abs())
}

/// The contract's ports under the file's names, and the inputs that are added to them; an error says why the file has no
/// derivatives.
pub(super) fn potential(contract: &Contract) -> Result<(Potential<'_>, Vec<ModelInput>), String> {
    let energy = contract.output("energy").ok_or("it gives no `energy`, so it is not a potential")?;
    let port = |kind: InputKind| contract.inputs.iter().find(|input: &&ModelInput| input.kind == kind);
    let geometry: Vec<InputKind> =
        contract.inputs.iter().map(|input| input.kind).filter(|kind| kind.is_length()).collect();
    if !geometry.iter().any(|kind| *kind != InputKind::Cell) {
        return Err("it takes no `positions` and nothing that is made of them, and does not depend on them".into());
    }
    let mut extra = Vec::new();
    let mut needed = |kind: InputKind| -> &str {
        if let Some(input) = port(kind) {
            return &input.name;
        }
        let added = EXTRA.iter().find(|(added, ..)| *added == kind);
        let (_, name, axes) = added.copied().unwrap_or((kind, "", &[]));
        extra.push(ModelInput::added(name, kind, axes, if kind.is_length() { length_factor(contract) } else { 1.0 }));
        name
    };
    let (positions, cell) = (needed(InputKind::Positions), needed(InputKind::Cell));
    // One crystal at a time needs nobody to say so.
    let batch = (!contract.one_at_a_time || port(InputKind::Batch).is_some()).then(|| needed(InputKind::Batch));
    let directed = |kind: InputKind| port(kind).map(|input| (input.name.as_str(), input.factor.signum()));
    let (vector, shift) = (directed(InputKind::EdgeVector), directed(InputKind::EdgeShiftCartesian));
    let length = port(InputKind::EdgeLength).map(|input| input.name.as_str());
    let edges = (vector.is_some() || shift.is_some() || length.is_some()).then(|| EdgeGeometry {
        centre: needed(InputKind::EdgeCentre),
        neighbour: needed(InputKind::EdgeNeighbour),
        vector,
        shift,
        length: length.map(|length| (length, needed(InputKind::EdgeVector))),
    });
    let potential = Potential {
        positions,
        cell,
        batch,
        edges,
        energy: &energy.name,
        per_atom: energy.kind == OutputKind::EnergyPerAtom,
        to_electronvolt: energy.factor,
        added: ADDED,
    };
    Ok((potential, extra))
}
