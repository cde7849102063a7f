//! `temper model`, `temper setup` and `temper doctor` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use temper::graph::{Attributes, Builder, DataType, Dim, encode};

use support::{accepted, assert_refused, command, shared, temper};

/// The model.toml of the checkpoints in `golden/checkpoints`.
const SMALL: &str = "architecture = \"crystalformer\"\n\n[crystalformer]\nNf = 2\nKx = 2\nKl = 1\nn_max = 4\nh0_size = 4\n\
    num_layers = 2\nnum_heads = 2\nkey_size = 2\nmodel_size = 4\nembed_size = 1\natom_types = 119\nwyck_types = 28\n";

fn checkpoint() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/checkpoints/numpy_protocol5.pkl").to_owned()
}

#[test]
fn a_checkpoint_becomes_a_policy_with_graphs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("small.toml"), SMALL).unwrap();
    let checkpoint = checkpoint();
    let (_, said) = accepted(at, &["model", "import", &checkpoint, "-o", "policy", "--config", "small.toml"]);
    assert!(said.ends_with(" parameters: policy\n"), "{said}");
    let (told, _) = accepted(at, &["model", "inspect", "policy"]);
    assert!(told.contains("layers             2 of 2 heads of 2\n"), "{told}");
    accepted(at, &["model", "export", "policy", "-q"]);
    for graph in ["decode.onnx", "logp.onnx", "nll_grad.onnx", "ppo_grad.onnx"] {
        temper::graph::decode(&fs::read(at.join("policy").join(graph)).unwrap()).unwrap();
    }
    // Parameters that do not fit the model.toml beside them.
    fs::write(at.join("policy/model.toml"), SMALL.replace("model_size = 4", "model_size = 6")).unwrap();
    for arguments in [["model", "inspect", "policy"], ["model", "export", "policy"]] {
        let output = temper(at, &arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("error: policy/params.safetensors: "), "{said}");
        assert!(said.contains('4') && said.contains('6'), "{said}");
    }
}

#[test]
fn space_groups_of_an_imported_policy_come_from_data() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("small.toml"), SMALL).unwrap();
    let checkpoint = checkpoint();
    let import = ["model", "import", &checkpoint, "-o", "policy", "--config", "small.toml"];
    let uniform = "warning: the policy does not know how often each space group occurs in its training data";
    let (_, said) = accepted(at, &import);
    assert!(said.starts_with(uniform) && said.contains("hint: --spacegroups-from"), "{said}");
    let sample = ["sample", "-m", "policy", "-n", "1", "-o", "c.jsonl"];
    assert!(accepted(at, &sample).1.starts_with(uniform));
    let before = fs::read(at.join("policy/model.toml")).unwrap();
    assert_refused(
        at,
        &import,
        2,
        "error: policy/model.toml exists already\nhint: name another folder, or replace the policy with --force",
    );
    // Two of caesium chloride (221), one of rock salt's metal sublattice (225), and a row that is none.
    let cubic = |a: f64, species: &str, frac: &str| {
        format!("{{\"lattice\": [[{a},0,0],[0,{a},0],[0,0,{a}]], \"species\": {species}, \"frac_coords\": {frac}}}\n")
    };
    let caesium = cubic(4.1, "[\"Cs\",\"Cl\"]", "[[0,0,0],[0.5,0.5,0.5]]");
    let copper = cubic(3.6, "[\"Cu\",\"Cu\",\"Cu\",\"Cu\"]", "[[0,0,0],[0,0.5,0.5],[0.5,0,0.5],[0.5,0.5,0]]");
    fs::write(at.join("data.jsonl"), format!("{caesium}{copper}{{}}\n{caesium}")).unwrap();
    let counted = [&import[..], &["--force", "--spacegroups-from", "data.jsonl"]].concat();
    let (_, said) = accepted(at, &counted);
    assert!(said.starts_with("2 space groups from 3 of 4 crystals; the others are left out (row 3: "), "{said}");
    let after = fs::read_to_string(at.join("policy/model.toml")).unwrap();
    assert!(after.as_bytes() != before && after.contains("221 = 2.0") && after.contains("225 = 1.0"), "{after}");
    assert!(!accepted(at, &sample).1.contains("warning"));
    fs::write(at.join("none.jsonl"), "{}\n").unwrap();
    let none = temper(at, &[&import[..], &["--force", "--spacegroups-from", "none.jsonl"]].concat());
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(
        none.status.code() == Some(2) && said.contains("none.jsonl: none of 1 crystals has a space group"),
        "{said}"
    );
}

#[test]
fn models_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let missing = temper(at, &["model", "inspect", "nothing.onnx"]);
    assert_eq!(missing.status.code(), Some(2));
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(
        said.starts_with("error: the model: no such file or folder: nothing.onnx\nhint: looked for nothing.onnx, ")
    );
    let checkpoint = checkpoint();
    let output = temper(at, &["model", "import", &checkpoint, "-o", "policy"]);
    assert_eq!(output.status.code(), Some(2), "the paper's hyper-parameters do not fit");
    let said = String::from_utf8(output.stderr).unwrap();
    let hint =
        "hint: these are the paper's hyper-parameters; give the checkpoint's own in a model.toml with --config\n";
    assert!(said.ends_with(hint), "{said}");
    assert!(!at.join("policy").exists());
    let Some(shared) = shared() else { return };
    let whole = fs::read(shared.join("models/chgnet-0.3.0-fast.onnx")).unwrap();
    fs::write(at.join("cut.onnx"), &whole[..100_000]).unwrap();
    let sentence = "error: cut.onnx: not an ONNX model, or a truncated one";
    for arguments in
        [&["model", "inspect", "cut.onnx"][..], &["score", "s.jsonl", "--model", "cut.onnx", "-o", "s.csv"]]
    {
        fs::write(at.join("s.jsonl"), "{}\n").unwrap();
        let output = temper(at, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with(sentence), "{said}");
    }
}

#[test]
fn a_model_is_explained() {
    let Some(shared) = shared() else { return };
    let model = shared.join("models/chgnet-0.3.0-fast.onnx");
    let (told, _) = accepted(Path::new("."), &["model", "inspect", model.to_str().unwrap()]);
    for line in [
        "output             energy: total energy [b], eV",
        "elements           94: 1-94",
        "energy reference   MP2020",
        "usable             yes: ONNX Runtime loads it, and small crystals keep their numbers when they are translated, turned and \
         described otherwise",
    ] {
        assert!(told.lines().any(|l| l == line), "{line} in\n{told}");
    }
}

#[test]
fn without_pip_and_network_the_advice_is_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let output = command(at, &["setup", "-q"])
        .env_remove("ORT_DYLIB_PATH")
        .env("PATH", at)
        .env("TEMPER_CACHE_DIR", at.join("cache"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        said.trim_end(),
        "error: no ONNX Runtime library was found, and neither pip nor uv is there to fetch it\n\
         hint: install pip (`python3 -m ensurepip`) or uv, or set ORT_DYLIB_PATH to an ONNX Runtime library of version 1.24 \
         or newer"
    );
    let doctor = command(at, &["doctor"])
        .env_remove("ORT_DYLIB_PATH")
        .env("PATH", at)
        .env("TEMPER_CACHE_DIR", at.join("cache"))
        .output()
        .unwrap();
    assert!(doctor.status.success());
    let told = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        told.contains("ONNX Runtime       not installed yet; it is fetched when needed, or by `temper setup`\n"),
        "{told}"
    );
}

#[test]
fn an_unknown_device_is_refused_with_the_choices() {
    let sentence = "error: unknown device `gpu`\nhint: use `auto`, `cpu`, `cuda` or `cuda:N`";
    assert_refused(Path::new("."), &["setup", "--device", "gpu"], 2, sentence);
    assert_refused(Path::new("."), &["doctor", "--device", "gpu"], 2, sentence);
    let sentence = "error: --with-cuda goes with --device cuda";
    assert_refused(Path::new("."), &["setup", "--with-cuda"], 2, sentence);
    assert_refused(Path::new("."), &["setup", "--with-cuda", "--device", "cpu"], 2, sentence);
}

/// The volume by a route that CUDA has no kernels for, some of which have a stand-in.
#[test]
fn what_cuda_cannot_run_is_told_node_by_node() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let mut b = Builder::new();
    let crystals = b.symbol("b");
    let cell = b.input("cell", DataType::F32, &[crystals, Dim::Known(3), Dim::Known(3)]);
    let volume = b.node("Det", &[cell], Attributes::none());
    let arc = b.node("Atan", &[volume], Attributes::none());
    let bounded = b.node("Celu", &[arc], Attributes::none());
    let product = b.node("ReduceProd", &[bounded], Attributes::none().int("keepdims", 1));
    // A volume all the same.
    let nothing = b.mul_scalar(product, 0.0);
    let all = b.add(volume, nothing);
    b.output("volume", all);
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-94"), ("temper.output.volume", "property")];
    fs::write(at.join("m.onnx"), encode(&b.finish("m", &metadata).unwrap())).unwrap();
    let (plain, _) = accepted(at, &["model", "inspect", "m.onnx"]);
    assert!(!plain.contains("CUDA"), "{plain}");
    let (told, _) = accepted(at, &["model", "inspect", "m.onnx", "--device", "cuda"]);
    let rows: Vec<&str> = told.lines().filter_map(|line| line.strip_prefix("CUDA               ")).collect();
    let node = |op: &str| name_of(&told, op);
    assert_eq!(
        rows,
        [
            "written as operators that it has: 1 Atan, 1 Det",
            &format!("Celu of float32 runs on the processor: node `{}`", node("Celu")),
            &format!("ReduceProd of float32 needs cuDNN: node `{}`", node("ReduceProd")),
        ]
    );
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    let (told, _) = accepted(at, &["model", "inspect", policy, "--device", "cuda"]);
    for graph in ["decode", "logp", "nll_grad", "ppo_grad"] {
        assert!(told.contains(&format!("CUDA               {graph}.onnx: every node runs there")), "{told}");
    }
}

/// The name of the node behind its operator in a row.
fn name_of(told: &str, op: &str) -> String {
    let row = told.lines().find(|line| line.contains(&format!(" {op} of "))).unwrap();
    row.split('`').nth(1).unwrap().to_owned()
}
