//! Describes a model's file, whether it can be used, and the sidecar that would make it usable.
//!
//! The missing lines are found by trial: the contract is read, whatever is missing is assumed, and it is read again,
//! until it is complete or something is wrong that no sidecar can fix.

use std::path::{Path, PathBuf};

use super::metadata::Metadata;
use super::{Contract, ContractError, InputKind, Operators, OutputKind, locate_model, ports};
use crate::graph::onnx::{GraphProto, ModelProto, ValueInfoProto};

/// Lines that a sidecar is drafted with at most: a contract has far fewer keys and inputs.
const MOST_LINES: usize = 64;

/// Names that other programs give to the contract's inputs, in lower case.
const INPUT_ALIASES: [(&str, &[&str]); 9] = [
    (
        "atomic_numbers",
        &["z", "numbers", "atomic_number", "species", "atom_types", "node_types", "atomic_nums", "elements"],
    ),
    ("positions", &["pos", "r", "coords", "coordinates", "xyz", "cart_coords", "coord"]),
    ("cell", &["lattice", "cells", "box", "lattices", "lattice_vectors", "cell_vectors", "lat"]),
    ("batch", &["system_idx", "batch_idx", "batch_index", "idx_m", "atom_batch", "node_batch", "graph_index"]),
    ("edge_index", &["edges", "edge_indices", "neighbor_list", "neighbour_list", "neighbors", "nbr_list", "edge_idx"]),
    (
        "edge_shift",
        &["shifts", "unit_shifts", "edge_cell_shift", "cell_shifts", "cell_offsets", "edge_shifts", "images"],
    ),
    ("edge_reverse", &["edge_transpose_perm", "reverse_edge", "reverse", "rev_edge_index", "edge_rev"]),
    ("triplet_index", &["triplets", "line_graph", "angle_index", "three_body_indices", "triplet_idx", "angles"]),
    ("state", &["head", "fidelity", "state_attr", "task", "heads", "dataset"]),
];

/// Names that other programs give to energies, forces and stress, in lower case.
const OUTPUT_ALIASES: [(&str, &[&str]); 3] = [
    ("energy", &["e", "energies", "total_energy", "potential_energy", "etot", "e_total", "pot_energy"]),
    ("forces", &["f", "force"]),
    ("stress", &["stresses", "sigma"]),
];

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
}

impl SidecarLine {
    fn key(key: &str, value: Option<&str>, comment: &str) -> Self {
        Self { table: None, key: key.into(), value: value.map(String::from), comment: comment.into() }
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

/// An input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// Element type and extents, such as `float32 [n, 3]`.
    pub description: String,
}

/// What a model's file holds, usable or not.
#[derive(Debug)]
pub struct Inspection {
    /// The `.onnx` file.
    pub path: PathBuf,
    /// Where its sidecar is or would be.
    pub sidecar: PathBuf,
    /// Inputs in the file's order.
    pub inputs: Vec<Port>,
    /// Outputs in the file's order.
    pub outputs: Vec<Port>,
    /// The operators of its graph, where all are known.
    pub operators: Option<Operators>,
    /// The contract as it stands.
    pub contract: Result<Contract, ContractError>,
    /// The lines that the sidecar lacks for the contract to be whole.
    pub missing: Vec<SidecarLine>,
    /// What would still be wrong with those lines: no sidecar mends it.
    pub beyond: Option<ContractError>,
    /// Lines that may be useful, each a comment in a draft unless it renames an output.
    suggested: Vec<SidecarLine>,
}

impl Inspection {
    /// Looks at a model's file (or folder, see [`locate_model`]).
    ///
    /// # Errors
    /// [`ContractError`] when the file cannot be read, is not ONNX, or its sidecar is not understood.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let path = locate_model(path)?;
        let model = super::decode(&std::fs::read(&path).map_err(|source| super::unreadable(&path, source))?, &path)?;
        let metadata = Metadata::read(&model, &path)?;
        let graph = model.graph.clone().unwrap_or_default();
        let (missing, outcome) = missing(&model, &metadata, &path);
        let suggested = outcome.as_ref().map_or_else(|_| Vec::new(), |contract| suggested(contract, &graph, &metadata));
        Ok(Self {
            sidecar: metadata.sidecar.clone(),
            inputs: ports::runtime_inputs(&graph).iter().map(|port| described(port)).collect(),
            outputs: graph.output.iter().map(described).collect(),
            operators: Operators::of(&model, &path).ok(),
            contract: Contract::assemble(&model, metadata, &path),
            missing,
            beyond: outcome.err(),
            suggested,
            path,
        })
    }

    /// An output that would be an energy under the contract's name.
    pub fn renames(&self) -> impl Iterator<Item = &SidecarLine> {
        self.suggested.iter().filter(|line| line.table.is_some())
    }

    /// The text of a sidecar for this file.
    pub fn draft(&self) -> String {
        let name = self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let mut text = format!(
            "# What Temper should know of {name}. A \"?\" must be filled in; a line behind # may be.\n\
             # The keys here win over the metadata in the file.\n\n"
        );
        let optional = self.suggested.iter().filter(|line| line.table.is_none());
        self.missing.iter().filter(|line| line.table.is_none()).for_each(|line| text += &format!("{}\n", line.line()));
        optional.for_each(|line| text += &format!("# {}\n", line.line()));
        for table in ["inputs", "outputs", "constants"] {
            let lines: Vec<String> = self
                .missing
                .iter()
                .chain(&self.suggested)
                .filter(|line| line.table == Some(table))
                .map(SidecarLine::line)
                .collect();
            if !lines.is_empty() {
                text += &format!("\n[{table}]\n{}\n", lines.join("\n"));
            }
        }
        text
    }
}

/// The lines that make the contract whole, and the contract with them, or what no line mends.
fn missing(
    model: &ModelProto,
    metadata: &Metadata,
    path: &Path,
) -> (Vec<SidecarLine>, Result<Contract, ContractError>) {
    let mut assumed = metadata.clone();
    let mut lines = Vec::new();
    loop {
        let outcome = Contract::assemble(model, assumed.clone(), path);
        let graph = model.graph.as_ref();
        let remedy = outcome.as_ref().err().zip(graph).and_then(|(error, graph)| remedy(error, graph, &mut assumed));
        match remedy {
            Some(line) if lines.len() < MOST_LINES => lines.push(line),
            _ => return (lines, outcome),
        }
    }
}

/// The line that mends an error; what it says is assumed from now on.
fn remedy(error: &ContractError, graph: &GraphProto, assumed: &mut Metadata) -> Option<SidecarLine> {
    match error {
        ContractError::Missing { key, .. } => {
            let (value, assume, comment) = match *key {
                "contract" => (Some("\"1\""), "1", "the version of the contract"),
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

/// What an input of an unknown name is most likely called in the contract; a constant if it is like none of its inputs.
fn named_input(port: &ValueInfoProto, graph: &GraphProto, assumed: &mut Metadata) -> SidecarLine {
    let taken = |name: &str| {
        let fed = |port: &ValueInfoProto| assumed.inputs.get(port.name()).map_or(port.name(), String::as_str) == name;
        graph.input.iter().any(fed)
    };
    let free: Vec<&str> = ports::candidates(port).into_iter().filter(|name| !taken(name)).collect();
    let lower = port.name().to_lowercase();
    let alias = alias(&INPUT_ALIASES, &lower).filter(|name| !taken(name));
    let nearest = || crate::spelling::nearest(&lower, free.iter().copied());
    let (name, comment) = match (alias.or_else(nearest), &free[..]) {
        (Some(name), _) => (Some(name), "guessed from its name".to_owned()),
        (None, [only]) => (Some(*only), "guessed from its type and shape".to_owned()),
        (None, several) => (None, format!("which it is; by type and shape one of {}", several.join(", "))),
    };
    let key = quoted(port.name());
    if let Some(assume) = name.or(free.first().copied()) {
        assumed.inputs.insert(port.name().into(), assume.into());
        return SidecarLine { table: Some("inputs"), key, value: name.map(|name| format!("\"{name}\"")), comment };
    }
    assumed.constants.insert(port.name().into(), 0.0);
    let comment = "the number to feed; it is like no input of the contract".into();
    SidecarLine { table: Some("constants"), key, value: None, comment }
}

fn alias<'a>(table: &[(&'a str, &[&str])], name: &str) -> Option<&'a str> {
    table.iter().find(|(_, aliases)| aliases.contains(&name)).map(|(known, _)| *known)
}

/// What the contract does not need but a user may want to say.
fn suggested(contract: &Contract, graph: &GraphProto, metadata: &Metadata) -> Vec<SidecarLine> {
    let mut lines = Vec::new();
    let mut has_energy = contract.output("energy").is_some();
    for port in graph.output.iter().filter(|port| !metadata.outputs.contains_key(port.name())) {
        let meant = alias(&OUTPUT_ALIASES, &port.name().to_lowercase());
        if let Some(meant) = meant.filter(|meant| contract.output(meant).is_none()) {
            has_energy |= meant == "energy";
            let comment = "guessed from its name; without it a property of that name".into();
            let value = Some(format!("\"{meant}\""));
            lines.push(SidecarLine { table: Some("outputs"), key: quoted(port.name()), value, comment });
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
        offer("unit.energy", "\"eV\"", "or meV, Ha, kJ/mol, kcal/mol");
    }
    if contract.inputs.iter().any(|input| input.kind == InputKind::Positions) {
        offer("unit.positions", "\"A\"", "or nm, bohr: of positions and cell in the file; cutoffs are in angstrom");
    }
    for output in contract.outputs.iter().filter(|output| output.kind == OutputKind::Property) {
        offer(
            &format!("unit.{}", quoted(&output.quantity)),
            "\"eV\"",
            "where the property has a unit that is to be converted",
        );
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

fn described(port: &ValueInfoProto) -> Port {
    Port { name: port.name().into(), description: ports::description(port) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::model;

    const F32: i32 = 1;
    const I64: i32 = 7;

    fn inspect(at: &Path, bytes: &[u8]) -> Inspection {
        let path = at.join("foreign.onnx");
        std::fs::write(&path, bytes).unwrap();
        Inspection::read(&path).unwrap()
    }

    /// Names as other programs have them; a charge that must be pinned, an array that is recognised by its shape alone.
    fn foreign() -> Vec<u8> {
        let inputs = [
            ("pos", F32, vec!["n", "3"]),
            ("Z", I64, vec!["n"]),
            ("lattice", F32, vec!["b", "3", "3"]),
            ("system_idx", I64, vec!["n"]),
            ("edge.index", I64, vec!["2", "e"]),
            ("displacements", F32, vec!["e", "3"]),
            ("total_charge", F32, vec![]),
        ];
        model(&inputs, &[("total_energy", F32, vec!["b"])], &[])
    }

    #[test]
    fn a_foreign_file_gets_the_lines_that_make_it_usable() {
        let folder = tempfile::tempdir().unwrap();
        let found = inspect(folder.path(), &foreign());
        assert!(matches!(found.contract, Err(ContractError::Missing { key: "contract", .. })));
        assert!(found.beyond.is_none());
        let lines: Vec<String> =
            found.missing.iter().map(|line| line.to_string().split(" #").next().unwrap().trim_end().into()).collect();
        let expected = [
            "contract = \"1\"",
            "[inputs] pos = \"positions\"",
            "[inputs] Z = \"atomic_numbers\"",
            "[inputs] lattice = \"cell\"",
            "[inputs] system_idx = \"batch\"",
            "[inputs] \"edge.index\" = \"edge_index\"",
            "[inputs] displacements = \"edge_shift\"",
            "[constants] total_charge = \"?\"",
            "cutoff = \"?\"",
        ];
        assert_eq!(lines, expected);
        let draft = found.draft();
        assert!(draft.contains("\ncutoff = \"?\"") && draft.contains("# FILL IN: angstrom"), "{draft}");
        let sidecar = folder.path().join("foreign.toml");
        std::fs::write(&sidecar, &draft).unwrap();
        let refused = Contract::read(&folder.path().join("foreign.onnx")).unwrap_err().to_string();
        assert!(refused.ends_with("constants.total_charge must be a number, not \"?\""), "{refused}");
        let filled = draft.replace("total_charge = \"?\"", "total_charge = 0").replace("\"?\"", "5.0");
        std::fs::write(&sidecar, filled).unwrap();
        let contract = Contract::read(&folder.path().join("foreign.onnx")).unwrap();
        assert_eq!(contract.cutoff, Some(5.0));
        assert_eq!(contract.output("energy").unwrap().name, "total_energy");
        let again = Inspection::read(&folder.path().join("foreign.onnx")).unwrap();
        assert!(again.missing.is_empty() && again.renames().next().is_none());
    }

    #[test]
    fn what_no_sidecar_mends_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [("pos", F32, vec!["28", "3"]), ("Z", I64, vec!["n"])];
        let found = inspect(folder.path(), &model(&inputs, &[("energy", F32, vec!["b"])], &[]));
        let beyond = found.beyond.unwrap().to_string();
        assert!(beyond.contains("input `pos` was exported for 28 atoms only"), "{beyond}");
    }

    #[test]
    fn two_inputs_of_one_shape_are_left_to_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [("alpha", I64, vec!["n"]), ("beta", I64, vec!["n"])];
        let found = inspect(folder.path(), &model(&inputs, &[("gap", F32, vec!["b"])], &[("contract", "1")]));
        assert!(found.missing.iter().all(|line| line.value.is_none()), "{:?}", found.missing);
        assert!(found.missing[0].comment.contains("one of atomic_numbers, batch"), "{:?}", found.missing[0]);
    }

    #[test]
    fn six_numbers_need_a_reduction() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = [("atomic_numbers", I64, vec!["n"]), ("batch", I64, vec!["n"])];
        let found = inspect(folder.path(), &model(&inputs, &[("eps", F32, vec!["b", "6"])], &[("contract", "1")]));
        assert_eq!(found.missing[0].key, "reduce.eps");
        assert!(found.beyond.is_none());
    }
}
