//! Model files that would take Temper down, hang it or eat its memory: each becomes a sentence, or the failure of the crystals under way.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use ndarray::{arr0, arr1};
use support::{assert_refused, command, json_lines};
use temper::crystal::{Element, Lattice, Structure};
use temper::graph::onnx::attribute_proto::AttributeType;
use temper::graph::onnx::{AttributeProto, GraphProto, NodeProto, ValueInfoProto};
use temper::graph::{Attributes, Builder, DataType, Dim, Value, encode};
use temper::model::{EvaluationError, Executor, Isolation, ModelError, ModelOptions, ModelProcesses, OnnxModel};
use temper::runtime::{Device, Locator, Runtime};
use temper::worker::WorkerFailure;

const METADATA: [(&str, &str); 2] = [("temper.contract", "1"), ("temper.elements", "1-94")];

/// A cell, and its trace.
fn trace(b: &mut Builder) -> Value {
    let crystals = b.symbol("b");
    let cell = b.input("cell", DataType::F32, &[crystals, Dim::Known(3), Dim::Known(3)]);
    let diagonal = b.constant(arr1(&[1.0_f32, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]));
    let flat = b.reshape(cell, &[-1, 9]);
    let trace = b.mul(flat, diagonal);
    b.reduce_sum(trace, &[1], false)
}

/// `trace` and a number of which nothing is left, as the output `trace`.
fn written(mut b: Builder, trace: Value, number: Value, metadata: &[(&str, &str)], path: &Path) {
    let nothing = b.mul_scalar(number, 0.0);
    let output = b.add(trace, nothing);
    b.output("trace", output);
    fs::write(path, encode(&b.finish("foreign", metadata).unwrap())).unwrap();
}

/// One that sorts over the triplets where Temper cannot see it: without triplets, ONNX Runtime divides by zero.
fn dies_without_triplets(path: &Path, triplet_cutoff: &str) {
    let mut b = Builder::new();
    let trace = trace(&mut b);
    let triplets = b.symbol("t");
    let triplets = b.input("triplet_index", DataType::I64, &[Dim::Known(2), triplets]);
    let rows = b.transpose(triplets, &[1, 0]);
    let rows = b.cast(rows, DataType::F32);
    let shape = b.shape_of(rows);
    let all = b.constant(arr1(&[true, true]));
    // The length of the shape, and with it the rank, is known only when the graph runs.
    let shape = b.node("Compress", &[shape, all], Attributes::none());
    let hidden = b.node("Reshape", &[rows, shape], Attributes::none().int("allowzero", 1));
    let one = b.ints(&[1]);
    let largest = b.node_with("TopK", &[Some(hidden), Some(one)], 2, Attributes::none())[0];
    let sum = b.node("ReduceSum", &[largest], Attributes::none().int("keepdims", 0));
    let metadata = [&METADATA[..], &[("temper.cutoff", "6"), ("temper.triplet_cutoff", triplet_cutoff)]].concat();
    written(b, trace, sum, &metadata, path);
}

/// A tensor of `numbers` for each atom, and its sum.
fn filled(path: &Path, numbers: i64, seen: bool) {
    let mut b = Builder::new();
    let trace = trace(&mut b);
    let atoms = b.symbol("n");
    let species = b.input("atomic_numbers", DataType::I64, &[atoms]);
    let (atoms, many) = (b.shape_of(species), b.ints(&[numbers]));
    let shape = if seen { b.concat(&[many, atoms], 0) } else { b.mul(many, atoms) };
    let filled = b.node("ConstantOfShape", &[shape], Attributes::none());
    let sum = b.node("ReduceSum", &[filled], Attributes::none().int("keepdims", 0));
    written(b, trace, sum, &METADATA, path);
}

/// One that takes a minute for an atom: sines of 20 million numbers, again and again.
fn slow(path: &Path) {
    let mut b = Builder::new();
    let trace = trace(&mut b);
    let atoms = b.symbol("n");
    let species = b.input("atomic_numbers", DataType::I64, &[atoms]);
    let (atoms, many) = (b.shape_of(species), b.ints(&[20_000_000]));
    let shape = b.mul(many, atoms);
    let filled = b.node("ConstantOfShape", &[shape], Attributes::none());
    let sines = (0..600).fold(filled, |x, _| b.node("Sin", &[x], Attributes::none()));
    let sum = b.node("ReduceSum", &[sines], Attributes::none().int("keepdims", 0));
    written(b, trace, sum, &METADATA, path);
}

fn chained(path: &Path, additions: usize) {
    let mut b = Builder::new();
    let trace = trace(&mut b);
    let one = b.constant(arr0(1.0_f32));
    let sum = (0..additions).fold(trace, |sum, _| b.add(sum, one));
    written(b, trace, sum, &METADATA, path);
}

/// `If`s on a condition that is known only when the graph runs, one inside the other.
fn nested(path: &Path, levels: usize) {
    let mut b = Builder::new();
    let trace = trace(&mut b);
    let zero = b.constant(arr0(0.0_f32));
    let largest = b.node("ReduceMax", &[trace], Attributes::none().int("keepdims", 0));
    let condition = b.node("Greater", &[largest, zero], Attributes::none());
    b.output("held", trace);
    b.output("condition", condition);
    let mut model = b.finish("nested", &METADATA).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let held = graph.output[0].clone();
    let named = |name: &str| ValueInfoProto { name: Some(name.into()), ..held.clone() };
    let node = |op: &str, input: &str, output: &str| NodeProto {
        op_type: Some(op.into()),
        input: vec![input.into()],
        output: vec![output.into()],
        ..NodeProto::default()
    };
    let branch = |name: &str, node: NodeProto| AttributeProto {
        name: Some(name.into()),
        r#type: Some(AttributeType::Graph as i32),
        g: Some(GraphProto {
            name: Some(name.into()),
            output: vec![named(&node.output[0])],
            node: vec![node],
            ..GraphProto::default()
        }),
        ..AttributeProto::default()
    };
    let mut inner = node("Abs", "held", "level0");
    for level in 1..=levels {
        let outputs = [format!("level{level}"), format!("other{level}")];
        let attribute =
            vec![branch("then_branch", inner), branch("else_branch", node("Neg", "held", outputs[1].as_str()))];
        inner = NodeProto { attribute, ..node("If", "condition", &outputs[0]) };
    }
    graph.node.push(inner);
    graph.output = vec![named(&format!("level{levels}"))];
    fs::write(path, encode(&model)).unwrap();
}

fn cubic(symbol: &str, edge: f64) -> Structure {
    let lattice = Lattice([[edge, 0.0, 0.0], [0.0, edge, 0.0], [0.0, 0.0, edge]]);
    Structure::new(lattice, vec![Element::from_symbol(symbol).unwrap()], vec![[0.0; 3]]).unwrap()
}

/// Cubes of sodium with these edges, angstrom, as a table.
fn table(path: &Path, edges: &[f64]) {
    let rows: Vec<String> = edges
        .iter()
        .enumerate()
        .map(|(row, edge)| {
            let cif = format!(
                "data_x\n_cell_length_a {edge}\n_cell_length_b {edge}\n_cell_length_c {edge}\n_cell_angle_alpha 90\n\
                 _cell_angle_beta 90\n_cell_angle_gamma 90\nloop_\n_atom_site_label\n_atom_site_type_symbol\n\
                 _atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\nNa1 Na 0 0 0\n"
            );
            format!("row{row},\"{cif}\"\n")
        })
        .collect();
    fs::write(path, format!("id,cif\n{}", rows.concat())).unwrap();
}

fn runtime() -> std::sync::Arc<Runtime> {
    Runtime::open(&Locator::from_env(&|_| ()), Device::Cpu).unwrap()
}

/// Runs `temper` with a cache of its own.
fn temper(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = command(folder, arguments);
    command.env("ORT_DYLIB_PATH", &runtime().library().path).env("TEMPER_CACHE_DIR", folder.join("cache"));
    command.output().unwrap()
}

fn processes() -> ModelProcesses {
    ModelProcesses {
        program: env!("CARGO_BIN_EXE_temper").into(),
        cache: None,
        memory: None,
        start_deadline: Duration::from_secs(60),
        max_restarts: 3,
    }
}

fn opened(path: &Path, isolation: Option<Isolation>, processes: ModelProcesses) -> Result<OnnxModel, ModelError> {
    let options = ModelOptions { isolation, processes: Some(processes), ..ModelOptions::default() };
    OnnxModel::open(&runtime(), &Executor::new(1).unwrap(), path, options)
}

#[test]
fn graphs_that_are_too_large_are_refused_before_anything_walks_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    chained(&at.join("chain.onnx"), 100_000);
    nested(&at.join("nested.onnx"), 30);
    filled(&at.join("filled.onnx"), 300_000_000, true);
    let rows = [
        ("chain.onnx", "the graph has more than 65536 nodes"),
        ("nested.onnx", "the graph has more than 8 levels of nested subgraphs"),
    ];
    for (file, reason) in rows {
        let began = Instant::now();
        assert_refused(at, &["model", "inspect", file], 2, &format!("error: {file}: {reason}"));
        assert!(began.elapsed() < Duration::from_secs(20), "{file}: {:?}", began.elapsed());
    }
    let said = String::from_utf8(temper(at, &["model", "inspect", "filled.onnx"]).stderr).unwrap();
    let reason = "(ConstantOfShape), the graph makes tensors of at least 300000000 numbers, more than 134217728";
    assert!(said.contains(reason), "{said}");
    // Fewer of all are no trouble.
    chained(&at.join("chain.onnx"), 1000);
    nested(&at.join("nested.onnx"), 8);
    filled(&at.join("filled.onnx"), 1000, true);
    for file in ["chain.onnx", "nested.onnx", "filled.onnx"] {
        let output = temper(at, &["model", "inspect", file]);
        // It has run: a trace is none of physics.
        assert!(String::from_utf8_lossy(&output.stderr).contains("is wrong under rotation"), "{file}: {output:?}");
    }
}

/// The file is seen to die when it is first looked at, and runs in a process of its own from then on.
#[test]
fn a_model_that_dies_fails_the_crystals_that_it_dies_of() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dies_without_triplets(&at.join("dies.onnx"), "3.5");
    table(&at.join("in.csv"), &[3.0, 5.0, 3.2, 5.5, 5.0, 3.1]);
    for again in [false, true] {
        let output = temper(at, &["score", "in.csv", "--model", "dies.onnx", "-o", "out.csv"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let kept = if again { ", as is kept" } else { "" };
        let warning = format!(
            "warning: dies.onnx: a crystal without triplets: ONNX Runtime was killed by signal 8 (arithmetic error){kept}; the \
             model runs in processes of its own\n"
        );
        assert_eq!(said.matches(&warning).count(), 1, "{said}");
        let rows = fs::read_to_string(at.join("out.csv")).unwrap();
        let rows: Vec<Vec<&str>> = rows.lines().skip(1).map(|row| row.split(',').collect()).collect();
        let died = "the model died: the worker was killed by signal 8 (arithmetic error) before it answered";
        let expected = [Some(9.0), None, Some(9.6), None, None, Some(9.3)];
        for (row, expected) in rows.iter().zip(expected) {
            let trace: Option<f64> = row[3].parse().ok();
            let right = trace.zip(expected).is_none_or(|(trace, expected)| (trace - expected).abs() < 1e-5);
            let status = if expected.is_some() { "ok" } else { died };
            assert!(right && trace.is_some() == expected.is_some() && row[4].starts_with(status), "{row:?}");
        }
        let kept: Vec<PathBuf> =
            fs::read_dir(at.join("cache/models")).unwrap().map(|entry| entry.unwrap().path()).collect();
        let [kept] = &kept[..] else { panic!("{kept:?}") };
        let text = fs::read_to_string(kept).unwrap();
        assert!(text.contains("\"dies\":\"a crystal without triplets"), "{text}");
        // What is kept is believed.
        fs::write(kept, text.replace("(arithmetic error)", "(arithmetic error), as is kept")).unwrap();
    }
    // In Temper's own process, where the user wants it there, it takes all with it.
    let output = temper(at, &["score", "in.csv", "--model", "dies.onnx", "-o", "out.csv", "--isolation", "host"]);
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(8), "{output:?}");
    let output = temper(at, &["model", "check", "dies.onnx"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no triplets"), "{output:?}");
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
model = "dies.onnx"
"#;

#[test]
fn a_run_goes_on_without_the_crystals_that_a_model_dies_of() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    dies_without_triplets(&at.join("dies.onnx"), "2.6");
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    fs::write(at.join("run.toml"), CONFIG.replace("POLICY", policy)).unwrap();
    let run = |arguments: &[&str]| {
        let output = temper(at, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    };
    let said = run(&["finetune", "run.toml"]);
    assert_eq!(said.matches("runs in processes of its own").count(), 1, "{said}");
    run(&["finetune", "--resume", "run", "--set", "run.steps=3"]);
    let (mut died, mut scored) = (0, 0);
    for step in 1..=3 {
        let samples = json_lines(&at.join(format!("run/samples/step-{step}.jsonl.gz")));
        assert_eq!(samples.len(), 12);
        for row in samples {
            let failed = row["trace"]["failed"].as_str().unwrap_or_default();
            died += usize::from(failed.starts_with("the model died: the worker was killed by signal 8"));
            scored += usize::from(row["trace"].is_number());
        }
    }
    assert!(died > 2 && scored > 2, "{died} died, {scored} scored");
    assert!(fs::read_to_string(at.join("run/metrics.jsonl")).unwrap().contains("\"model died\""));
    // Where a model runs is no part of what its numbers depend on, so that a run may be resumed elsewhere.
    run(&["finetune", "--resume", "run", "--set", "run.steps=4", "--set", "rewards.trace.onnx.isolation=process"]);
}

#[test]
fn a_model_is_given_up_when_it_dies_of_everything() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("dies.onnx");
    dies_without_triplets(&path, "2.0");
    let model = opened(&path, Some(Isolation::Process), processes()).unwrap();
    let crystals: Vec<Structure> = (0..6).map(|i| cubic("Na", 3.0 + 0.1 * f64::from(i))).collect();
    let rows = model.evaluate(&crystals.iter().collect::<Vec<_>>(), &["trace"]);
    let kinds: Vec<&str> = rows.iter().map(|row| row.as_ref().unwrap_err().kind()).collect();
    assert_eq!(kinds, [["model died"; 4].as_slice(), &["model given up"; 2]].concat());
}

#[test]
fn memory_and_time_have_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filled.onnx");
    // 200 MB for each atom.
    filled(&path, 50_000_000, false);
    let bounded = || ModelProcesses { memory: Some(700 << 20), ..processes() };
    let model = opened(&path, Some(Isolation::Process), bounded()).unwrap();
    let one = cubic("Na", 3.0);
    let lattice = Lattice(one.lattice.0.map(|vector| vector.map(|x| 4.0 * x)));
    let species = vec![one.species[0]; 8];
    let eight = Structure::new(lattice, species, (0..8).map(|i| [f64::from(i) / 8.0; 3]).collect()).unwrap();
    let rows = model.evaluate(&[&one, &eight, &one], &["trace"]);
    assert!(rows[0].is_ok() && rows[2].is_ok(), "{rows:?}");
    assert!(
        matches!(rows[1], Err(EvaluationError::Died(WorkerFailure::Memory { used, limit })) if used > limit && limit == 700 << 20),
        "{rows:?}"
    );
    // A file that takes as much of a crystal of some atoms is not used at all.
    filled(&path, 500_000_000, false);
    let refused = opened(&path, None, bounded()).unwrap_err().to_string();
    assert!(
        refused.contains("filled.onnx is not used: a small crystal takes more than 700 MiB of memory"),
        "{refused}"
    );
    let hurried = ModelProcesses { start_deadline: Duration::from_millis(1), ..processes() };
    let refused = opened(&path, None, hurried).unwrap_err().to_string();
    assert!(refused.ends_with("filled.onnx is not used: loading it takes longer than 0.001 s"), "{refused}");
}

#[test]
fn a_process_gives_the_numbers_that_this_one_gives() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    table(&at.join("in.csv"), &[2.5, 3.0, 3.2, 3.7, 4.2]);
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0");
    let tables: Vec<String> = ["host", "process"]
        .into_iter()
        .map(|isolation| {
            let arguments =
                ["score", "in.csv", "--model", model, "--forces", "-o", "out.csv", "--isolation", isolation];
            let output = temper(at, &arguments);
            assert!(output.status.success(), "{output:?}");
            fs::read_to_string(at.join("out.csv")).unwrap()
        })
        .collect();
    assert_eq!(tables[0].matches(",ok\n").count(), 5, "{}", tables[0]);
    assert_eq!(tables[0], tables[1]);
}

/// A process that is in the middle of a run when Temper is killed.
#[cfg(target_os = "linux")]
#[test]
fn no_process_outlives_temper() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    slow(&at.join("slow.onnx"));
    table(&at.join("in.csv"), &[3.0]);
    let mut temper = std::process::Command::new(env!("CARGO_BIN_EXE_temper"));
    temper.current_dir(at).args(["score", "in.csv", "--model", "slow.onnx", "-o", "out.csv", "--isolation", "process"]);
    let mut temper = temper.stderr(std::process::Stdio::null()).spawn().unwrap();
    let children = || {
        let tasks = fs::read_dir(format!("/proc/{}/task", temper.id())).into_iter().flatten();
        let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
        lists.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let soon = Instant::now() + Duration::from_secs(60);
    let mut found = children();
    while found.is_empty() && Instant::now() < soon {
        std::thread::sleep(Duration::from_millis(20));
        found = children();
    }
    assert!(!found.is_empty(), "no process was started");
    // In the middle of its work.
    std::thread::sleep(Duration::from_secs(3));
    temper.kill().unwrap();
    temper.wait().unwrap();
    let alive = |id: &String| {
        let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !status.is_empty() && !status.contains(") Z ")
    };
    let soon = Instant::now() + Duration::from_secs(10);
    while found.iter().any(alive) && Instant::now() < soon {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!found.iter().any(alive), "{found:?} are still there");
}
