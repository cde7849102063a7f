//! Contract version 1 of potentials and property models: the inputs, outputs and metadata of an ONNX file.
//!
//! A contract is read from the file's metadata (`temper.*`) and from a sidecar `NAME.toml` beside `NAME.onnx`. The
//! sidecar has the same keys without the prefix, takes precedence over the file, renames inputs and outputs, and gives
//! constants. A file that does not fit is refused with one sentence that names the file, the key, and what would make
//! it fit. Nothing is run here.

mod aliases;
mod error;
mod inputs;
mod inspection;
mod locate;
mod metadata;
mod operators;
mod outputs;
mod ports;
mod sidecar_template;
#[cfg(test)]
mod tests;
mod units;

use std::path::{Path, PathBuf};

use crate::crystal::Element;
use crate::graph::onnx::ModelProto;
use crate::input;
pub use error::ContractError;
pub use inputs::{InputKind, ModelInput};
pub use inspection::{Inspection, Port};
pub use locate::locate_model;
use metadata::Metadata;
pub use operators::Operators;
pub use outputs::{ModelOutput, OutputKind};
pub use ports::Axis;
pub(super) use sidecar_template::Choices;
pub use sidecar_template::SidecarLine;

/// The one version that this host speaks.
const VERSION: &str = "1";
/// Cutoffs beyond this are a mistake in the units, angstrom.
const LONGEST_CUTOFF: f64 = 30.0;

/// What a model's file says about itself.
#[derive(Clone, Debug)]
pub struct Contract {
    /// The `.onnx` file.
    pub path: PathBuf,
    /// What must be fed.
    pub inputs: Vec<ModelInput>,
    /// What comes out; at least one.
    pub outputs: Vec<ModelOutput>,
    /// Whether the file takes one crystal at a time.
    pub one_at_a_time: bool,
    /// Neighbours up to this distance, angstrom; given when edges are fed.
    pub cutoff: Option<f64>,
    /// Triplets of edges up to this length, angstrom; given when triplets are fed.
    pub triplet_cutoff: Option<f64>,
    /// Atomic numbers of the elements that the model knows, in the order in which they are listed.
    elements: Vec<u8>,
    /// Whether nothing says which elements it knows.
    pub(super) assumes_elements: bool,
    /// Energies are on this scale: "MP2020" with the Materials Project 2020 corrections in them, "PBE" raw, or a free name.
    pub energy_reference: Option<String>,
    /// Meaning of the values of `state`.
    pub states: Option<String>,
    /// The value fed as `state`.
    pub state: i64,
    /// Name of the model, or of its file.
    pub name: String,
    /// Version of the model.
    pub version: Option<String>,
    /// Licence of the model.
    pub license: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// Files beside it in which its tensors lie.
    pub external: Vec<PathBuf>,
    /// The operators of its graph.
    pub operators: Operators,
    /// What a user should know although the file is usable.
    pub warnings: Vec<String>,
}

impl Contract {
    /// Reads the contract of a model's file (or folder, see [`locate_model`]).
    ///
    /// # Errors
    /// [`ContractError`] when the file cannot be read or does not fit the contract.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let path = locate_model(path)?;
        let bytes = input::read(&path, input::MOST_PROTOBUF).map_err(|source| unreadable(&path, source))?;
        Self::of_bytes(&bytes, &path)
    }

    /// The contract of a model's bytes; a sidecar is sought beside `path`.
    pub(super) fn of_bytes(bytes: &[u8], path: &Path) -> Result<Self, ContractError> {
        let model = decode(bytes, path)?;
        let metadata = Metadata::read(&model, path)?;
        Self::assemble(&model, metadata, path)
    }

    /// The contract of a decoded model with its keys.
    fn assemble(model: &ModelProto, mut metadata: Metadata, path: &Path) -> Result<Self, ContractError> {
        let operators = Operators::of(model, path)?;
        let no_graph = || ContractError::NotOnnx { path: path.into(), reason: "it holds no graph".into() };
        let graph = model.graph.as_ref().ok_or_else(no_graph)?;
        check_version(&metadata, path)?;
        let (inputs, single_inputs) = inputs::inputs(graph, &metadata)?;
        let (outputs, single_outputs) = outputs::outputs(graph, &mut metadata)?;
        if outputs.is_empty() {
            return Err(ContractError::NoOutput { path: path.into(), reasons: metadata.warnings.join("; ") });
        }
        // A file that is not told which atom belongs to which crystal can only mean one crystal.
        let has_batch = inputs.iter().any(|input| input.kind.tells_crystals_apart());
        let one_at_a_time = single_inputs || single_outputs || !has_batch;
        let (cutoff, triplet_cutoff) = cutoffs(&inputs, &metadata, path)?;
        let state = default_state(&inputs, &metadata, path)?;
        let elements = metadata.parsed("elements", "atomic numbers such as 1-83,89-94", element_ranges)?;
        check_species(&inputs, elements.as_deref(), &metadata, path)?;
        let warnings = warnings(std::mem::take(&mut metadata.warnings), elements.is_some(), one_at_a_time, path);
        let text = |key| metadata.get(key).map(String::from);
        let stem = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            path: path.into(),
            inputs,
            outputs,
            one_at_a_time,
            cutoff,
            triplet_cutoff,
            assumes_elements: elements.is_none(),
            elements: elements.unwrap_or_else(|| (1..=118).collect()),
            energy_reference: text("energy_reference"),
            states: text("state"),
            state,
            name: text("name").unwrap_or_else(stem),
            version: text("version"),
            license: text("license"),
            source: text("source"),
            external: external_paths(model, path)?.into_iter().map(|(_, file)| file).collect(),
            operators,
            warnings,
        })
    }

    /// Whether the model was made for an element.
    pub fn knows(&self, element: Element) -> bool {
        self.elements.contains(&element.number())
    }

    /// Takes no other elements than these.
    pub(super) fn restrict_to(&mut self, elements: &[u8]) {
        self.elements = elements.to_vec();
    }

    /// How many elements the model knows, s.
    pub fn species(&self) -> usize {
        self.elements.len()
    }

    /// The place of an atomic number in the list of elements that the file declares, from 0.
    pub(super) fn place(&self, number: i64) -> Option<usize> {
        self.elements.iter().position(|known| i64::from(*known) == number)
    }

    /// The output of a quantity, such as `energy`.
    pub fn output(&self, quantity: &str) -> Option<&ModelOutput> {
        self.outputs.iter().find(|output| output.quantity == quantity)
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> ContractError {
    ContractError::Read { path: path.into(), source }
}

fn decode(bytes: &[u8], path: &Path) -> Result<ModelProto, ContractError> {
    crate::graph::decode(bytes).map_err(|error| ContractError::of_graph(path, error))
}

/// Names and paths of the files beside a model in which its tensors lie.
pub(in crate::model) fn external_paths(
    model: &ModelProto,
    path: &Path,
) -> Result<Vec<(String, PathBuf)>, ContractError> {
    let files = crate::graph::external_files(model);
    let files = files.map_err(|error| ContractError::of_graph(path, error))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(files.into_iter().map(|name| (name.clone(), folder.join(name))).collect())
}

fn check_version(metadata: &Metadata, path: &Path) -> Result<(), ContractError> {
    let expected = "1, the version of the contract that this program speaks";
    let version = metadata.parsed("contract", expected, |text| (text == VERSION).then_some(()))?;
    require(true, &version, "contract", "it says which version of the contract the file follows", path)
}

/// The cutoffs of edges and of triplets, angstrom, each where the inputs need it.
fn cutoffs(
    inputs: &[ModelInput],
    metadata: &Metadata,
    path: &Path,
) -> Result<(Option<f64>, Option<f64>), ContractError> {
    let edges = inputs.iter().any(|input| input.kind.needs_edges());
    let triplets = inputs.iter().any(|input| input.kind == InputKind::TripletIndex);
    let cutoff = metadata.parsed("cutoff", "a distance in angstrom, up to 30", distance)?;
    let triplet_cutoff = metadata.parsed("triplet_cutoff", "a distance in angstrom, up to 30", distance)?;
    require(edges, &cutoff, "cutoff", "the model takes edges", path)?;
    require(triplets, &triplet_cutoff, "triplet_cutoff", "the model takes triplets", path)?;
    match (cutoff, triplet_cutoff) {
        (Some(cutoff), Some(triplet)) if triplet > cutoff => {
            Err(metadata.refuse("triplet_cutoff", &format!("at most the cutoff of {cutoff} A")))
        }
        _ => Ok((cutoff.filter(|_| edges), triplet_cutoff.filter(|_| triplets))),
    }
}

/// The value of the input `state` unless a term gives another.
fn default_state(inputs: &[ModelInput], metadata: &Metadata, path: &Path) -> Result<i64, ContractError> {
    let state = metadata.parsed("state.default", "a whole number", |text| text.parse().ok())?;
    let needed = inputs.iter().any(|input| input.kind == InputKind::State);
    require(needed, &state, "state.default", "the model takes a state", path)?;
    Ok(state.unwrap_or(0))
}

/// What a user should know of a usable file, after what is known already.
fn warnings(mut warnings: Vec<String>, elements: bool, one_at_a_time: bool, path: &Path) -> Vec<String> {
    let path = path.display();
    if !elements {
        warnings.push(format!("{path}: `temper.elements` is missing; all elements from 1 to 118 are taken as known"));
    }
    if one_at_a_time {
        warnings.push(format!("{path}: exported for one crystal at a time, so crystals are evaluated one by one"));
    }
    warnings
}

fn require<T>(
    needed: bool,
    value: &Option<T>,
    key: &'static str,
    why: &'static str,
    path: &Path,
) -> Result<(), ContractError> {
    if needed && value.is_none() {
        return Err(ContractError::Missing { path: path.into(), key, why, sidecar: path.with_extension("toml") });
    }
    Ok(())
}

fn distance(text: &str) -> Option<f64> {
    text.parse().ok().filter(|x: &f64| *x > 0.0 && *x <= LONGEST_CUTOFF)
}

/// "1-83,89" as atomic numbers in that order, each once.
fn element_ranges(text: &str) -> Option<Vec<u8>> {
    let mut known = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
        if first == 0 || first > last || last > 118 {
            return None;
        }
        known.extend(
            (first..=last)
                .filter_map(|number| u8::try_from(number).ok())
                .filter(|z| !known.contains(z))
                .collect::<Vec<_>>(),
        );
    }
    Some(known)
}

/// A model that takes species by their place needs the list of elements, of the right length.
fn check_species(
    inputs: &[ModelInput],
    elements: Option<&[u8]>,
    metadata: &Metadata,
    path: &Path,
) -> Result<(), ContractError> {
    let needed = inputs.iter().find(|input| input.kind.needs_elements());
    require(needed.is_some(), &elements, "elements", "the model takes species by their place in that list", path)?;
    for input in inputs.iter().filter(|input| input.kind == InputKind::SpeciesOneHot) {
        let (Some(width), Some(elements)) = (input.declared_width, elements) else { continue };
        if elements.len() != width {
            let expected = format!(
                "{width} elements, one for each column of the input `{}`; these are {}",
                input.name,
                elements.len()
            );
            return Err(metadata.refuse("elements", &expected));
        }
    }
    Ok(())
}
