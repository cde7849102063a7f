//! Models in other conventions than ours, and models that are broken: what the host makes of them, and whether the check finds
//! it. The models are pair potentials, whose energies are summed here in double precision from the neighbour lists.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

#[path = "model_check/judged.rs"]
mod judged;
#[path = "model_check/pair.rs"]
mod pair;
mod support;

use std::fs;
use std::path::Path;

use pair::{METADATA, Pair, crystals, energy};
use support::{accepted, shared, temper};
use temper::crystal::Structure;
use temper::graph::{DataType, encode};
use temper::model::{Contract, Executor, ForceModel, ModelOptions, OnnxModel};
use temper::runtime::{Device, Locator, Runtime};

/// Keys and values of a file's metadata.
type Keys<'a> = &'a [(&'a str, &'a str)];

/// Exit code, standard output and standard error.
fn ended(at: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = temper(at, arguments);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The checks that failed, as `name output`.
fn failures(at: &Path, model: &str) -> (i32, Vec<String>, String) {
    let (code, told, said) = ended(at, &["model", "check", model, "--json", "-q"]);
    let report = serde_json::from_str::<serde_json::Value>(&told);
    assert!(report.is_ok(), "{told}{said}");
    let report = report.unwrap();
    let failed = report["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "fail");
    let name = |check: &serde_json::Value| {
        format!("{} {}", check["check"].as_str().unwrap(), check["output"].as_str().unwrap()).trim_end().to_owned()
    };
    let failed: Vec<String> = failed.map(name).collect();
    assert_eq!(report["passed"], failed.is_empty());
    (code, failed, said)
}

#[test]
fn a_sum_over_edges_that_overwrites_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for scatter in ["ScatterElements", "ScatterND"] {
        let right = Pair { scatter, ..Pair::default() };
        right.write(&at.join("right.onnx"), &METADATA);
        assert_eq!(failures(at, "right.onnx"), (0, vec![], String::new()), "{scatter}");
        Pair { adds: false, ..right }.write(&at.join("wrong.onnx"), &METADATA);
        let (code, failed, said) = failures(at, "wrong.onnx");
        assert_eq!(code, 3);
        for check in ["supercell energy", "single atoms energy"] {
            assert!(failed.contains(&check.to_owned()), "{scatter}: {failed:?}");
        }
        assert!(said.starts_with("error: wrong.onnx: the check fails on "), "{said}");
        assert!(said.contains("hint: the file has 1 scatter node without a reduction"), "{said}");
    }
}

#[test]
fn what_leaks_within_a_batch_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { leaks: true, ..Pair::default() }.write(&at.join("leaks.onnx"), &METADATA);
    let (code, failed, _) = failures(at, "leaks.onnx");
    assert_eq!(code, 3);
    for check in ["batch independence energy", "NaN in the batch energy", "no edges energy"] {
        assert!(failed.contains(&check.to_owned()), "{failed:?}");
    }
    assert!(!failed.contains(&"translation energy".into()), "alone, nothing is wrong: {failed:?}");
}

#[test]
fn an_element_without_a_number_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { nan_at: Some(92), ..Pair::default() }.write(&at.join("uranium.onnx"), &METADATA);
    let (code, told, said) = ended(at, &["model", "check", "uranium.onnx"]);
    assert_eq!(code, 3, "{said}");
    assert_eq!(said, "error: uranium.onnx: the check fails on all declared elements\n");
    assert!(told.contains("all declared elements") && told.contains("(U: not finite)"), "{told}");
}

#[test]
fn forces_that_are_no_derivative_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { forces: Some(-1.0), ..Pair::default() }.write(&at.join("right.onnx"), &METADATA);
    assert_eq!(failures(at, "right.onnx"), (0, vec![], String::new()));
    // The sign, and a unit that was forgotten.
    for factor in [1.0, -1.9] {
        Pair { forces: Some(factor), ..Pair::default() }.write(&at.join("wrong.onnx"), &METADATA);
        let (code, failed, _) = failures(at, "wrong.onnx");
        assert_eq!((code, failed), (3, vec!["differences forces".to_owned()]));
    }
}

/// A file of energies alone: its forces and stress are derived, and differences of the energy tell whether they belong to it.
#[test]
fn derived_forces_are_held_against_differences() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (name, pair, code, status) in [
        ("smooth.onnx", Pair::default(), 0, "pass"),
        ("rough.onnx", Pair { rough: true, ..Pair::default() }, 3, "fail"),
    ] {
        pair.write(&at.join(name), &METADATA);
        let (ended, told, said) = ended(at, &["model", "check", name, "--json", "-q"]);
        assert_eq!(ended, code, "{told}{said}");
        let report: serde_json::Value = serde_json::from_str(&told).unwrap();
        for output in ["forces", "stress"] {
            let mut checks = report["checks"].as_array().unwrap().iter();
            let check = checks.find(|check| check["check"] == "derived" && check["output"] == output).unwrap();
            assert_eq!(check["status"], status, "{check}");
        }
        let mut checks = report["checks"].as_array().unwrap().iter();
        let alone = checks.find(|check| check["check"] == "no edges").unwrap();
        assert_eq!(alone["status"], "pass", "{alone}");
        assert!(alone["note"].as_str().unwrap().starts_with("the file "), "{alone}");
    }
}

/// The same potential in other units, types and shapes has the same energies.
#[test]
fn other_conventions_give_the_same_energies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pair.onnx");
    let runtime = Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap();
    let structures = crystals();
    let expected: Vec<f64> = structures.iter().map(energy).collect();
    let plain = Pair::default();
    // Energies of the file for one eV; CODATA 2018 as printed by NIST.
    let cases: [(&str, Pair, Keys<'_>); 13] = [
        ("as it is", plain, &[]),
        ("float64", Pair { float: DataType::F64, ..plain }, &[]),
        ("per atom", Pair { per_atom: true, ..plain }, &[("energy_per_atom", "true")]),
        ("Ha", Pair { scale: 1.0 / 27.211_386, ..plain }, &[("unit.energy", "Ha")]),
        ("kJ/mol", Pair { scale: 96.485_33, ..plain }, &[("unit.energy", "kJ/mol")]),
        ("kcal/mol", Pair { scale: 23.060_55, ..plain }, &[("unit.energy", "kcal/mol")]),
        ("eV/atom", Pair { per_atom: true, ..plain }, &[("unit.energy", "eV/atom")]),
        ("Ha/atom", Pair { per_atom: true, scale: 1.0 / 27.211_386, ..plain }, &[("unit.energy", "Ha/atom")]),
        ("angstrom, by its name", plain, &[("unit.positions", "angstrom")]),
        ("meV", Pair { scale: 1e3, ..plain }, &[("unit.energy", "meV")]),
        ("nm", Pair { length: 10.0, ..plain }, &[("unit.positions", "nm")]),
        ("one crystal", Pair { single: true, ..plain }, &[]),
        (
            "one crystal, nm, float64",
            Pair { single: true, length: 10.0, float: DataType::F64, ..plain },
            &[("unit.cell", "nm")],
        ),
    ];
    for (name, pair, extra) in cases {
        pair.write(&path, &[&METADATA[..], extra].concat());
        let executor = Executor::new(1).unwrap();
        let model = OnnxModel::open(&runtime, &executor, &path, ModelOptions::default()).unwrap();
        assert_eq!(model.contract().one_at_a_time, pair.single, "{name}");
        assert_eq!(model.contract().warnings.len(), usize::from(pair.single), "{:?}", model.contract().warnings);
        let found = model.evaluate(&structures.iter().collect::<Vec<&Structure>>(), &["energy"]);
        for (found, expected) in found.into_iter().zip(&expected) {
            let found = found.unwrap()[0];
            assert!((found - expected).abs() < 2e-6 * (1.0 + expected.abs()), "{name}: {found} instead of {expected}");
        }
    }
}

/// Forces and stress that are derived do not depend on the file's unit of length and type.
#[test]
fn derived_forces_are_in_our_units() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap();
    let structures = crystals();
    let derived = |pair: Pair, extra: Keys<'_>| {
        let path = folder.path().join("pair.onnx");
        pair.write(&path, &[&METADATA[..], extra].concat());
        let executor = Executor::new(1).unwrap();
        let model = OnnxModel::open(&runtime, &executor, &path, ModelOptions::default()).unwrap();
        let model = ForceModel::new(&runtime, model.into(), None).unwrap();
        let rows = model.evaluate(&structures.iter().collect::<Vec<_>>(), &[]);
        rows.into_iter().map(|row| row.unwrap().1).collect::<Vec<_>>()
    };
    let ours = derived(Pair::default(), &[]);
    let theirs = derived(Pair { length: 10.0, float: DataType::F64, ..Pair::default() }, &[("unit.positions", "nm")]);
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours.largest_force() > 1e-3 || ours.forces.len() == 1);
        let pairs = ours.forces.iter().flatten().zip(theirs.forces.iter().flatten());
        let stresses = ours.stress.iter().flatten().zip(theirs.stress.iter().flatten());
        assert!(pairs.chain(stresses).all(|(a, b)| (a - b).abs() < 1e-6), "{ours:?} {theirs:?}");
    }
}

#[test]
fn a_file_for_one_crystal_is_checked_and_other_fixed_sizes_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { single: true, ..Pair::default() }.write(&at.join("one.onnx"), &METADATA);
    let (code, told, said) = ended(at, &["model", "check", "one.onnx"]);
    assert_eq!(code, 0, "{said}");
    assert!(told.contains("batch independence") && told.contains("(the file takes one crystal at a time)"), "{told}");
    assert_eq!(said.matches("warning: ").count(), 1, "{said}");
    Pair { crystals: Some(16), ..Pair::default() }.write(&at.join("many.onnx"), &METADATA);
    let (code, _, said) = ended(at, &["model", "check", "many.onnx"]);
    assert_eq!(code, 2);
    assert!(said.contains("input `cell` was exported for 16 crystals only; export it with a free axis 0"), "{said}");
}

#[test]
fn files_that_cannot_be_used_end_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let good = Pair::default().model(&METADATA);
    let refused = |name: &str, bytes: &[u8], sentence: &str, hint: &str| {
        fs::write(at.join("bad.onnx"), bytes).unwrap();
        for command in ["inspect", "check"] {
            let (code, _, said) = ended(at, &["model", command, "bad.onnx"]);
            let expected = format!("error: {sentence}\nhint: {hint}\n");
            assert!(code == 2 && said.starts_with(&expected), "{name}, {command}: {said}");
        }
    };
    let whole = encode(&good);
    for (name, bytes) in [("text", &b"PK\x03\x04 an archive"[..]), ("cut", &whole[..whole.len() - 40])] {
        fs::write(at.join("bad.onnx"), bytes).unwrap();
        let (code, _, said) = ended(at, &["model", "inspect", "bad.onnx"]);
        assert_eq!(code, 2);
        assert!(said.starts_with("error: bad.onnx: not an ONNX model, or a truncated one ("), "{name}: {said}");
    }
    let mut old = good.clone();
    old.opset_import[0].version = Some(6);
    let sentence = "bad.onnx: it is written for opset 6 of ONNX, and 7 is the oldest that runs";
    refused("old opset", &encode(&old), sentence, "export it again for opset 18");
    let mut custom = good.clone();
    let node = &mut custom.graph.as_mut().unwrap().node[3];
    (node.domain, node.name) = (Some("org.acme".into()), Some("fused_7".into()));
    let operator = format!("org.acme.{}", node.op_type());
    let sentence = format!("bad.onnx: node `fused_7` needs the custom operator {operator}");
    refused("custom operator", &encode(&custom), &sentence, "export the model with ONNX's own operators");
    let mut future = good.clone();
    future.opset_import[0].version = Some(99);
    fs::write(at.join("bad.onnx"), encode(&future)).unwrap();
    let (code, _, said) = ended(at, &["model", "check", "bad.onnx"]);
    assert_eq!(code, 2);
    assert!(said.contains("cannot be used: it is written for a newer opset of ONNX than "), "{said}");
    fs::write(at.join("bad.onnx"), &whole).unwrap();
    fs::write(at.join("bad.toml"), "triplet_cutof = 3.0\n").unwrap();
    refused("wrong key", &whole, "bad.toml: unknown key `triplet_cutof`", "did you mean `triplet_cutoff`?");
    fs::write(at.join("bad.toml"), "").unwrap();
    let rank = Pair { flat: true, ..Pair::default() }.model(&METADATA);
    let sentence = "bad.onnx: input `positions` has 1 axes instead of 2";
    refused("wrong rank", &encode(&rank), sentence, "bad.toml may rename inputs and pin them");
    let foreign = Pair { positions: "x7", ..Pair::default() }.model(&METADATA);
    fs::write(at.join("bad.onnx"), encode(&foreign)).unwrap();
    let (code, told, said) = ended(at, &["model", "inspect", "bad.onnx"]);
    assert_eq!(code, 2);
    assert!(said.starts_with("error: bad.onnx: input `x7` is none of atomic_numbers, species_index, "), "{said}");
    assert!(told.contains("add to bad.toml    [inputs] x7 = \"positions\""), "{told}");
}

#[test]
fn a_drafted_sidecar_makes_a_foreign_file_usable() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { positions: "pos", ..Pair::default() }.write(&at.join("mine.onnx"), &[]);
    let (code, _, said) = ended(at, &["model", "inspect", "mine.onnx"]);
    assert_eq!(code, 2);
    assert!(
        said.ends_with("hint: `temper model inspect FILE --write-sidecar` writes a draft of the missing lines\n"),
        "{said}"
    );
    let (_, said) = accepted(at, &["model", "inspect", "mine.onnx", "--write-sidecar"]);
    assert!(said.starts_with("mine.toml: 1 lines to fill in\nthis lets small crystals keep their numbers"), "{said}");
    let draft = fs::read_to_string(at.join("mine.toml")).unwrap();
    let (code, _, said) = ended(at, &["model", "check", "mine.onnx"]);
    assert_eq!(code, 2);
    assert!(said.starts_with("error: mine.toml: `cutoff` is \"?\"; expected a distance in angstrom"), "{said}");
    let (code, _, said) = ended(at, &["model", "inspect", "mine.onnx", "--write-sidecar"]);
    assert_eq!(code, 2, "{said}");
    assert_eq!(fs::read_to_string(at.join("mine.toml")).unwrap(), draft, "a sidecar is never overwritten");
    fs::write(at.join("mine.toml"), draft.replace("\"?\"", "5.0")).unwrap();
    let (told, _) = accepted(at, &["model", "inspect", "mine.onnx"]);
    assert!(
        told.contains("usable             yes: ONNX Runtime loads it, and small crystals keep their numbers"),
        "{told}"
    );
    assert!(told.contains("operators          "), "{told}");
    accepted(at, &["model", "check", "mine.onnx", "-q"]);
    assert_eq!(Contract::read(&at.join("mine.onnx")).unwrap().cutoff, Some(5.0));
}

#[test]
fn structures_and_known_values_of_the_users_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair::default()
        .write(&at.join("pair.onnx"), &[&METADATA[..1], &[("cutoff", "5.0"), ("elements", "11-17")]].concat());
    let row = |id: &str, structure: &Structure, energy: serde_json::Value| {
        let species: Vec<u8> = structure.species.iter().map(|e| e.number()).collect();
        serde_json::json!({
            "id": id, "lattice": structure.lattice.0, "species": species, "frac_coords": structure.frac, "energy": energy,
        })
        .to_string()
    };
    let structures = crystals();
    let lines = |off: f64| {
        let rows = structures.iter().enumerate();
        rows.map(|(i, s)| row(&format!("c{i}"), s, (energy(s) + off).into()) + "\n").collect::<String>()
    };
    let check =
        |golden: &str| ended(at, &["model", "check", "pair.onnx", "--structures", "s.jsonl", "--golden", golden]);
    fs::write(at.join("s.jsonl"), lines(0.0) + "{\"id\": \"odd\"}\n").unwrap();
    fs::write(at.join("right.jsonl"), lines(0.0)).unwrap();
    fs::write(at.join("wrong.jsonl"), lines(0.01)).unwrap();
    let (code, told, said) = check("right.jsonl");
    assert_eq!(code, 0, "{told}{said}");
    assert!(said.contains("set aside: odd (line 4): no key \"lattice\""), "{said}");
    assert!(told.ends_with("on 3 crystals\n"), "{told}");
    let (code, _, said) = check("wrong.jsonl");
    assert_eq!((code, said.ends_with("error: pair.onnx: the check fails on golden\n")), (3, true), "{said}");
    // Nested as programs write them, with a row of the wrong size.
    let nested = row("n", &structures[0], energy(&structures[0]).into())
        .replace("\"energy\":", "\"other\":{\"energy\":")
        + "}\n";
    let text = nested.clone() + &nested.replace(&format!("{}", energy(&structures[0])), "[1, 2]");
    fs::write(at.join("nested.jsonl"), text).unwrap();
    let (code, told, said) = check("nested.jsonl");
    assert_eq!(code, 3, "{told}");
    assert!(told.contains("`energy` is not one number") && said.contains("golden rows"), "{told}{said}");
    fs::write(at.join("silent.jsonl"), nested.replace("\"energy\"", "\"gap\"")).unwrap();
    let (code, _, said) = check("silent.jsonl");
    assert_eq!(code, 2);
    assert!(said.contains("silent.jsonl: no row holds a crystal and a value of energy"), "{said}");
    let foreign = fs::read_to_string(at.join("right.jsonl")).unwrap().replace("11,", "55,").replace("12", "55");
    fs::write(at.join("s.jsonl"), foreign.lines().next().unwrap()).unwrap();
    let (code, _, said) = check("right.jsonl");
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("s.jsonl: no crystal that the model can be checked on: c0: the model does not know "),
        "{said}"
    );
}

#[test]
fn reference_files_pass() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = fs::read_to_string(shared.join("golden/mlip.dev.jsonl")).unwrap();
    let some: Vec<&str> = text.lines().step_by(8).collect();
    fs::write(at.join("golden.jsonl"), some.join("\n")).unwrap();
    for name in ["chgnet-0.3.0.onnx", "chgnet-0.3.0-efs.onnx", "megnet-bandgap-mfi.onnx"] {
        let model = shared.join("models").join(name);
        let mut arguments = vec!["model", "check", model.to_str().unwrap(), "--threads", "1"];
        if name.starts_with("chgnet") {
            arguments.extend(["--golden", "golden.jsonl"]);
        }
        let (told, _) = accepted(at, &arguments);
        assert!(told.contains(" 0 fail, "), "{told}");
        if name.starts_with("chgnet") {
            assert!(told.lines().any(|line| line.starts_with("golden energy") && line.contains("pass")), "{told}");
        }
    }
}
