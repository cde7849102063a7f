//! What is in a model's file, and whether it can be used.

use std::path::{Path, PathBuf};

use super::metadata::Metadata;
use super::sidecar_template::{self, SidecarLine};
use super::{Contract, ContractError, Operators, decode, locate_model, ports, unreadable};
use crate::graph::onnx::{ModelProto, ValueInfoProto};
use crate::input;

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
    /// Lines that may be useful, each a comment in a template unless it renames an output.
    suggested: Vec<SidecarLine>,
    model: ModelProto,
    /// What the file and its sidecar say, and what is assumed where they say nothing.
    assumed: Metadata,
}

impl Inspection {
    /// Looks at a model's file (or folder, see [`locate_model`]).
    ///
    /// # Errors
    /// [`ContractError`] when the file cannot be read, is not ONNX, or its sidecar is not understood.
    pub fn read(path: &Path) -> Result<Self, ContractError> {
        let path = locate_model(path)?;
        let model =
            decode(&input::read(&path, input::MOST_PROTOBUF).map_err(|source| unreadable(&path, source))?, &path)?;
        let metadata = Metadata::read(&model, &path)?;
        let graph = model.graph.clone().unwrap_or_default();
        let (missing, assumed, outcome) = sidecar_template::missing(&model, &metadata, &path);
        let suggested = outcome
            .as_ref()
            .map_or_else(|_| Vec::new(), |contract| sidecar_template::suggested(contract, &graph, &metadata));
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
            model,
            assumed,
        })
    }

    /// The contract with what is assumed, and with these meanings of inputs: name in the file, name in the contract.
    ///
    /// # Errors
    /// [`ContractError`] when that is no contract.
    pub(in crate::model) fn with_inputs(&self, meanings: &[(&str, &str)]) -> Result<Contract, ContractError> {
        let mut metadata = self.assumed.clone();
        for (port, meaning) in meanings {
            metadata.inputs.insert((*port).into(), (*meaning).into());
        }
        Contract::assemble(&self.model, metadata, &self.path)
    }

    /// Whether a key is missing and only assumed.
    pub(in crate::model) fn assumes(&self, key: &str) -> bool {
        self.missing.iter().any(|line| line.table.is_none() && line.key == key)
    }

    /// An output that would be an energy under the contract's name.
    pub fn renames(&self) -> impl Iterator<Item = &SidecarLine> {
        self.suggested.iter().filter(|line| line.table.is_some())
    }

    /// The text of a sidecar for this file, to be filled in.
    pub fn sidecar_template(&self) -> String {
        sidecar_template::text(&self.path, &self.missing, &self.suggested)
    }
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
            "[inputs] displacements = \"?\"",
            "[constants] total_charge = 0",
            "cutoff = \"?\"",
        ];
        assert_eq!(lines, expected);
        let template = found.sidecar_template();
        assert!(template.contains("\ncutoff = \"?\"") && template.contains("# FILL IN: angstrom"), "{template}");
        let sidecar = folder.path().join("foreign.toml");
        std::fs::write(&sidecar, &template).unwrap();
        let refused = Contract::read(&folder.path().join("foreign.onnx")).unwrap_err().to_string();
        assert!(refused.contains("input `displacements` is none of"), "{refused}");
        let filled =
            template.replace("displacements = \"?\"", "displacements = \"edge_shift\"").replace("\"?\"", "5.0");
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
        assert!(
            found.missing[0].comment.contains("one of atomic_numbers, species_index, batch"),
            "{:?}",
            found.missing[0]
        );
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
