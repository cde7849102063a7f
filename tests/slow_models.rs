//! Models that take too long for some crystals: those are failures with a reason, and everything else goes on.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::time::Duration;

use ndarray::{arr0, arr1};
use support::{accepted, json_lines, temper};
use temper::crystal::{Element, Lattice, Structure};
use temper::graph::onnx::attribute_proto::AttributeType;
use temper::graph::onnx::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto};
use temper::graph::{Attributes, Builder, DataType, Dim, encode};
use temper::model::{EvaluationError, Executor, ModelOptions, OnnxModel};
use temper::runtime::{Device, Locator, Runtime};

/// A model of the property `trace`, the trace of the cell, that turns in a loop for a minute wherever there is oxygen.
fn slow_for_oxygen(path: &Path) {
    let mut b = Builder::new();
    let (n, crystals) = (b.symbol("n"), b.symbol("b"));
    let numbers = b.input("atomic_numbers", DataType::I64, &[n]);
    let cell = b.input("cell", DataType::F32, &[crystals, Dim::Known(3), Dim::Known(3)]);
    let oxygen = b.constant(arr0(8_i64));
    let found = b.node("Equal", &[numbers, oxygen], Attributes::none());
    let found = b.node("Cast", &[found], Attributes::none().data_type("to", DataType::I64));
    let found = b.node("ReduceMax", &[found], Attributes::none().int("keepdims", 0));
    let many = b.constant(arr0(50_000_000_i64));
    let turns = b.node("Mul", &[found, many], Attributes::none());
    let diagonal = b.constant(arr1(&[1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
    let flat = b.reshape(cell, &[-1, 9]);
    let trace = b.mul(flat, diagonal);
    let trace = b.reduce_sum(trace, &[1], false);
    b.output("turns", turns);
    b.output("held", trace);
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-94")];
    let mut model = b.finish("slow", &metadata).unwrap();
    turn(&mut model);
    fs::write(path, encode(&model)).unwrap();
}

/// Sends the output `held` through a loop of `turns` turns that leave it as it is, to the output `trace`.
fn turn(model: &mut ModelProto) {
    let graph = model.graph.as_mut().unwrap();
    let held = graph.output[1].clone();
    let named = |name: &str, like: &ValueInfoProto| ValueInfoProto { name: Some(name.into()), ..like.clone() };
    let mut types = Builder::new();
    let on = types.input("on", DataType::Bool, &[]);
    let turn = types.input("turn", DataType::I64, &[]);
    types.output("same", on);
    types.output("number", turn);
    let types = types.finish("types", &[]).unwrap().graph.unwrap();
    let node = |op: &str, inputs: &[&str], output: &str| NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|name| (*name).into()).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let body = GraphProto {
        name: Some("turn".into()),
        node: vec![node("Identity", &["on"], "still_on"), node("Abs", &["value"], "kept")],
        input: vec![types.input[1].clone(), types.input[0].clone(), named("value", &held)],
        output: vec![named("still_on", &types.input[0]), named("kept", &held)],
        ..GraphProto::default()
    };
    let attribute = AttributeProto {
        name: Some("body".into()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(body),
        ..AttributeProto::default()
    };
    graph.node.push(NodeProto { attribute: vec![attribute], ..node("Loop", &["turns", "", "held"], "trace") });
    graph.output = vec![named("trace", &held)];
}

#[test]
fn only_the_crystals_that_take_too_long_fail() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow.onnx");
    slow_for_oxygen(&path);
    let runtime = Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap();
    let deadline = Duration::from_millis(100);
    let options = ModelOptions { deadline: Some(deadline), ..ModelOptions::default() };
    let model = OnnxModel::open(&runtime, &Executor::new(2).unwrap(), &path, options).unwrap();
    let cubic = |symbol: &str, a: f64| {
        let lattice = Lattice([[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]]);
        Structure::new(lattice, vec![Element::from_symbol(symbol).unwrap()], vec![[0.0; 3]]).unwrap()
    };
    let symbols = ["Na", "O", "Cl"].into_iter().cycle().take(20);
    let crystals: Vec<Structure> = symbols.zip(1..).map(|(symbol, i)| cubic(symbol, 2.0 + f64::from(i))).collect();
    let refs: Vec<&Structure> = crystals.iter().collect();
    for (row, (crystal, found)) in crystals.iter().zip(model.evaluate(&refs, &["trace"])).enumerate() {
        if row % 3 == 1 {
            assert_eq!(found, Err(EvaluationError::Deadline(deadline)));
        } else {
            assert!((found.unwrap()[0] - 3.0 * crystal.lattice.0[0][0]).abs() < 1e-4);
        }
    }
}

const CONFIG: &str = r#"
objective = "-trace"

[policy]
model = "POLICY"

[run]
dir = "run"
steps = 2
seed = 7
threads = 1
max_failed = 1.0

[sampling]
batch = 12
spacegroups = [225]
elements = { only = ["O", "Na", "Mg", "Cl"] }

[rewards.trace.onnx]
model = "slow.onnx"
deadline = "100ms"
"#;

#[test]
fn a_run_goes_on_without_the_crystals_that_take_too_long() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    slow_for_oxygen(&at.join("slow.onnx"));
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    fs::write(at.join("run.toml"), CONFIG.replace("POLICY", policy)).unwrap();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    let (mut slow, mut scored) = (0, 0);
    for step in 1..=2 {
        let samples = json_lines(&at.join(format!("run/samples/step-{step}.jsonl.gz")));
        assert_eq!(samples.len(), 12);
        for row in samples {
            if row["trace"]["failed"] == "the model took longer than the deadline of 0.1 s" {
                assert!(row["species"].as_array().unwrap().contains(&"O".into()), "{row}");
                slow += 1;
            }
            scored += usize::from(row["trace"].is_number());
        }
    }
    assert!(slow > 0 && scored > 0, "{slow} too slow, {scored} scored");
    let metrics = fs::read_to_string(at.join("run/metrics.jsonl")).unwrap();
    assert!(metrics.contains("\"too slow\""), "{metrics}");
    let resolved = fs::read_to_string(at.join("run/run.toml")).unwrap();
    assert!(resolved.contains("deadline = \"100ms\""), "{resolved}");
    let strict = ["--set", "run.max_failed=0.01", "--set", "run.dir=strict"];
    let output = temper(at, &[&["finetune", "run.toml", "--quiet"], &strict[..]].concat());
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_deadline_that_is_none_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    for deadline in ["0s", "30", "soon"] {
        let config = CONFIG.replace("POLICY", policy).replace("100ms", deadline);
        fs::write(folder.path().join("run.toml"), config).unwrap();
        let output = temper(folder.path(), &["finetune", "run.toml", "--dry-run"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        let sentence = format!("`rewards.trace.onnx.deadline`: \"{deadline}\" is not a length of time above 0");
        assert!(said.contains(&sentence) && said.contains("run.toml:"), "{said}");
    }
}
