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
    assert_eq!((charge.kind, charge.axes.len()), (InputKind::Constant(-1.0), 0));
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
    assert_eq!(refused(&[("contract", "1")], None), "pair.onnx: `temper.cutoff` is missing: the model takes edges");
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
    assert_eq!(refused(&METADATA, Some("cuttoff = 5")), "pair.toml: unknown key `cuttoff`");
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
        "pair.onnx: input `pos` is none of atomic_numbers, species_index, species_one_hot, positions, cell, pbc, batch, n_atoms, \
         first_atom, n_edges, edge_index, edge_centre, edge_neighbour, edge_shift, edge_shift_cartesian, edge_vector, \
         edge_length, edge_reverse, triplet_index, state"
    );
    let problem = |change| refused(change).replace("pair.onnx: input ", "");
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
    assert_eq!(problem(|i, _| i[1].1 = 10), "`positions` has the element type float16, which Temper does not supply");
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
    assert!(alone.starts_with("pair.onnx: no output is usable: output `energy` is ignored: it has 2 axes"), "{alone}");
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

/// Formation energies, conductivities, capacities: whatever a property is measured in.
#[test]
fn a_property_may_have_any_unit_and_an_energy_not() {
    let gap = |_: &mut Vec<Port>, outputs: &mut Vec<Port>| outputs.push(("gap", F32, vec!["b"]));
    let unit = |text: &str| {
        let contract = read(&METADATA, Some(&format!("unit.gap = \"{text}\"")), gap).unwrap();
        let output = contract.output("gap").unwrap();
        (output.factor, output.unit.clone().unwrap())
    };
    for text in ["eV/atom", "W/(m K)", "mAh/g", "log10(GPa)"] {
        assert_eq!(unit(text), (1.0, text.to_owned()));
    }
    assert_eq!(unit("meV"), (1e-3, "eV".to_owned()));
    for (unit, reason) in [("eV/mol", "expected eV, meV"), ("W/(m K)", "expected eV, meV")] {
        let refused = read(&METADATA, Some(&format!("unit.energy = \"{unit}\"")), unchanged).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
    let per_atom = read(&METADATA, Some("unit.energy = \"meV/atom\""), unchanged).unwrap();
    let energy = per_atom.output("energy").unwrap();
    assert_eq!((energy.kind, energy.factor), (OutputKind::EnergyPerAtom, 1e-3));
    let both = read(&METADATA, Some("unit.energy = \"eV/atom\"\nenergy_per_atom = false"), unchanged).unwrap_err();
    assert_eq!(
        both,
        "pair.toml: `energy_per_atom` is \"false\"; expected true, since the unit of the energy is one per atom"
    );
    assert!(
        read(&METADATA, Some("unit.magmoms = \"e\""), |_, outputs| outputs.push(("magmoms", F32, vec!["n"]))).is_ok()
    );
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
