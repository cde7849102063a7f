//! `temper finetune` and `temper sample` as a user meets them. The policies are tiny and untrained: what is tested is the run, not
//! the crystals.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{accepted, assert_refused, command, json_lines, prepared, small, temper, write_charge_model};
use temper::graph::onnx::StringStringEntryProto;
use temper::graph::{Builder, DataType, Dim, encode};
use temper::policy::{ModelToml, Parameters, PolicyDirectory};

const CONFIG: &str = r#"
objective = "-density"

[policy]
model = "policy"

[run]
dir = "run"
steps = 4
seed = 7
threads = 1
checkpoint_every = 2
max_failed = 1.0

[sampling]
batch = 12
spacegroups = [1, 225]
elements = { exclude = ["radioactive"] }

[ppo]
learning_rate = 1e-2

[rewards.density.builtin]
term = "density"
on_failure = { value = 30.0 }
"#;

/// Lines of the metrics, without what depends on the clock.
fn metrics(run: &Path) -> Vec<Value> {
    let mut lines = json_lines(&run.join("metrics.jsonl"));
    lines.iter_mut().for_each(|line| assert!(line.as_object_mut().unwrap().remove("time").is_some()));
    lines
}

/// Everything that a resumed run must have in common with one that was never stopped.
fn assert_same(a: &Path, b: &Path, steps: usize) {
    assert_eq!(metrics(a), metrics(b));
    assert_eq!(metrics(a).len(), steps);
    let mut files = vec!["candidates.csv".to_owned(), "candidates.extxyz".to_owned()];
    files.extend((1..=steps).map(|step| format!("samples/step-{step}.jsonl.gz")));
    for name in ["params.safetensors", "optimizer.safetensors", "state.json"] {
        files.push(format!("checkpoints/step-{steps}/{name}"));
    }
    for file in files {
        assert!(fs::read(a.join(&file)).unwrap() == fs::read(b.join(&file)).unwrap(), "{file} differs");
    }
}

#[test]
fn a_resumed_run_ends_with_the_same_bytes() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let (table, _) = accepted(at, &["finetune", "run.toml", "--set", "run.dir=straight"]);
    let parts = ["steps 1 to 2", "steps 3 to 4", "KL to the base"];
    assert!(parts.iter().all(|part| table.contains(part)), "{table}");
    accepted(at, &["finetune", "run.toml", "--set", "run.steps=2"]);
    let (resumed, _) = accepted(at, &["finetune", "run.toml", "--resume"]);
    assert_same(&at.join("straight"), &at.join("run"), 4);
    let state = fs::read_to_string(at.join("run/checkpoints/step-4/state.json")).unwrap();
    assert!(state.contains("\"wyckoff\""), "candidates keep their symmetry");
    // The clock's rows stand behind the others, and are there for every stage.
    let (numbers, clock) = table.split_once("\nseconds").unwrap();
    assert_eq!(numbers, resumed.split_once("\nseconds").unwrap().0, "the table compares with the first steps of all");
    for stage in ["sampling", "rewards", "log-probabilities", "gradients", "clipping and Adam", "the rest"] {
        assert!(clock.contains(stage), "{clock}");
    }
}

#[test]
fn a_killed_run_ends_with_the_same_bytes() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_temper"))
        .current_dir(at)
        .args(["finetune", "run.toml", "--quiet", "--set", "run.steps=10000"])
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !at.join("run/checkpoints/step-4").exists() {
        assert!(started.elapsed() < Duration::from_secs(120), "no checkpoint after two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let newest = fs::read_dir(at.join("run/checkpoints")).unwrap().flatten();
    let newest = newest.filter_map(|e| e.file_name().to_str()?.strip_prefix("step-")?.parse::<usize>().ok()).max();
    let steps = newest.unwrap() + 2;
    let wanted = format!("run.steps={steps}");
    accepted(at, &["finetune", "run.toml", "--resume", "--set", &wanted]);
    accepted(at, &["finetune", "run.toml", "--set", "run.dir=straight", "--set", &wanted]);
    assert_same(&at.join("straight"), &at.join("run"), steps);
}

/// The logarithm, because densities of untrained crystals span ten powers of ten: a mean of them is the largest one, and a policy
/// that follows it goes wherever rounding leads. A failure counts as worse than any of them.
#[test]
fn training_does_what_it_is_rewarded_for() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let set = ["run.steps=40", "sampling.batch=64", "ppo.kl_weight=0.0", "objective=-log(density)"];
    let mut arguments = vec!["finetune", "run.toml", "--set", "rewards.density.builtin.on_failure.value=1e9"];
    set.iter().for_each(|s| arguments.extend(["--set", s]));
    accepted(at, &arguments);
    let lines = metrics(&at.join("run"));
    let objective = |line: &Value| line["objective_mean"].as_f64().unwrap();
    let mean = |lines: &[Value]| lines.iter().map(objective).sum::<f64>() / lines.len() as f64;
    let (first, last) = (mean(&lines[..5]), mean(&lines[35..]));
    assert!(last > first + 3.0, "-log(density) went from {first} to {last}");
}

/// With next to nothing to gain, what is left is the KL term: in the paper's form and in the reference's it draws a policy to its base.
#[test]
fn the_kl_term_draws_a_policy_to_its_base() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let mut parameters = Parameters::initialise(&small(), 2);
    parameters.iter_mut().for_each(|(_, mut p)| p.mapv_inplace(|x| 8.0 * x));
    let model = ModelToml { hyper: small(), spacegroups: None, provenance: None };
    PolicyDirectory { model, parameters }.save(&at.join("base")).unwrap();
    let set = ["policy.base=base", "run.steps=20", "sampling.batch=64", "ppo.kl_weight=1.0", "objective=1e-9*density"];
    for form in ["detached", "reference"] {
        let form = [format!("ppo.kl_gradient={form}"), format!("run.dir={form}")];
        let mut arguments = vec!["finetune", "run.toml", "--quiet"];
        set.iter().copied().chain(form.iter().map(String::as_str)).for_each(|s| arguments.extend(["--set", s]));
        accepted(at, &arguments);
        let lines = metrics(&at.join(form[1].trim_start_matches("run.dir=")));
        let mean = |lines: &[Value]| lines.iter().map(|line| line["kl"].as_f64().unwrap()).sum::<f64>() / 5.0;
        let (first, last) = (mean(&lines[..5]), mean(&lines[15..]));
        assert!(first > 0.5 && last < 0.7 * first, "KL to the base went from {first} to {last}, {}", form[0]);
    }
}

/// A sum over edges that overwrites instead of adding is what exporters make of `index_add`: the file runs, and its numbers are wrong.
#[test]
fn a_dry_run_refuses_a_model_of_senseless_numbers() {
    let folder = prepared(
        &CONFIG
            .replace("[rewards.density.builtin]\nterm = \"density\"", "[rewards.density.onnx]\nmodel = \"sum.onnx\""),
    );
    let at = folder.path();
    for (reduction, code) in [("add", 0), ("none", 3)] {
        write_charge_model(at, reduction);
        let output = temper(at, &["finetune", "run.toml", "--dry-run"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{reduction}: {said}");
        if code == 3 {
            assert!(said.contains("sum.onnx: charge is wrong under "), "{said}");
            assert!(said.contains("hint: the file has 1 scatter node without a reduction"), "{said}");
        }
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = prepared(CONFIG);
    let (said, _) = accepted(folder.path(), &["finetune", "run.toml", "--dry-run"]);
    assert_eq!(said, "everything checks out: 4 steps of 12\n");
    assert!(!folder.path().join("run").exists());
}

#[test]
fn an_occupied_directory_and_a_changed_config_are_refused() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    assert_refused(
        at,
        &["finetune", "run.toml"],
        2,
        "error: run already holds a run of 4 steps\n\
         hint: continue it with --resume, or choose another directory with --set run.dir=...",
    );
    assert_refused(
        at,
        &["finetune", "run.toml", "--resume", "--set", "ppo.clip=0.3"],
        2,
        "error: run: `ppo.clip` was 0.2, is 0.3\n\
         hint: go on with what is there now, on the record, with --accept-changed ppo.clip\n\
         hint: or start a new run in another directory with --set run.dir=...",
    );
}

/// `energy = w * sum of r^2`, for one crystal at a time, with `w` in a file beside the model.
fn write_model_with_external_data(folder: &Path, weight: f32) {
    let mut b = Builder::new();
    let (n, three) = (b.symbol("n"), Dim::Known(3));
    let positions = b.input("positions", DataType::F32, &[n, three]);
    let cell = b.input("cell", DataType::F32, &[Dim::Known(1), three, three]);
    let weights = b.initializer("w", ndarray::arr1(&[weight]).into());
    let square = b.mul(positions, positions);
    let sum = b.sum_all(square);
    let nothing = b.mul_scalar(cell, 0.0);
    let nothing = b.sum_all(nothing);
    let scaled = b.mul(weights, sum);
    let energy = b.add(scaled, nothing);
    b.output("energy", energy);
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-118")];
    let mut model = b.finish("external", &metadata).unwrap();
    let tensors = &mut model.graph.as_mut().unwrap().initializer;
    let tensor = tensors.iter_mut().find(|tensor| tensor.name.as_deref() == Some("w")).unwrap();
    fs::write(folder.join("weights.data"), tensor.raw_data.take().unwrap()).unwrap();
    tensor.data_location = Some(1);
    tensor.external_data =
        vec![StringStringEntryProto { key: Some("location".into()), value: Some("weights.data".into()) }];
    fs::write(folder.join("model.onnx"), encode(&model)).unwrap();
}

#[test]
fn a_run_does_not_go_on_with_other_external_data() {
    let config = CONFIG.replace("\"-density\"", "\"-e\"");
    let (config, _) = config.split_once("[rewards.density").unwrap();
    let config = format!("{config}[rewards.e.onnx]\nmodel = \"model.onnx\"\non_failure = {{ value = 1e3 }}\n");
    let folder = prepared(&config);
    let at = folder.path();
    write_model_with_external_data(at, 0.5);
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    accepted(at, &["finetune", "run.toml", "--quiet", "--resume"]);
    fs::write(at.join("weights.data"), 0.75_f32.to_le_bytes()).unwrap();
    assert_refused(
        at,
        &["finetune", "run.toml", "--resume", "--quiet"],
        2,
        "error: run: the run was started with a different rewards.e.onnx.model.weights.data\n\
         hint: go on with what is there now, on the record, with --accept-changed rewards.e.onnx.model.weights.data\n\
         hint: or start a new run in another directory with --set run.dir=...",
    );
}

#[test]
fn mistakes_in_a_config_name_the_place() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    for (key, code) in [("run.stepz=3", 2), ("sampling.spacegroups=[231]", 2), ("sampling.temperature=0", 2)] {
        let output = temper(at, &["finetune", "run.toml", "--dry-run", "--set", key]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{key}: {said}");
        let name = key.split_once('=').unwrap().0;
        assert!(said.starts_with("error: ") && said.contains(name), "{key}: {said}");
    }
    let output = command(at, &["finetune", "run.toml", "--dry-run", "--set", "objective=-densty"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("densty") && said.contains("density"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn names_that_the_files_need_are_refused() {
    for name in ["id", "logp", "lattice", "tokens", "objective", "formula", "cif", "pbc"] {
        let folder =
            prepared(&CONFIG.replace("rewards.density", &format!("rewards.{name}")).replace("-density", "-1 * n"));
        let said = String::from_utf8(temper(folder.path(), &["finetune", "run.toml", "--dry-run"]).stderr).unwrap();
        let expected = format!(
            "error: run.toml:23:10: `rewards.{name}`: samples and candidates have a value `{name}` of their own\n"
        );
        assert!(said.starts_with(&expected), "{said}");
        assert!(said.contains(&format!("hint: call the term something else, such as `{name}_term`")), "{said}");
    }
}

/// A link to a device that never ends, in the place of each file that is read at once.
#[cfg(unix)]
#[test]
fn no_file_is_read_without_an_end() {
    let term = "[rewards.e.onnx]\nmodel = \"model.onnx\"\non_failure = { value = 1e3 }\n";
    for file in ["run.toml", "policy/model.toml", "policy/params.safetensors", "model.onnx", "model.toml"] {
        let folder = prepared(&format!("{CONFIG}{term}"));
        let at = folder.path();
        write_model_with_external_data(at, 0.5);
        let _ = fs::remove_file(at.join(file));
        std::os::unix::fs::symlink("/dev/zero", at.join(file)).unwrap();
        let output = temper(at, &["finetune", "run.toml", "--dry-run"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{file}: {said}");
        let last = file.rsplit('/').next().unwrap();
        assert!(said.contains(last) && said.contains("the most that is read of such a file"), "{file}: {said}");
    }
}

#[test]
fn sizes_are_bounded_before_memory_is_taken() {
    let folder = prepared(CONFIG);
    for (key, bound) in [
        ("sampling.batch=100000000000", "must be 1 to 1000000"),
        ("run.steps=5000000000", "must be 1 to 1000000000"),
        ("run.threads=100000000", "must be at most 4096"),
        ("ppo.epochs=100000000", "must be 1 to 10000"),
    ] {
        let output = temper(folder.path(), &["finetune", "run.toml", "--dry-run", "--set", key]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(bound), "{key}: {said}");
    }
    let output = temper(folder.path(), &["--threads", "100000000", "finetune", "run.toml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("must be at most 4096"), "{said}");
}

/// A learning rate with which a step overflows: said at the step, and the end after as many steps as the config allows.
#[test]
fn a_run_that_learns_nothing_ends() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let set = ["--set", "ppo.learning_rate=1e300", "--set", "run.steps=9", "--set", "guards.max_idle_steps=3"];
    let output = temper(at, &[&["finetune", "run.toml"][..], &set].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let reason = "none of the 3 optimiser steps was taken, because the gradient is not finite; the mean objective is ";
    assert!(said.contains(&format!("warning: step 1: {reason}")), "{said}");
    assert!(said.contains(&format!("error: step 3: {reason}")), "{said}");
    assert!(said.contains("; nothing was learned in 3 steps in a row"), "{said}");
    let skipped: Vec<_> = metrics(&at.join("run")).iter().map(|line| line["skipped"].as_u64().unwrap()).collect();
    assert_eq!(skipped, [3, 3, 3]);
    let parameters = fs::read(at.join("run/checkpoints/step-3/params.safetensors")).unwrap();
    assert!(parameters == fs::read(at.join("policy/params.safetensors")).unwrap(), "the policy is as it was");
}

/// Steps of 0.1 in every parameter throw the policy far from its base.
#[test]
fn an_alarm_warns_or_stops() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let set = ["--set", "ppo.learning_rate=0.1", "--set", "run.steps=9", "--set", "guards.kl_bound=0.5"];
    let (_, said) = accepted(at, &[&["finetune", "run.toml", "--set", "run.dir=warned"][..], &set].concat());
    assert_eq!(said.matches("warning: KL to the base is ").count(), 1, "{said}");
    let stop = ["finetune", "run.toml", "--set", "guards.kl=stop", "--set", "run.checkpoint_every=1000"];
    let output = temper(at, &[&stop[..], &set].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let lines = metrics(&at.join("run"));
    let last = lines.len();
    assert!(
        last < 9 && lines[last - 1]["kl"].as_f64().unwrap() > 0.5 && lines[last - 2]["kl"].as_f64().unwrap() <= 0.5
    );
    assert!(said.contains(&format!("error: step {last}: KL to the base is ")), "{said}");
    assert!(at.join(format!("run/checkpoints/step-{last}")).is_dir(), "the step is kept");
}

#[test]
fn samples_do_not_depend_on_threads_or_number() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    accepted(at, &["sample", "-m", "policy", "-n", "30", "--seed", "3", "--threads", "1", "-o", "a.jsonl"]);
    accepted(at, &["sample", "-m", "policy", "-n", "17", "--seed", "3", "--threads", "2", "-o", "b.jsonl"]);
    let (a, b) = (fs::read_to_string(at.join("a.jsonl")).unwrap(), fs::read_to_string(at.join("b.jsonl")).unwrap());
    let tokens = |text: &str| -> Vec<Value> {
        text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["tokens"]["sites"].clone()).collect()
    };
    let (a, b) = (tokens(&a), tokens(&b));
    assert_eq!((a.len(), b.len()), (30, 17));
    for (row, (a, b)) in a.iter().zip(&b).enumerate() {
        let letters = |sites: &Value| -> Vec<(Value, Value)> {
            sites.as_array().unwrap().iter().map(|s| (s["w"].clone(), s["a"].clone())).collect()
        };
        assert_eq!(letters(a), letters(b), "sample {row}");
    }
}

#[test]
fn restrictions_hold() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let arguments =
        ["sample", "-m", "policy", "-n", "40", "--spacegroup", "225,216", "--elements", "Li,O", "-o", "c.jsonl"];
    accepted(at, &arguments);
    for line in fs::read_to_string(at.join("c.jsonl")).unwrap().lines() {
        let value: Value = serde_json::from_str(line).unwrap();
        let tokens = &value["tokens"];
        assert!([225, 216].contains(&tokens["spacegroup"].as_u64().unwrap()));
        for site in tokens["sites"].as_array().unwrap() {
            assert!(["Li", "O"].contains(&site["a"].as_str().unwrap()), "{line}");
        }
    }
    assert_refused(
        at,
        &["sample", "-m", "policy", "-n", "1", "--elements", "Xx", "-o", "d.jsonl"],
        2,
        "error: --elements: `Xx` is not an element; write symbols such as Li, or radioactive or noble-gas",
    );
}

/// Reduced formula of a sample, elements in the order of their symbols, with the elements other than Li and O as M.
fn family(line: &Value) -> String {
    let mut amounts = std::collections::BTreeMap::new();
    for symbol in line["species"].as_array().unwrap() {
        *amounts.entry(symbol.as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    let least = *amounts.values().min().unwrap();
    let name = |symbol: &str| if ["Li", "O"].contains(&symbol) { symbol.to_owned() } else { "M".to_owned() };
    let mut parts: Vec<String> = amounts.iter().map(|(s, n)| format!("{}{}", name(s), n / least)).collect();
    parts.sort();
    parts.concat()
}

#[test]
fn crystals_of_a_formula_can_be_asked_for() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let sample = ["sample", "-m", "policy", "-n", "30", "--formula", "LiMO2", "--max-atoms", "24", "-o", "c.jsonl"];
    let (_, said) = accepted(at, &sample);
    assert!(said.contains("formula LiMO2: M any other element; Li, O as elements"), "{said}");
    // The policy has three slots: too few for four atoms one by one.
    assert!(said.contains("space groups have no such crystal and are left out: 1, 4"), "{said}");
    let lines = json_lines(&at.join("c.jsonl"));
    // A policy without training draws impossible cells; a formula has only what is a crystal.
    let crystals: Vec<&Value> = lines.iter().filter(|line| line.get("species").is_some()).collect();
    assert!(crystals.len() > 3, "{}", crystals.len());
    for line in crystals {
        assert_eq!(family(line), "Li1M1O2", "{line}");
        assert!(line["species"].as_array().unwrap().len() <= 24);
    }
    let many = ["sample", "-m", "policy", "-n", "20", "--require-elements", "Li,O", "--max-elements", "2"];
    accepted(at, &[&many[..], &["--max-sites", "3", "--spacegroup", "1,2", "-o", "d.jsonl"]].concat());
    for line in json_lines(&at.join("d.jsonl")) {
        let sites = line["tokens"]["sites"].as_array().unwrap().clone();
        let elements: std::collections::BTreeSet<&str> = sites.iter().map(|s| s["a"].as_str().unwrap()).collect();
        assert_eq!((elements.into_iter().collect::<Vec<_>>(), sites.len() <= 3), (vec!["Li", "O"], true), "{line}");
    }
}

#[test]
fn impossible_wishes_are_refused() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let refused = |arguments: &[&str], message: &str| {
        assert_refused(at, &[&["sample", "-m", "policy", "-n", "1", "-o", "c.jsonl"], arguments].concat(), 2, message);
    };
    refused(&["--formula", "LiMxO2"], "error: --formula: `Mx` in `LiMxO2` is not an element");
    refused(
        &["--require-elements", "Xx"],
        "error: --require-elements: `Xx` is not an element; write symbols such as Li",
    );
    refused(
        &["--formula", "LiMO2", "--require-elements", "Fe"],
        "error: a formula says which elements a crystal has, so a list of required elements cannot stand beside it\n\
         hint: write elements that must appear into the formula",
    );
    refused(&["--max-atoms", "3", "--spacegroup", "225,227"], "error: no space group has such a crystal: 225, 227");
    for (set, message) in [
        ("sampling.max_sites=0", "`sampling.max_sites` = 0: must be at least 1"),
        ("sampling.n_elements={ min = 3, max = 2 }", "`sampling.n_elements`: `min` = 3 is more than `max` = 2"),
        ("sampling.elements={ require = [\"Xx\"] }", "`sampling.elements.require`: `Xx` is not an element"),
        ("sampling.formula=Li0.5O", "`sampling.formula`: the amount 0.5 of Li in `Li0.5O` is not a whole number"),
        ("sampling.max_atoms=3", "225"),
    ] {
        let arguments = ["finetune", "run.toml", "--dry-run", "--set", set, "--set", "sampling.spacegroups=[225]"];
        let output = temper(at, &arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(message), "{set}: {said}");
    }
}

/// Every sample of every step, and a policy that still moves: ratios and KL are those of the restricted policy.
#[test]
fn a_restricted_policy_is_fine_tuned() {
    let config = CONFIG.replace("elements = { exclude = [\"radioactive\"] }", "formula = \"LiMO2\"\nmax_atoms = 32");
    let folder = prepared(&config.replace("[1, 225]", "[1, 2, 12, 166]"));
    let at = folder.path();
    accepted(at, &["finetune", "run.toml"]);
    let mut crystals = 0;
    for step in 1..=4 {
        for line in json_lines(&at.join(format!("run/samples/step-{step}.jsonl.gz"))) {
            let logp = line["logp"].as_f64().unwrap();
            assert!(logp.is_finite() && logp > -1e6, "{line}");
            if line.get("species").is_some() {
                crystals += 1;
                assert_eq!(family(&line), "Li1M1O2", "{line}");
            }
        }
    }
    assert!(crystals > 4, "{crystals}");
    let lines = metrics(&at.join("run"));
    let kl = |line: &Value| line["kl"].as_f64().unwrap();
    assert!(kl(&lines[0]).abs() < 1e-9 && lines[1..].iter().all(|line| kl(line).is_finite() && kl(line) != 0.0));
    assert!(lines.iter().all(|line| line["skipped"] == 0 && line["grad_norms"][0].as_f64().unwrap() > 0.0));
    let (written, formula) = (fs::read_to_string(at.join("run/run.toml")).unwrap(), "formula = \"LiMO2\"");
    assert!(written.contains(formula), "{written}");
}

/// One potential and hull as reward and as judge: the judge agrees, and speaks only when it is due.
/// Structures that the policy will not draw are known, so every crystal that can be compared is new.
#[test]
fn novelty_and_uniqueness_compare_structures_if_asked_to() {
    let by = "\n[rewards.new.builtin]\nterm = \"novelty\"\nby = \"structure\"\nreference = \"known.jsonl\"\n\n\
              [rewards.rare.builtin]\nterm = \"uniqueness\"\nby = \"structure\"\n";
    let folder = prepared(&[CONFIG, by].concat());
    let at = folder.path();
    let known = r#"{"lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Cs","Cl"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]]}"#;
    std::fs::write(at.join("known.jsonl"), known).unwrap();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "run.steps=1"]);
    let rows = json_lines(&at.join("run/samples/step-1.jsonl.gz"));
    let values = |name: &str| rows.iter().filter_map(|row| row[name].as_f64()).collect::<Vec<_>>();
    assert!(!values("new").is_empty() && values("new").iter().all(|value| *value == 1.0), "{rows:?}");
    assert!(values("rare").iter().all(|value| (1.0 / 12.0..=1.0).contains(value)), "{rows:?}");
    let lock = std::fs::read_to_string(at.join("run/lock.json")).unwrap();
    assert!(lock.contains("rewards.new.builtin.reference"), "{lock}");
    let refused = temper(
        at,
        &[
            "finetune",
            "run.toml",
            "--dry-run",
            "--set",
            "run.dir=\"other\"",
            "--set",
            "rewards.density.builtin.by=\"structure\"",
        ],
    );
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.contains("`rewards.density.builtin.by`: only `novelty`, `uniqueness` and `diversity` compare crystals"),
        "{said}"
    );
    assert_eq!(refused.status.code(), Some(2));
}

/// Keys of a built-in term where they mean nothing, and a judge that would see some batches only.
#[test]
fn keys_of_diversity_are_refused_elsewhere() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    for (key, said) in [
        ("rewards.density.builtin.window=5", "`rewards.density.builtin.window`: only `diversity` remembers batches"),
        (
            "rewards.a.builtin={term=\"uniqueness\",by=\"family\"}",
            "`rewards.a.builtin.by`: only `diversity` goes by families",
        ),
        ("rewards.a.builtin={term=\"diversity\",by=\"structure\"}", "`rewards.a.builtin.by`: `diversity` goes by"),
        (
            "rewards.a.builtin={term=\"diversity\",bucket_size=0}",
            "`rewards.a.builtin.bucket_size` = 0: must be at least 1",
        ),
        ("judge.builtin={term=\"diversity\"}", "`judge.builtin.term`: `diversity` depends on the batches before"),
    ] {
        let output = temper(at, &["finetune", "run.toml", "--dry-run", "--set", key]);
        let found = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && found.contains(said), "{key}: {found}");
    }
}

#[test]
fn a_judge_is_logged_and_never_rewarded() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let hull = format!("potential = \"{models}/chgnet-0.3.0\"\nreference = \"{models}/hulls/mp-chgnet.hull\"\n");
    let config = format!("{CONFIG}\n[rewards.stability.hull]\n{hull}\n[judge.hull]\n{hull}every = 2\n");
    fs::write(at.join("run.toml"), config).unwrap();
    accepted(at, &["finetune", "run.toml", "--set", "run.dir=judged"]);
    let lines = metrics(&at.join("judged"));
    for line in &lines {
        let due = line["step"].as_u64().unwrap().is_multiple_of(2);
        assert_eq!(line["judge"].is_null(), !due);
        if due {
            assert_eq!(line["judge"]["e_hull"], line["terms"]["stability"]);
            let values = line["judge"]["e_hull"]["values"].as_u64().unwrap();
            assert_eq!(line["judge_gap"].as_f64(), (values > 0).then_some(0.0), "a judge that is the potential itself");
        }
    }
    fs::write(at.join("run.toml"), CONFIG).unwrap();
    accepted(at, &["finetune", "run.toml", "--set", "run.dir=alone"]);
    let objective = |line: &Value| line["objective_mean"].clone();
    let alone: Vec<Value> = metrics(&at.join("alone")).iter().map(objective).collect();
    assert_eq!(lines.iter().map(objective).collect::<Vec<_>>(), alone);
}

/// A hull of iron and oxygen, asked about other crystals.
#[test]
fn a_hull_without_the_elements_of_the_run_is_told_beforehand() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    fs::write(at.join("e.csv"), "formula,energy_per_atom\nFe,-8\nO,-5\n").unwrap();
    accepted(at, &["hull", "build", "--entries", "e.csv", "--energy-reference", "MP2020", "-o", "x.hull", "-q"]);
    let term = format!("[rewards.e.hull]\npotential = \"{}\"\nreference = \"x.hull\"\n", chgnet());
    fs::write(at.join("run.toml"), format!("{CONFIG}\n{term}")).unwrap();
    let run = |elements: &str| {
        let elements = format!("sampling.elements={{ {elements} }}");
        let output = temper(at, &["finetune", "run.toml", "--dry-run", "--set", &elements]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let key = "`rewards.e.hull.reference`: ";
    let (code, said) = run("only = [\"Li\", \"F\"]");
    let none = "the hull has a reference for none of the elements that may be drawn\n";
    assert!(code == Some(2) && said.contains(&format!("{key}{none}")) && said.contains("hint: it has O, Fe"), "{said}");
    let (code, said) = run("require = [\"Li\"]");
    let absent = "the hull has no reference for Li, which every crystal has";
    assert!(code == Some(2) && said.contains(&format!("{key}{absent}")), "{said}");
    let (code, said) = run("only = [\"Fe\", \"O\", \"Li\"]");
    let some = "crystals with Li fail: the hull has no reference for 1 of the 3 elements that may be drawn";
    assert!(code == Some(0) && said.contains(&format!("warning: {key}{some}")), "{said}");
    let (code, said) = run("only = [\"Fe\", \"O\"]");
    assert!(code == Some(0) && !said.contains("warning"), "{said}");
}

#[test]
fn optimiser_steps_that_are_all_skipped_are_told() {
    let folder = prepared(&CONFIG.replace("-density", "-1e200 * density"));
    let output = temper(folder.path(), &["finetune", "run.toml", "--set", "run.steps=1"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "a run in which nothing was learned has failed: {said}");
    let warning = "warning: step 1: none of the 3 optimiser steps was taken, because the gradient is not finite";
    assert!(said.contains(warning) && said.contains("hint: an objective of ordinary size"), "{said}");
    let folder = prepared(CONFIG);
    let (_, said) = accepted(folder.path(), &["finetune", "run.toml", "--set", "run.steps=1"]);
    assert!(!said.contains("none of the"), "{said}");
}

/// A potential on another scale than the hull: refused with the correction named, and fine with it.
#[test]
fn a_correction_bridges_energy_references() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    fs::copy(format!("{}/model.onnx", chgnet()), at.join("pbe.onnx")).unwrap();
    fs::write(at.join("pbe.toml"), "energy_reference = \"PBE\"\n").unwrap();
    fs::write(at.join("e.csv"), "formula,energy_per_atom\nFe,-8\nO,-5\n").unwrap();
    accepted(at, &["hull", "build", "--entries", "e.csv", "--energy-reference", "MP2020", "-o", "x.hull", "-q"]);
    let term = "potential = \"pbe.onnx\"\nreference = \"x.hull\"\n";
    let run = |reward: &str, judge: &str| {
        let config = format!("{CONFIG}\n[rewards.e.hull]\n{term}{reward}\n[judge.hull]\n{term}{judge}\n");
        fs::write(at.join("run.toml"), config).unwrap();
        let output = temper(at, &["finetune", "run.toml", "--dry-run"]);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let mp2020 = "correction = \"mp2020\"";
    let (code, said) = run(mp2020, mp2020);
    assert_eq!(code, Some(0), "{said}");
    for (reward, judge) in [("", mp2020), (mp2020, "")] {
        let (code, said) = run(reward, judge);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("the correction \"mp2020\" takes one to the other"), "{said}");
    }
    let (code, said) = run("correction = \"mp-2020\"", mp2020);
    assert_eq!(code, Some(2), "{said}");
    let sentence = "`rewards.e.hull.correction`: \"mp-2020\" is not a correction; the known ones are none, mp2020,";
    assert!(said.contains(sentence) && said.contains("run.toml:"), "{said}");
}

#[test]
fn optimiser_steps_end_at_the_kl_stop() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--set", "run.steps=2", "--set", "ppo.kl_stop=1e-12"]);
    for line in metrics(&at.join("run")) {
        // The first gradient is taken at the sampling policy itself, where the KL is zero.
        assert_eq!(line["grad_norms"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn a_collapsing_policy_is_warned_of_once() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let set =
        ["run.steps=40", "sampling.batch=64", "ppo.kl_weight=0.0", "sampling.elements={ only = [\"Li\", \"U\"] }"];
    let mut arguments = vec!["finetune", "run.toml"];
    set.iter().for_each(|s| arguments.extend(["--set", s]));
    let (_, said) = accepted(at, &arguments);
    assert_eq!(said.matches("warning: unique formulas fell to ").count(), 1, "{said}");
}

#[test]
fn samples_are_written_in_every_format() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    let (mut usable, names) = (0, ["a.jsonl", "a.jsonl.gz", "a.csv.gz", "a.csv", "a.cif", "a.extxyz"]);
    for name in names {
        accepted(at, &["sample", "-m", "policy", "-n", "8", "--spacegroup", "225", "--quiet", "-o", name]);
        accepted(at, &["score", name, "--model", &chgnet(), "-o", "scores.csv", "--quiet"]);
        let scores = csv::Reader::from_path(at.join("scores.csv")).unwrap();
        let formulas = scores.into_records().map(|row| row.unwrap()[1].to_owned());
        let count = formulas.filter(|formula| !formula.is_empty()).count();
        if name == names[0] {
            usable = count;
        }
        // Draws that make no crystal have a line in JSON lines, and nothing elsewhere.
        assert!(count > 0 && count == usable, "{name}: {count} of {usable}");
    }
    let sample = ["sample", "-m", "policy", "-n", "8", "--spacegroup", "225", "--quiet", "--p1", "-o", "p1.cif"];
    accepted(at, &sample);
    let [symmetric, p1] = ["a.cif", "p1.cif"].map(|name| fs::read_to_string(at.join(name)).unwrap());
    assert!(symmetric.contains("'F m -3 m'") && symmetric.contains("_atom_site_Wyckoff_symbol"));
    assert!(!p1.contains("'F m -3 m'") && p1.matches("'P 1'").count() == symmetric.matches("\ndata_").count() + 1);
    let refused = "error: POSCAR: crystals are not written in this format\n\
        hint: use .jsonl, .cif, .extxyz or .csv, each also with .gz";
    assert_refused(at, &["sample", "-m", "policy", "-n", "8", "-o", "POSCAR"], 2, refused);
}

/// A config whose reward is the size of the forces, with what else the term's table shall say.
fn force_config(more: &str) -> String {
    let builtin = CONFIG.split_once("[rewards.density").unwrap().0.replace("-density", "-rest");
    format!("{builtin}\n[rewards.rest.force]\npotential = \"{}\"\n{more}\n", chgnet())
}

#[test]
fn forces_are_a_reward() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    fs::write(at.join("run.toml"), force_config("")).unwrap();
    let (said, _) = accepted(at, &["finetune", "run.toml", "--dry-run"]);
    assert_eq!(said, "everything checks out: 4 steps of 12\n");
    // What an untrained policy draws no potential knows, what the one that ships draws it does.
    let shipped = concat!("policy.model=", env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    let (mut values, mut failures) = (0, 0);
    for (dir, policy) in [("run.dir=wild", "policy.model=policy"), ("run.dir=tame", shipped)] {
        let set = ["run.steps=2", "sampling.batch=6", dir, policy];
        let mut arguments = vec!["finetune", "run.toml", "--quiet"];
        set.iter().for_each(|s| arguments.extend(["--set", s]));
        accepted(at, &arguments);
        let run = at.join(dir.split_once('=').unwrap().1);
        assert_eq!(metrics(&run).len(), 2);
        let resolved = fs::read_to_string(run.join("run.toml")).unwrap();
        assert!(resolved.contains("stress_weight = 1.0") && resolved.contains("force_clip = ["), "{resolved}");
        for step in 1..=2 {
            for row in json_lines(&run.join(format!("samples/step-{step}.jsonl.gz"))) {
                let objective = row["objective"].as_f64().unwrap();
                if let Some(value) = row["rest"].as_f64() {
                    // Between all forces and stresses at the lower end of the clip and all at the upper one.
                    assert!(value >= 0.02_f64.ln() - 1e-9 && value <= 200.0_f64.ln() + 1e-9, "{row}");
                    assert!((objective + value).abs() < 1e-9, "{row}");
                    values += 1;
                } else {
                    // A failure counts as the documented worst value.
                    assert!((objective + 200.0_f64.ln()).abs() < 1e-9, "{row}");
                    failures += 1;
                }
            }
        }
    }
    assert!(values > 0 && failures > 0, "{values} values, {failures} failures");
}

#[test]
fn mistakes_in_a_force_term_name_the_key() {
    let folder = prepared(CONFIG);
    let at = folder.path();
    for (line, part) in [
        ("stres_weight = 1.0", "unknown key `rewards.rest.force.stres_weight`"),
        ("stress_weight = -1.0", "`rewards.rest.force.stress_weight` = -1: must be at least 0"),
        ("force_clip = [1.0, 0.1]", "`rewards.rest.force.force_clip` = [1, 0.1]: must be two numbers above 0"),
        ("stress_clip = [0.0, 1.0]", "`rewards.rest.force.stress_clip` = [0, 1]: must be two numbers above 0"),
    ] {
        fs::write(at.join("run.toml"), force_config(line)).unwrap();
        let output = temper(at, &["finetune", "run.toml", "--dry-run"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(part), "{said}");
    }
}

fn chgnet() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0").to_owned()
}
