//! Contract version 1 of potentials and property models: the inputs, outputs and metadata of an ONNX file.
//!
//! A contract is read from the file's metadata (`temper.*`) and from a sidecar `NAME.toml` beside `NAME.onnx`. The
//! sidecar has the same keys without the prefix, takes precedence over the file, renames inputs and outputs, and gives
//! constants. A file that does not fit is refused with one sentence that names the file, the key, and what would make
//! it fit. Nothing is run here.

mod draft;
mod error;
mod locate;
mod metadata;
mod operators;
mod ports;
mod units;

use std::path::{Path, PathBuf};

use crate::crystal::Element;
use crate::graph::GraphError;
use crate::graph::onnx::ModelProto;
pub use draft::{Inspection, Port, SidecarLine};
pub use error::ContractError;
pub use locate::locate_model;
use metadata::Metadata;
pub use operators::Operators;
pub use ports::{InputKind, ModelInput, ModelOutput, OutputKind};

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
    /// `elements[z]`: whether the model knows the element of atomic number z.
    elements: [bool; 119],
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
        let bytes = std::fs::read(&path).map_err(|source| unreadable(&path, source))?;
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
        let (inputs, single_inputs) = ports::inputs(graph, &metadata)?;
        let (outputs, single_outputs) = ports::outputs(graph, &mut metadata)?;
        if outputs.is_empty() {
            return Err(ContractError::NoOutput { path: path.into(), reasons: metadata.warnings.join("; ") });
        }
        let has = |wanted: fn(InputKind) -> bool| inputs.iter().any(|input| wanted(input.kind));
        // A file that is not told which atom belongs to which crystal can only mean one crystal.
        let one_at_a_time = single_inputs || single_outputs || !has(|kind| kind == InputKind::Batch);
        let needs_edges = has(InputKind::needs_edges);
        let cutoff = metadata.parsed("cutoff", "a distance in angstrom, up to 30", distance)?;
        let triplet_cutoff = metadata.parsed("triplet_cutoff", "a distance in angstrom, up to 30", distance)?;
        require(needs_edges, &cutoff, "cutoff", "the model takes edges", path)?;
        let triplets = has(|kind| kind == InputKind::TripletIndex);
        require(triplets, &triplet_cutoff, "triplet_cutoff", "the model takes triplets", path)?;
        if let (Some(cutoff), Some(triplet)) = (cutoff, triplet_cutoff)
            && triplet > cutoff
        {
            let expected = format!("at most the cutoff of {cutoff} A");
            return Err(metadata.refuse("triplet_cutoff", &expected));
        }
        let state = metadata.parsed("state.default", "a whole number", |text| text.parse().ok())?;
        require(has(|kind| kind == InputKind::State), &state, "state.default", "the model takes a state", path)?;
        let elements = metadata.parsed("elements", "atomic numbers such as 1-83,89-94", element_ranges)?;
        let mut warnings = std::mem::take(&mut metadata.warnings);
        if elements.is_none() {
            warnings.push(format!(
                "{}: `temper.elements` is missing; all elements from 1 to 118 are taken as known",
                path.display()
            ));
        }
        if one_at_a_time {
            warnings.push(format!(
                "{}: exported for one crystal at a time, so crystals are evaluated one by one",
                path.display()
            ));
        }
        let text = |key| metadata.get(key).map(String::from);
        let stem = || path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(Self {
            path: path.into(),
            inputs,
            outputs,
            one_at_a_time,
            cutoff: cutoff.filter(|_| needs_edges),
            triplet_cutoff: triplet_cutoff.filter(|_| triplets),
            elements: elements.unwrap_or([true; 119]),
            energy_reference: text("energy_reference"),
            states: text("state"),
            state: state.unwrap_or(0),
            name: text("name").unwrap_or_else(stem),
            version: text("version"),
            license: text("license"),
            source: text("source"),
            operators,
            warnings,
        })
    }

    /// Whether the model was made for an element.
    pub fn knows(&self, element: Element) -> bool {
        self.elements[usize::from(element.number())]
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
    let not_onnx = |reason: String| ContractError::NotOnnx { path: path.into(), reason };
    crate::graph::decode(bytes).map_err(|error| match error {
        GraphError::Decode { reason } => not_onnx(reason),
        other => not_onnx(other.to_string()),
    })
}

fn check_version(metadata: &Metadata, path: &Path) -> Result<(), ContractError> {
    let expected = "1, the version of the contract that this program speaks";
    let version = metadata.parsed("contract", expected, |text| (text == VERSION).then_some(()))?;
    require(true, &version, "contract", "it says which version of the contract the file follows", path)
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

/// "1-83,89" as a table by atomic number.
fn element_ranges(text: &str) -> Option<[bool; 119]> {
    let mut known = [false; 119];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
        if first == 0 || first > last {
            return None;
        }
        known.get_mut(first..=last)?.fill(true);
    }
    Some(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::DataType;
    use crate::model::testing::{Port, model};

    const F32: i32 = 1;
    const I64: i32 = 7;

    /// Inputs and outputs of a small pair potential, and the metadata that it needs.
    fn ports() -> (Vec<Port>, Vec<Port>) {
        let inputs = vec![
            ("atomic_numbers", I64, vec!["n"]),
            ("positions", F32, vec!["n", "3"]),
            ("cell", F32, vec!["b", "3", "3"]),
            ("edge_index", I64, vec!["2", "e"]),
            ("batch", I64, vec!["n"]),
        ];
        (inputs, vec![("energy", F32, vec!["b"])])
    }

    const METADATA: [(&str, &str); 3] = [("contract", "1"), ("cutoff", "6.0"), ("elements", "1-83,89")];

    fn read(
        metadata: &[(&str, &str)],
        sidecar: Option<&str>,
        change: impl Fn(&mut Vec<Port>, &mut Vec<Port>),
    ) -> Result<Contract, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pair.onnx");
        let (mut inputs, mut outputs) = ports();
        change(&mut inputs, &mut outputs);
        if let Some(text) = sidecar {
            std::fs::write(dir.path().join("pair.toml"), text).unwrap();
        }
        std::fs::write(&path, model(&inputs, &outputs, metadata)).unwrap();
        Contract::read(&path).map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
    }

    fn unchanged(_: &mut Vec<Port>, _: &mut Vec<Port>) {}

    #[test]
    fn a_file_with_its_metadata_is_understood() {
        let contract = read(&METADATA, None, unchanged).unwrap();
        assert_eq!(contract.cutoff, Some(6.0));
        assert_eq!(contract.triplet_cutoff, None);
        let knows = |symbol| contract.knows(Element::from_symbol(symbol).unwrap());
        assert!(knows("Bi") && knows("Ac") && !knows("Po") && !knows("Th"));
        assert_eq!(contract.name, "pair");
        assert_eq!(contract.inputs[3].kind, InputKind::EdgeIndex);
        assert_eq!(contract.inputs[1].data_type, DataType::F32);
        assert_eq!(contract.output("energy").unwrap().factor, 1.0);
        assert!(contract.warnings.is_empty() && !contract.one_at_a_time);
    }

    #[test]
    fn the_sidecar_wins_renames_and_pins() {
        let sidecar = r#"
            contract = 1
            cutoff = 5
            elements = "1-94"
            energy_per_atom = true
            license = "MIT"
            state.default = 2
            [unit]
            energy = "Ha"
            [inputs]
            pos = "positions"
            [outputs]
            e = "energy"
            [constants]
            charge = -1
        "#;
        let contract = read(&METADATA, Some(sidecar), |inputs, outputs| {
            inputs[1].0 = "pos";
            inputs.push(("charge", F32, vec![]));
            inputs.push(("state", I64, vec!["b"]));
            outputs[0].0 = "e";
            outputs.push(("hidden", F32, vec!["n", "64"]));
        })
        .unwrap();
        assert_eq!((contract.cutoff, contract.state, contract.license.as_deref()), (Some(5.0), 2, Some("MIT")));
        assert_eq!(contract.inputs[1].kind, InputKind::Positions);
        let charge = &contract.inputs[5];
        assert_eq!((charge.kind, charge.rank), (InputKind::Constant(-1.0), 0));
        let energy = contract.output("energy").unwrap();
        assert_eq!((energy.name.as_str(), energy.kind), ("e", OutputKind::EnergyPerAtom));
        assert!((energy.factor - 27.2114).abs() < 1e-4);
        assert_eq!(contract.warnings, ["output `hidden` is ignored: it has 2 axes, and is not one number per crystal"]);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_file_and_key() {
        fn refused(metadata: &[(&str, &str)], sidecar: Option<&str>) -> String {
            read(metadata, sidecar, unchanged).unwrap_err()
        }
        assert_eq!(
            refused(&[("contract", "2"), ("cutoff", "6")], None),
            "pair.onnx: `contract` is \"2\"; expected 1, the version of the contract that this program speaks"
        );
        assert_eq!(
            refused(&[("contract", "1")], None),
            "pair.onnx: `temper.cutoff` is missing: the model takes edges; add `cutoff = ...` to pair.toml"
        );
        assert!(refused(&[], None).starts_with("pair.onnx: `temper.contract` is missing"));
        for bad in ["-1", "0", "600", "NaN", "six"] {
            assert_eq!(
                refused(&METADATA, Some(&format!("cutoff = \"{bad}\""))),
                format!("pair.toml: `cutoff` is \"{bad}\"; expected a distance in angstrom, up to 30")
            );
        }
        for bad in ["0-3", "5-3", "1-119", "H-Pu", "", "1-99999999999999999999"] {
            assert!(refused(&METADATA, Some(&format!("elements = \"{bad}\""))).starts_with("pair.toml: `elements` is"));
        }
        assert_eq!(refused(&METADATA, Some("cuttoff = 5")), "pair.toml: unknown key `cuttoff`; did you mean `cutoff`?");
        assert_eq!(
            refused(&METADATA, Some("unit.energy = \"GPa\"")),
            "pair.toml: `unit.energy` is \"GPa\"; expected eV, meV, Ha, kJ/mol, kcal/mol"
        );
        assert_eq!(refused(&METADATA, Some("unit.gap = \"eV\"")), "pair.toml: unknown key `unit.gap`");
        assert_eq!(
            refused(&METADATA, Some("[inputs]\npos = \"positions\"")),
            "pair.toml: [inputs] names `pos`; the model has atomic_numbers, positions, cell, edge_index, batch"
        );
        assert_eq!(
            refused(&METADATA, Some("[constants]\ncell = \"none\"")),
            "pair.toml: constants.cell must be a number, not \"none\""
        );
        assert!(refused(&METADATA, Some("cutoff = [")).starts_with("pair.toml: TOML parse error at line 1"));
    }

    #[test]
    fn inputs_that_cannot_be_fed_are_refused() {
        let refused = |change: fn(&mut Vec<Port>, &mut Vec<Port>)| read(&METADATA, None, change).unwrap_err();
        assert_eq!(
            refused(|inputs, _| inputs[1] = ("pos", F32, vec!["n", "3"])),
            "pair.onnx: input `pos` is none of atomic_numbers, positions, cell, batch, edge_index, edge_shift, edge_reverse, \
             triplet_index, state; say which it is with `[inputs] pos = \"...\"`, or give it a value with `[constants] pos = ...` \
             (a sidecar would be pair.toml)"
        );
        let problem =
            |change| refused(change).replace("pair.onnx: input ", "").replace(" (a sidecar would be pair.toml)", "");
        assert_eq!(problem(|i, _| i[1].2 = vec!["n"]), "`positions` has 1 axes instead of 2");
        assert_eq!(
            problem(|i, _| i[1].2 = vec!["28", "3"]),
            "`positions` was exported for 28 atoms only; export it with a free axis 0"
        );
        assert_eq!(
            problem(|i, _| i[2].2 = vec!["16", "3", "3"]),
            "`cell` was exported for 16 crystals only; export it with a free axis 0"
        );
        assert_eq!(problem(|i, _| i[1].2 = vec!["n", "4"]), "`positions` has length 4 on axis 1 instead of 3");
        assert_eq!(problem(|i, _| i[1].1 = I64), "`positions` has the element type int64 instead of float32");
        assert_eq!(
            problem(|i, _| i[1].1 = 10),
            "`positions` has the element type float16, which Temper does not supply"
        );
        let missing = refused(|inputs, _| inputs.push(("triplet_index", I64, vec!["2", "t"])));
        assert!(missing.contains("`temper.triplet_cutoff` is missing: the model takes triplets"), "{missing}");
        let state = refused(|inputs, _| inputs.push(("state", I64, vec!["b"])));
        assert!(state.contains("`temper.state.default` is missing"), "{state}");
        assert!(refused(|_, outputs| outputs.clear()).starts_with("pair.onnx: no output is usable"));
        let twice = refused(|_, outputs| outputs.push(("energy", F32, vec!["b"])));
        assert_eq!(twice, "pair.onnx: output `energy` is a second output called `energy`");
    }

    #[test]
    fn a_file_for_one_crystal_is_used_with_a_warning() {
        let contract = read(&METADATA[..2], None, |inputs, _| inputs[2].2 = vec!["1", "3", "3"]).unwrap();
        assert!(contract.one_at_a_time);
        assert_eq!(contract.warnings.len(), 2, "one for the missing elements: {:?}", contract.warnings);
    }

    #[test]
    fn outputs_have_the_shape_of_their_kind() {
        let with = |axes: &[&'static str], name: &'static str| {
            read(&METADATA, None, |_, outputs| outputs.push((name, F32, axes.to_vec())))
        };
        for (name, axes) in
            [("forces", &["n", "3"][..]), ("stress", &["b", "3", "3"]), ("magmoms", &["n"]), ("gap", &["b", "1"])]
        {
            let contract = with(axes, name).unwrap();
            assert!(contract.output(name).is_some() && !contract.one_at_a_time, "{name}: {:?}", contract.warnings);
        }
        for (name, axes, reason) in [
            ("forces", &["n"][..], "it has 1 axes instead of 2"),
            ("stress", &["b", "6"], "it has 2 axes instead of 3"),
            ("forces", &["28", "3"], "it was exported for 28 atoms only; export it with a free axis 0"),
            ("gap", &["16"], "it was exported for 16 crystals only; export it with a free axis 0"),
            ("gap", &["b", "3", "3"], "it has 3 axes, and is not one number per crystal"),
        ] {
            let contract = with(axes, name).unwrap();
            assert!(contract.output(name).is_none());
            assert_eq!(contract.warnings, [format!("output `{name}` is ignored: {reason}")]);
        }
        for axes in [&[][..], &["1"]] {
            assert!(with(axes, "gap").unwrap().one_at_a_time, "one number is that of one crystal");
        }
        let alone = read(&METADATA, None, |_, outputs| outputs[0].2 = vec!["b", "3"]).unwrap_err();
        assert!(
            alone.starts_with("pair.onnx: no output is usable: output `energy` is ignored: it has 2 axes"),
            "{alone}"
        );
    }

    #[test]
    fn units_of_length_are_those_of_positions_and_cell() {
        let factors = |sidecar: &str| {
            let contract = read(&METADATA, Some(sidecar), unchanged).unwrap();
            [1, 2].map(|input: usize| contract.inputs[input].factor)
        };
        let near = |found: [f64; 2], expected: [f64; 2]| found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-7);
        assert_eq!(factors(""), [1.0, 1.0]);
        assert!(near(factors("unit.positions = \"nm\""), [0.1, 0.1]));
        assert!(near(factors("unit.cell = \"bohr\""), [1.889_726_1, 1.889_726_1]));
        let two = read(&METADATA, Some("unit.cell = \"A\"\nunit.positions = \"nm\""), unchanged).unwrap_err();
        assert_eq!(two, "pair.toml: `unit.cell` is \"A\"; expected the unit of the positions");
        let refused = read(&METADATA, Some("unit.cell = \"pm\""), unchanged).unwrap_err();
        assert_eq!(refused, "pair.toml: `unit.cell` is \"pm\"; expected A, nm, bohr");
    }

    #[test]
    fn a_tensor_becomes_its_mean_eigenvalue_when_the_file_says_so() {
        let tensor = |_: &mut Vec<Port>, outputs: &mut Vec<Port>| outputs.push(("eps_total", F32, vec!["b", "6"]));
        let silent = read(&METADATA, None, tensor).unwrap();
        assert!(silent.output("eps_total").is_none() && silent.warnings[0].contains("reduce.eps_total"));
        let said = read(&METADATA, Some("reduce.eps_total = \"voigt_mean_eigenvalue\""), tensor).unwrap();
        assert_eq!(said.output("eps_total").unwrap().kind, OutputKind::MeanEigenvalue);
    }

    #[test]
    fn truncated_and_flipped_files_are_refused_or_read() {
        let (inputs, outputs) = ports();
        let whole = model(&inputs, &outputs, &METADATA);
        let path = Path::new("pair.onnx");
        assert!(Contract::of_bytes(&whole, path).is_ok());
        for cut in 0..whole.len() - 1 {
            let _ = Contract::of_bytes(&whole[..cut], path);
            let mut flipped = whole.clone();
            flipped[cut] ^= 0x41;
            let _ = Contract::of_bytes(&flipped, path);
        }
        let error = Contract::of_bytes(b"PK not a model", path).unwrap_err().to_string();
        assert!(error.starts_with("pair.onnx: not an ONNX model, or a truncated one ("), "{error}");
    }

    #[test]
    fn reference_exports_are_understood() {
        let Some(shared) = crate::model::testing::shared() else { return };
        let chgnet = Contract::read(&shared.join("models/chgnet-0.3.0.onnx")).unwrap();
        assert_eq!((chgnet.cutoff, chgnet.triplet_cutoff), (Some(6.0), Some(3.0)));
        assert_eq!(chgnet.energy_reference.as_deref(), Some("MP2020"));
        assert!(chgnet.warnings.is_empty());
        let efs = Contract::read(&shared.join("models/chgnet-0.3.0-efs.onnx")).unwrap();
        assert_eq!(
            efs.outputs.iter().map(|o| o.kind).collect::<Vec<_>>(),
            [OutputKind::Energy, OutputKind::Forces, OutputKind::Stress]
        );
        let megnet = Contract::read(&shared.join("models/megnet-bandgap-mfi.onnx")).unwrap();
        assert_eq!((megnet.state, megnet.output("band_gap").unwrap().kind), (0, OutputKind::Property));
    }
}
