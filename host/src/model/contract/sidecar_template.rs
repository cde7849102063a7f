//! The sidecar that would make a model's file usable.
//!
//! The missing lines are found by asking: the contract is read, what it misses is assumed, and it is read again, until it
//! is whole or something is wrong that no sidecar can mend.

use std::path::Path;

use super::metadata::Metadata;
use super::{Contract, ContractError, InputKind, OutputKind, aliases, inputs, ports};
use crate::graph::onnx::{GraphProto, ModelProto, ValueInfoProto};

/// Lines that a template has at most: a contract has far fewer keys and inputs.
const MOST_LINES: usize = 64;

/// A line of a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidecarLine {
    /// `inputs`, `outputs` or `constants`; `None` for a key outside of tables.
    pub table: Option<&'static str>,
    /// The key.
    pub key: String,
    /// What stands behind it, as TOML; `None` where only the user can know.
    pub value: Option<String>,
    /// What the user should know of it.
    pub comment: String,
    /// What an input may be.
    pub(in crate::model) choices: Option<Choices>,
}

/// All that an input may be by type and shape, the most likely first. A trial may tell which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::model) struct Choices {
    /// Its name in the file.
    pub port: String,
    /// Names in the contract.
    pub names: Vec<String>,
}

impl SidecarLine {
    fn key(key: &str, value: Option<&str>, comment: &str) -> Self {
        Self { table: None, key: key.into(), value: value.map(String::from), comment: comment.into(), choices: None }
    }

    /// The line; a value that only the user can know is "?", which is refused until it is filled in.
    pub fn line(&self) -> String {
        let value = self.value.as_deref().unwrap_or("\"?\"");
        let mark = if self.value.is_none() { "FILL IN: " } else { "" };
        format!("{:<34} # {mark}{}", format!("{} = {value}", self.key), self.comment)
    }
}

impl std::fmt::Display for SidecarLine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.table {
            Some(table) => write!(f, "[{table}] {}", self.line()),
            None => f.write_str(&self.line()),
        }
    }
}

/// The text of a sidecar with the lines that are missing, and behind # those that may be useful.
pub(super) fn text(path: &Path, missing: &[SidecarLine], suggested: &[SidecarLine]) -> String {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let mut text = format!(
        "# What Temper should know of {name}. A \"?\" must be filled in; a line behind # may be.\n\
         # The keys here win over the metadata in the file.\n\n"
    );
    let optional = suggested.iter().filter(|line| line.table.is_none());
    missing.iter().filter(|line| line.table.is_none()).for_each(|line| text += &format!("{}\n", line.line()));
    optional.for_each(|line| text += &format!("# {}\n", line.line()));
    for table in ["inputs", "outputs", "constants"] {
        let lines = missing.iter().chain(suggested).filter(|line| line.table == Some(table));
        let lines: Vec<String> = lines.map(SidecarLine::line).collect();
        if !lines.is_empty() {
            text += &format!("\n[{table}]\n{}\n", lines.join("\n"));
        }
    }
    text
}

/// The lines that make the contract whole, the keys with what is assumed of them, and the contract with them, or what no line
/// mends.
pub(super) fn missing(
    model: &ModelProto,
    metadata: &Metadata,
    path: &Path,
) -> (Vec<SidecarLine>, Metadata, Result<Contract, ContractError>) {
    let mut assumed = metadata.clone();
    let mut lines = Vec::new();
    loop {
        let outcome = Contract::assemble(model, assumed.clone(), path);
        let graph = model.graph.as_ref();
        let remedy = outcome.as_ref().err().zip(graph).and_then(|(error, graph)| remedy(error, graph, &mut assumed));
        match remedy {
            Some(line) if lines.len() < MOST_LINES => lines.push(line),
            _ => return (lines, assumed, outcome),
        }
    }
}

/// The line that mends an error; what it says is assumed from now on.
fn remedy(error: &ContractError, graph: &GraphProto, assumed: &mut Metadata) -> Option<SidecarLine> {
    match error {
        ContractError::Missing { key, .. } => {
            let (value, assume, comment) = match *key {
                "contract" => (Some("\"1\""), "1", "the version of the contract"),
                "elements" => {
                    let width = one_hot_width(graph, assumed).unwrap_or(118);
                    let comment = "atomic numbers in the order in which the model counts them, such as 1-83,89";
                    assumed.assume(key, &format!("1-{width}"));
                    return Some(SidecarLine::key(key, None, comment));
                }
                "cutoff" => (None, "30", "angstrom, the distance up to which the model was given neighbours"),
                "triplet_cutoff" => (None, "1e-6", "angstrom, the longest edges of a triplet"),
                "state.default" => (None, "0", "the fidelity or head to use, a whole number"),
                _ => return None,
            };
            assumed.assume(key, assume);
            Some(SidecarLine::key(key, value, comment))
        }
        ContractError::UnknownInput { name, .. } => {
            let port = graph.input.iter().find(|port| port.name() == name)?;
            Some(named_input(port, graph, assumed))
        }
        ContractError::NoOutput { .. } => {
            let six = |port: &&ValueInfoProto| ports::has_six_numbers(port) && assumed.get(&reduce(port)).is_none();
            let port = graph.output.iter().find(six)?;
            assumed.assume(&reduce(port), "voigt_mean_eigenvalue");
            let value = Some("\"voigt_mean_eigenvalue\"");
            Some(SidecarLine::key(
                &format!("reduce.{}", quoted(port.name())),
                value,
                "if they are xx, yy, zz, yz, xz, xy",
            ))
        }
        _ => None,
    }
}

fn reduce(port: &ValueInfoProto) -> String {
    format!("reduce.{}", port.name())
}

/// Columns of the input that has one for each element, if a file fixes them.
fn one_hot_width(graph: &GraphProto, assumed: &Metadata) -> Option<i64> {
    let named = |port: &&ValueInfoProto| {
        assumed.inputs.get(port.name()).map_or(port.name(), String::as_str) == "species_one_hot"
    };
    let (_, shape) = ports::type_and_shape(graph.input.iter().find(named)?)?;
    shape?.last().copied().flatten().filter(|width| (1..=118).contains(width))
}

/// What an input of an unknown name is called in the contract, where its name says so; else what it may be. A constant if it is like
/// none of its inputs.
fn named_input(port: &ValueInfoProto, graph: &GraphProto, assumed: &mut Metadata) -> SidecarLine {
    let bare = |name: &str| name.trim_start_matches('-').to_owned();
    let fed =
        |port: &ValueInfoProto| assumed.inputs.get(port.name()).cloned().unwrap_or_else(|| port.name().to_owned());
    let taken = |name: &str| graph.input.iter().any(|port| bare(&fed(port)) == bare(name));
    let key = quoted(port.name());
    if aliases::is_charge(port.name()) {
        assumed.constants.insert(port.name().into(), 0.0);
        let (value, comment) = (Some("0".to_owned()), "a crystal is neutral".to_owned());
        return SidecarLine { table: Some("constants"), key, value, comment, choices: None };
    }
    if aliases::is_spin(port.name()) {
        assumed.constants.insert(port.name().into(), 0.0);
        let comment = "the spin of a crystal as the model counts it".to_owned();
        return SidecarLine { table: Some("constants"), key, value: None, comment, choices: None };
    }
    let free: Vec<String> = inputs::candidates(port, graph, assumed).into_iter().filter(|name| !taken(name)).collect();
    let mut meant = aliases::inputs(port.name(), &inputs::input_names());
    if free.is_empty()
        && let [only] = meant[..]
        && !taken(only)
    {
        // What is wrong with its type or shape is then said.
        assumed.inputs.insert(port.name().into(), only.into());
        let (value, comment) = (Some(format!("\"{only}\"")), "by its name".to_owned());
        return SidecarLine { table: Some("inputs"), key, value, comment, choices: None };
    }
    meant.retain(|name| free.iter().any(|free| free == name));
    let unlikely = |name: &str| !meant.contains(&name.trim_start_matches('-'));
    let mut choices = free;
    // Three columns are a vector rather than three elements.
    choices.sort_by_key(|name| (unlikely(name), name == "species_one_hot"));
    let Some(assume) = choices.first().cloned() else {
        assumed.constants.insert(port.name().into(), 0.0);
        let comment = "the number to feed; it is like no input of the contract".into();
        return SidecarLine { table: Some("constants"), key, value: None, comment, choices: None };
    };
    assumed.inputs.insert(port.name().into(), assume);
    let value = aliases::settled(&meant).map(|only| format!("\"{only}\""));
    let comment = match value {
        Some(_) => "by its name".to_owned(),
        None => format!("which it is; by type and shape one of {}, or a number in [constants]", choices.join(", ")),
    };
    let choices = Choices { port: port.name().into(), names: choices };
    SidecarLine { table: Some("inputs"), key, value, comment, choices: Some(choices) }
}

/// What the contract does not need but a user may want to say.
pub(super) fn suggested(contract: &Contract, graph: &GraphProto, metadata: &Metadata) -> Vec<SidecarLine> {
    let mut lines = Vec::new();
    let mut has_energy = contract.output("energy").is_some();
    for port in graph.output.iter().filter(|port| !metadata.outputs.contains_key(port.name())) {
        let meant = aliases::output(port.name());
        if let Some(meant) = meant.filter(|meant| contract.output(meant).is_none()) {
            has_energy |= meant == "energy";
            let comment = "guessed from its name; without it a property of that name".into();
            let (key, value) = (quoted(port.name()), Some(format!("\"{meant}\"")));
            lines.push(SidecarLine { table: Some("outputs"), key, value, comment, choices: None });
        }
    }
    let mut offer = |key: &str, value: &str, comment: &str| {
        if metadata.get(key).is_none() {
            lines.push(SidecarLine::key(key, Some(value), comment));
        }
    };
    offer("elements", "\"1-94\"", "atomic numbers that the model knows, such as 1-83,89");
    if has_energy {
        offer("energy_reference", "\"PBE\"", "or \"MP2020\", or a name: the scale of a hull it may be used with");
        offer("energy_per_atom", "true", "if the energy is per atom, not of the cell");
        offer("unit.energy", "\"eV\"", "or meV, Ha, kJ/mol, kcal/mol, and each with /atom");
    }
    if contract.inputs.iter().any(|input| input.kind == InputKind::Positions) {
        offer("unit.positions", "\"A\"", "or nm, bohr: of positions and cell in the file; cutoffs are in angstrom");
    }
    for output in contract.outputs.iter().filter(|output| output.kind == OutputKind::Property) {
        offer(&format!("unit.{}", quoted(&output.quantity)), "\"eV\"", "the unit of the property, in any words");
    }
    for key in ["name", "version", "license", "source"] {
        offer(key, "\"...\"", "copied into cards and lock files");
    }
    lines
}

/// A key as TOML takes it.
fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(bare) { name.into() } else { toml::Value::String(name.into()).to_string() }
}
