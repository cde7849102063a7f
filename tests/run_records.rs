//! What a run writes about itself beside its metrics, read as others read it.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use support::{accepted, density_run, json_lines, metrics, prepared, samples};

/// Prints the scalars of a folder as TensorBoard reads them: by tag, pairs of step and value.
const READ_BACK: &str = r#"
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, SCALARS
events = EventAccumulator(sys.argv[1], size_guidance={SCALARS: 0}).Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"#;

/// The scalars of a folder as TensorBoard reads them, where it is installed for the interpreter TEMPER_TENSORBOARD_PYTHON, or
/// python3.
fn read_back(folder: &Path) -> Option<Value> {
    let python = std::env::var_os("TEMPER_TENSORBOARD_PYTHON").unwrap_or_else(|| "python3".into());
    let run = |arguments: &[&str]| Command::new(&python).args(arguments).output();
    if !run(&["-c", "import tensorboard"]).is_ok_and(|output| output.status.success()) {
        println!("skipped: no TensorBoard for {}", python.display());
        return None;
    }
    let output = run(&["-c", READ_BACK, folder.to_str().unwrap()]).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The event files of a run, the oldest first.
fn event_files(run: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.to_str().unwrap().contains("tfevents")).collect();
    files.sort();
    files
}

/// Steps and values of a key, by the metrics.
fn steps_of(run: &Path, value: impl Fn(&Value) -> &Value) -> Value {
    let pair = |line: &Value| Some(json!([line["step"], value(line).as_f64()? as f32]));
    json_lines(&run.join("metrics.jsonl")).iter().filter_map(pair).collect()
}

/// A run that was killed while it wrote the event of its third step, after the checkpoint of the second.
#[test]
fn tensorboard_reads_every_step_once_and_behind_a_record_that_was_cut_short() {
    let folder = prepared(&density_run("steps = 3\ncheckpoint_every = 2"));
    let (at, run) = (folder.path(), folder.path().join("run"));
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "ppo.learning_rate=1e-9"]);
    let [file] = &event_files(&run)[..] else { panic!("one file") };
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() - 7]).unwrap();
    for step in fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()) {
        if step.ends_with("step-3") {
            fs::remove_dir_all(step).unwrap();
        }
    }
    let resumed = ["finetune", "run.toml", "--quiet", "--set", "ppo.learning_rate=1e-9", "--resume"];
    accepted(at, &[&resumed[..], &["--set", "run.steps=5"]].concat());
    // Once more, from step 5, with whole records of all steps: none counts twice.
    fs::remove_dir_all(run.join("checkpoints/step-5")).unwrap();
    accepted(at, &[&resumed[..], &["--set", "run.steps=6"]].concat());
    assert_eq!(event_files(&run).len(), 3);
    // With nothing left to do, there is nothing to write.
    accepted(at, &[&resumed[..], &["--set", "run.steps=6"]].concat());
    assert_eq!(event_files(&run).len(), 3);

    let Some(found) = read_back(&run) else { return };
    assert_eq!(found["metrics/objective_mean"], steps_of(&run, |line| &line["objective_mean"]));
    assert_eq!(found["terms/density/mean"], steps_of(&run, |line| &line["terms"]["density"]["mean"]));
    assert_eq!(found["funnel/decoded"], steps_of(&run, |line| &line["funnel"][1]["rows"]));
    assert_eq!(found["time/step"], steps_of(&run, |line| &line["time"]["step"]));
    // Every number of the metrics, no more.
    fn numbers(value: &Value) -> usize {
        match value {
            Value::Number(_) => 1,
            Value::Array(items) => items.iter().map(numbers).sum(),
            Value::Object(table) => table.values().map(numbers).sum(),
            _ => 0,
        }
    }
    let expected: usize = json_lines(&run.join("metrics.jsonl")).iter().map(|line| numbers(line) - 1).sum();
    let values = found.as_object().unwrap().values().map(|steps| steps.as_array().unwrap().len());
    assert_eq!(values.sum::<usize>(), expected);
}

#[test]
fn event_files_can_be_done_without() {
    let folder = prepared(&density_run("steps = 1"));
    let at = folder.path();
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "record.tensorboard=false"]);
    assert!(event_files(&at.join("run")).is_empty());
}

/// The names in the folder of the samples, sorted.
fn sample_files(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(run.join("samples")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn samples_are_kept_as_the_config_says() {
    let folder = prepared(&density_run("steps = 5"));
    let (at, run) = (folder.path(), folder.path().join("run"));
    let kept = |choice: &str| {
        let set = format!("record.samples={choice}");
        let said = accepted(at, &["finetune", "run.toml", "--set", &set]).1;
        let files = sample_files(&run);
        fs::rename(&run, at.join(choice.trim_matches(['{', '}']))).unwrap();
        assert!(!said.contains("samples_limit"), "{said}");
        files
    };
    let names = |steps: &[u64]| steps.iter().map(|step| format!("step-{step}.jsonl.gz")).collect::<Vec<_>>();
    assert_eq!(kept("all"), names(&[1, 2, 3, 4, 5]));
    assert_eq!(kept("{every=2}"), names(&[1, 2, 4]));
    assert_eq!(kept("scored"), names(&[1, 2, 3, 4, 5]));
    let mut dropped = 0;
    for line in metrics(&at.join("all")) {
        let step = line["step"].as_u64().unwrap();
        let (all, scored) = (samples(&at.join("all"), step), samples(&at.join("scored"), step));
        let is_scored = |row: &&Value| row["density"].is_number();
        assert_eq!(scored, all.iter().filter(is_scored).cloned().collect::<Vec<_>>());
        dropped += all.len() - scored.len();
        if all.len() % 2 == 0 && [1, 2, 4].contains(&step) {
            assert_eq!(samples(&at.join("every=2"), step), all);
        }
    }
    assert!(dropped > 0, "every row of this policy was scored");
}

#[test]
fn beyond_their_limit_samples_are_dropped_with_a_word() {
    let folder = prepared(&density_run("steps = 4"));
    let (at, run) = (folder.path(), folder.path().join("run"));
    let (_, said) = accepted(at, &["finetune", "run.toml", "--set", "record.samples_limit=1 B"]);
    assert_eq!(sample_files(&run), ["step-1.jsonl.gz"]);
    let warning = "warning: step 2: the samples have reached `record.samples_limit`, and no more are kept";
    assert_eq!(said.matches(warning).count(), 1, "{said}");
    assert_eq!(said.matches("samples_limit").count(), 1, "{said}");
}

/// Earlier versions did not compress.
#[test]
fn a_resumed_run_drops_samples_of_later_steps_and_keeps_those_of_earlier_versions() {
    let folder = prepared(&density_run("steps = 2"));
    let (at, run) = (folder.path(), folder.path().join("run"));
    accepted(at, &["finetune", "run.toml", "--quiet"]);
    fs::remove_file(run.join("samples/step-1.jsonl.gz")).unwrap();
    for name in ["step-1.jsonl", "step-3.jsonl", "step-7.jsonl.gz"] {
        fs::write(run.join("samples").join(name), "{}\n").unwrap();
    }
    accepted(at, &["finetune", "run.toml", "--quiet", "--resume", "--set", "run.steps=3"]);
    assert_eq!(sample_files(&run), ["step-1.jsonl", "step-2.jsonl.gz", "step-3.jsonl.gz"]);
}

#[test]
fn candidates_are_ranked_and_say_what_computed_them() {
    let folder = prepared(&density_run("steps = 3"));
    let (at, run) = (folder.path(), folder.path().join("run"));
    accepted(at, &["finetune", "run.toml", "--quiet", "--set", "record.candidates=4"]);
    let mut table = csv::Reader::from_path(run.join("candidates.csv")).unwrap();
    let rows: Vec<std::collections::BTreeMap<String, String>> = table.deserialize().map(Result::unwrap).collect();
    let column = |name: &str| rows.iter().map(|row| row[name].parse::<f64>().unwrap()).collect::<Vec<_>>();
    assert_eq!(column("rank"), [1.0, 2.0, 3.0, 4.0]);
    assert!(column("objective").is_sorted_by(|a, b| a >= b), "{rows:?}");
    for row in rows {
        let by: Value = serde_json::from_str(&row["computed_by"]).unwrap();
        assert_eq!(by["terms"]["density"]["builtin"]["term"], "density");
        assert_eq!(by["program"], format!("temper {}", env!("CARGO_PKG_VERSION")));
    }
}

/// Sums by hand of what the metrics say.
#[test]
fn a_run_says_what_it_will_do_how_long_it_takes_and_what_has_changed() {
    let folder = prepared(&density_run("steps = 5"));
    let (at, run) = (folder.path(), folder.path().join("run"));
    let (table, said) = accepted(at, &["finetune", "run.toml", "--set", "sampling.batch=24"]);
    let first = "fine-tuning policy towards -log(density): 5 steps of 24 crystals on 1 threads, seed 7, files in run\n";
    assert!(said.contains(first), "{said}");
    assert_eq!(said.matches("at this rate, the other 4 steps take ").count(), 1, "{said}");
    let lines = metrics(&run);
    for line in &lines {
        let density = &line["terms"]["density"];
        let number = |key: &str| density[key].as_f64().unwrap();
        let shown = format!("  density {:.4} +- {:.4} of {}\n", number("mean"), number("spread"), density["values"]);
        assert!(said.contains(&shown), "{shown}{said}");
    }
    let ends = |value: &dyn Fn(&Value) -> f64| {
        let end = |steps: &[Value]| {
            let (x, y) = (value(&steps[0]), value(&steps[1]));
            format!("{:.4} +- {:.4}", (x + y) / 2.0, (x - y).abs() / 2f64.sqrt())
        };
        [end(&lines[..2]), end(&lines[3..])]
    };
    let row = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {table}"));
        line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(row(" "), ["steps 1 to 2", "steps 4 to 5"]);
    assert_eq!(row("mean objective"), ends(&|line| line["objective_mean"].as_f64().unwrap()));
    assert_eq!(row("density, mean"), ends(&|line| line["terms"]["density"]["mean"].as_f64().unwrap()));
}

#[test]
fn log_messages_have_no_colours_in_files_and_may_be_json() {
    let folder = prepared(&density_run("steps = 1"));
    let run = |more: &[&str]| {
        let arguments = ["finetune", "run.toml", "--quiet", "--log", "debug", "--set"];
        accepted(folder.path(), &[&arguments[..], more].concat()).1
    };
    let text = run(&["run.dir=a"]);
    assert!(text.contains("DEBUG") && !text.contains('\u{1b}'), "{text}");
    let json = run(&["run.dir=b", "--log-format", "json"]);
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"), "{json}");
}
