//! What runs on the processor runs on CUDA, and nothing of it leaves the device.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use temper::graph::{Attributes, Builder, DataType, Dim, encode};

use crate::device::{FakeDevice, device};
use crate::support::{accepted, density_run, prepared, shared};

const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
const TEXTBOOK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/chgnet/chgnet.jsonl");

/// Forty crystals of a benchmark; a single one with triplets and a single one without.
fn crystals(folder: &Path) -> [String; 3] {
    let benchmark = std::fs::read_to_string(shared().unwrap().join("golden/mlip.dev.jsonl")).unwrap();
    let symbols = |line: &str| {
        let mut row: Value = serde_json::from_str(line).unwrap();
        let species = row["species"].as_array().unwrap().iter();
        let element =
            |z: &Value| temper::crystal::Element::from_number(z.as_u64().unwrap().try_into().unwrap()).unwrap();
        let symbols: Vec<String> = species.map(|z| element(z).symbol().to_owned()).collect();
        row["species"] = symbols.into();
        row.to_string()
    };
    let forty: Vec<String> = benchmark.lines().take(40).map(symbols).collect();
    // The nearest neighbours are 3.7 A apart, and the potential's triplets end at 3 A.
    let sparse = r#"{"id": "sodium", "lattice": [[4.29, 0, 0], [0, 4.29, 0], [0, 0, 4.29]], "species": ["Na", "Na"],
        "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]]}"#;
    let sparse = sparse.replace('\n', " ");
    let textbook = std::fs::read_to_string(TEXTBOOK).unwrap();
    let texts = [forty.join("\n"), textbook.lines().next().unwrap().to_owned(), sparse];
    [0, 1, 2].map(|i: usize| {
        let name = format!("crystals{i}.jsonl");
        std::fs::write(folder.join(&name), &texts[i]).unwrap();
        name
    })
}

/// Nothing crossed over to the processor, and the command came to its end.
fn stays_on_the_device(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    let crossings: Vec<&str> = said.lines().filter(|line| line.contains("Memcpy")).collect();
    assert!(crossings.is_empty(), "{what}: {crossings:?}");
    assert!(output.status.success(), "{what}: {said}");
    assert!(said.contains("Discovered OrtHardwareDevice"), "{what}: ONNX Runtime's log is not there: {said}");
}

/// The state of each row of a table of scores.
fn states(folder: &Path) -> BTreeMap<String, String> {
    let mut table = csv::Reader::from_path(folder.join("scores.csv")).unwrap();
    table.records().map(|row| row.unwrap()).map(|row| (row[0].to_owned(), row[row.len() - 1].to_owned())).collect()
}

fn scored(device: &FakeDevice, model: &str, forces: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for crystals in crystals(at) {
        let path = format!("{MODELS}/{model}");
        let mut score = vec!["score", &crystals, "--model", &path, "-o", "scores.csv"];
        score.extend(forces);
        accepted(at, &[&score[..], &["--device", "cpu"]].concat());
        let own = states(at);
        stays_on_the_device(&device.temper(at, &score), &format!("{model} {crystals}"));
        assert_eq!(own, states(at), "{model} {crystals}");
        assert!(own.values().filter(|state| *state == "ok").count() * 10 >= own.len() * 9, "{own:?}");
    }
}

#[test]
fn the_potential_and_its_forces_run() {
    let Some(device) = device() else { return };
    scored(device, "chgnet-0.3.0", &[]);
    scored(device, "chgnet-0.3.0", &["--forces"]);
}

#[test]
fn the_property_models_run() {
    let Some(device) = device() else { return };
    scored(device, "band-gap", &[]);
    scored(device, "eps-total", &[]);
}

#[test]
fn the_policy_runs() {
    let Some(device) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let policy = format!("{MODELS}/crystalformer-small");
    for crystals in crystals(at) {
        let logp = ["logp", "-m", &policy, "-i", &crystals, "-o", "logp.csv", "--grad", "grad.safetensors"];
        stays_on_the_device(&device.temper(at, &logp), &crystals);
        let rows = csv::Reader::from_path(at.join("logp.csv")).unwrap().into_records().count();
        assert_eq!(rows, std::fs::read_to_string(at.join(&crystals)).unwrap().lines().count());
    }
    // Whether the draws are crystals is a matter of numbers.
    let sample = ["sample", "-m", &policy, "-n", "70", "-o", "samples.jsonl"];
    stays_on_the_device(&device.temper(at, &sample), "sample");
}

/// Which device computes, and that it would not give the same bytes again.
#[test]
fn a_run_says_where_it_ran() {
    let Some(device) = device() else { return };
    let folder = prepared(&density_run("steps = 1"));
    // The numbers are none, so how it ends does not matter.
    device.temper(folder.path(), &["finetune", "run.toml"]);
    let lock: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("run/lock.json")).unwrap()).unwrap();
    let noted = ["device", "gpu", "deterministic"].map(|key| lock[key].as_str().unwrap());
    assert_eq!(noted, ["cuda", "fake H100", "no"]);
    let config = std::fs::read_to_string(folder.path().join("run/run.toml")).unwrap();
    assert!(!config.contains("memory"), "{config}");
}

/// The fake libraries without one of them, in `folder`.
fn fakes_without(device: &FakeDevice, missing: &str, folder: &Path) -> PathBuf {
    let fakes = folder.join(missing);
    std::fs::create_dir(&fakes).unwrap();
    for file in std::fs::read_dir(&device.fakes).unwrap().map(|entry| entry.unwrap()) {
        if file.file_name() != *missing {
            std::fs::copy(file.path(), fakes.join(file.file_name())).unwrap();
        }
    }
    fakes
}

fn temper(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
    command.current_dir(folder).args(arguments).args(["--device", "cuda"]);
    command
}

#[test]
fn what_is_missing_is_named() {
    let Some(device) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let tell = |without: &str| {
        let fakes = fakes_without(device, without, folder.path());
        let output = device.run_with(temper(folder.path(), &["doctor"]), &fakes).0;
        String::from_utf8(output.stdout).unwrap()
    };
    let whole = tell("nothing");
    assert!(
        whole.contains("CUDAExecutionProvider: works\n") && whole.contains("cuDNN              works\n"),
        "{whole}"
    );
    let cublas = tell("libcublasLt.so.13");
    assert!(cublas.contains("CUDAExecutionProvider: CUDA 13's `libcublasLt.so.13` is not found\n"), "{cublas}");
    let cudnn = tell("libcudnn.so.9");
    assert!(cudnn.contains("CUDAExecutionProvider: works\n"), "{cudnn}");
    assert!(cudnn.contains("cuDNN              cuDNN's `libcudnn.so` is not found; models that need it"), "{cudnn}");
}

/// Who has no cuDNN can fine-tune all the same; a model that needs it is refused before it runs.
#[test]
fn without_cudnn_what_ships_runs_and_the_rest_is_refused() {
    let Some(device) = device() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let fakes = fakes_without(device, "libcudnn.so.9", at);
    let [crystals, ..] = crystals(at);
    let (policy, potential) = (format!("{MODELS}/crystalformer-small"), format!("{MODELS}/chgnet-0.3.0"));
    let logp = ["logp", "-m", &policy, "-i", &crystals, "-o", "logp.csv", "--grad", "grad.safetensors"];
    let score = ["score", &crystals, "--model", &potential, "--forces", "-o", "scores.csv"];
    for arguments in [&logp[..], &score] {
        let (output, report) = device.run_with(temper(at, arguments), &fakes);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!report.keys().any(|call| call.starts_with("cudnn")), "{report:?}");
    }
    let mut b = Builder::new();
    let crystal = b.symbol("b");
    let cell = b.input("cell", DataType::F32, &[crystal, Dim::Known(3), Dim::Known(3)]);
    let axes = b.ints(&[0]);
    let product = b.node("ReduceProd", &[cell, axes], Attributes::none().int("keepdims", 1));
    let spread = b.mul(cell, product);
    let volume = b.node("Det", &[spread], Attributes::none());
    b.output("volume", volume);
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-94"), ("temper.output.volume", "property")];
    std::fs::write(at.join("m.onnx"), encode(&b.finish("m", &metadata).unwrap())).unwrap();
    let (output, _) = device.run_with(temper(at, &["score", &crystals, "--model", "m.onnx", "-o", "s.csv"]), &fakes);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("error: model `m.onnx` cannot be used on `cuda`: ReduceProd of float32 needs cuDNN: node ")
    );
    assert!(said.contains(", and cuDNN cannot be used: cuDNN's `libcudnn.so` is not found\nhint: "), "{said}");
    assert_eq!(output.status.code(), Some(2));
}
