//! Rewards written in Python, through the program: `plugins/python` as a user has it, in a fine-tuning run.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{accepted, assert_refused};
use temper::crystal::Element;

const POLICY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
const DENSITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/python/examples/density.py");
const MODULE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/python/temper_worker.py");

/// What it says of a crystal depends on its place in the batch; it also prints.
const MOODY: &str = r#"
import os
from temper_worker import Failed, Reward, serve


class Moody(Reward):
    def score_one(self, crystal):
        print("on its way")
        os.write(1, b"and without Python")
        if crystal.index % 4 == 0:
            return len(crystal)
        if crystal.index % 4 == 1:
            return None
        if crystal.index % 4 == 2:
            raise Failed("not today, %s" % "\u00e5ngstr\u00f6m")
        return [][0]


serve(Moody)
"#;

/// A folder with a config of these terms, for the policy that ships: it draws crystals that pass for some.
fn prepared(objective: &str, terms: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"objective = "{objective}"
[policy]
model = "{POLICY}"
[run]
dir = "run"
steps = 2
seed = 7
threads = 1
max_failed = 1.0
[sampling]
batch = 40
{terms}"#
    );
    fs::write(folder.path().join("run.toml"), config).unwrap();
    folder
}

/// The rows of each step whose crystals were fit to be shown to a term.
fn rows(folder: &Path, term: &str) -> Vec<Vec<Value>> {
    let fit = |row: &Value| {
        let reason = row[term]["failed"].as_str().unwrap_or("");
        row.get("refused").is_none() && !reason.starts_with("two atoms are") && !reason.starts_with("density")
    };
    let step = |step: u64| {
        let rows: Vec<Value> = support::samples(&folder.join("run"), step).into_iter().filter(fit).collect();
        assert!(rows.len() > 20, "only {} rows are fit", rows.len());
        rows
    };
    vec![step(1), step(2)]
}

#[test]
fn the_density_of_the_example_is_the_built_in_one() {
    let terms = "[rewards.density.builtin]\nterm = \"density\"\n\
                 [rewards.python.process]\ncommand = [\"python3\", \"density.py\"]\nworkers = 2\n";
    let folder = prepared("-density - python", terms);
    // Oxygen is in many crystals: what holds for those without a weight can be seen.
    let program = fs::read_to_string(DENSITY).unwrap().replace("if weight]", "if weight and number != 8]");
    fs::write(folder.path().join("density.py"), program).unwrap();
    fs::copy(MODULE, folder.path().join("temper_worker.py")).unwrap();
    accepted(folder.path(), &["finetune", "run.toml", "--quiet"]);
    let (mut compared, mut unknown) = (0, 0);
    for row in rows(folder.path(), "python").concat() {
        let known = row["species"].as_array().unwrap().iter().all(|symbol| {
            let number = Element::from_symbol(symbol.as_str().unwrap()).unwrap().number();
            number <= 83 && ![8, 43, 61].contains(&number)
        });
        if let Some(value) = row["python"].as_f64() {
            // Two tables of standard atomic weights, both rounded.
            let expected = row["density"].as_f64().unwrap();
            assert!((value / expected - 1.0).abs() < 1e-4 && known, "{row}");
            compared += 1;
        } else {
            let reason = row["python"]["failed"].as_str().unwrap();
            assert!(!known && reason.starts_with("the plugin does not know the element"), "{row}");
            unknown += 1;
        }
    }
    assert!(compared > 10 && unknown > 0, "{compared} compared, {unknown} with unknown elements");
}

#[test]
fn outcomes_arrive_at_their_rows_with_their_reasons() {
    let folder = prepared("-moody", "[rewards.moody.process]\ncommand = [\"python3\", \"moody.py\"]\n");
    fs::write(folder.path().join("moody.py"), MOODY).unwrap();
    fs::copy(MODULE, folder.path().join("temper_worker.py")).unwrap();
    accepted(folder.path(), &["finetune", "run.toml", "--quiet"]);
    for step in rows(folder.path(), "moody") {
        for (index, row) in step.iter().enumerate() {
            let atoms = row["species"].as_array().unwrap().len();
            match index % 4 {
                0 => assert_eq!(row["moody"].as_f64(), Some(atoms as f64), "{row}"),
                1 => assert_eq!(row["moody"], "abstained"),
                2 => assert_eq!(row["moody"]["failed"], "not today, ångström"),
                _ => assert_eq!(row["moody"]["failed"], "IndexError: list index out of range (moody.py:16)"),
            }
        }
    }
}

#[test]
fn a_config_that_the_program_refuses_is_the_users_mistake() {
    let term = format!("[rewards.python.process]\ncommand = [\"python3\", \"{DENSITY}\"]\nconfig = {{ unit = 1 }}\n");
    let folder = prepared("-python", &term);
    let expected = "error: run.toml:12:17: `rewards.python.process`: python3: config: unknown key `unit`\n  \
                    12 | [rewards.python.process]\n     |                 ^\nhint: keys of `config`: none";
    assert_refused(folder.path(), &["finetune", "run.toml"], 2, expected);
}

/// The hull that ships is on another scale than this correction leads to, and the run says so: it has been started and heard.
#[test]
fn a_correction_may_be_a_program() {
    let module = fs::read_to_string(MODULE).unwrap();
    let source = "from temper_worker import HullCorrection, serve\n\n\nclass Mine(HullCorrection):\n    \
                  scales = (\"MP2020\", \"MINE\")\n\n    def correct_one(self, crystal):\n        return 0.5\n\n\nserve(Mine)\n";
    let term = |command: &str| {
        let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
        format!(
            "[rewards.e.hull]\npotential = \"{models}/chgnet-0.3.0\"\nreference = \"{models}/hulls/mp-chgnet.hull\"\n\
             correction = {{ command = [{command}], deadline = \"1m\" }}\n"
        )
    };
    let said = |command: &str| {
        let folder = prepared("-e", &term(command));
        fs::write(folder.path().join("temper_worker.py"), &module).unwrap();
        fs::write(folder.path().join("mine.py"), source).unwrap();
        let output = support::temper(folder.path(), &["finetune", "run.toml", "-q"]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let heard = said("\"python3\", \"mine.py\"");
    assert!(heard.contains("takes energies from the scale \"MP2020\" to \"MINE\""), "{heard}");
    let dead = said("\"sh\", \"-c\", \"echo nothing of mine >&2; exit 4\"");
    assert!(
        dead.contains("ended with exit code 4") && dead.contains("its standard error ends: nothing of mine"),
        "{dead}"
    );
    let none = said("");
    assert!(none.contains("`rewards.e.hull.correction.command` must name a program"), "{none}");
}

/// A process and all that it has started.
#[cfg(target_os = "linux")]
fn tree(root: u32) -> Vec<u32> {
    let parent = |id: u32| {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok())
    };
    let ids = fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let all: Vec<(u32, Option<u32>)> = ids.map(|id| (id, parent(id))).collect();
    let mut tree = vec![root];
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next];
        tree.extend(all.iter().filter(|(_, of)| *of == Some(parent)).map(|(id, _)| *id));
        next += 1;
    }
    tree
}

/// SLURM sends the signals of `scancel` and of the time limit to every process of a step.
#[cfg(target_os = "linux")]
#[test]
fn signals_to_every_process_are_for_the_host_alone() {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let terms = "[rewards.python.process]\ncommand = [\"python3\", \"density.py\"]\nworkers = 2\n";
    let folder = prepared("-python", terms);
    let at = folder.path();
    fs::copy(DENSITY, at.join("density.py")).unwrap();
    fs::copy(MODULE, at.join("temper_worker.py")).unwrap();
    let endless = ["finetune", "run.toml", "--quiet", "--set", "run.steps=100000"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_temper"));
    let mut run = command.current_dir(at).args(endless).stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let steps = || fs::read_to_string(at.join("run/metrics.jsonl")).unwrap_or_default().lines().count();
    let wait_for = |what: &dyn Fn() -> bool| {
        let started = Instant::now();
        while !what() {
            assert!(started.elapsed() < Duration::from_secs(120), "nothing came of it after two minutes");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let signal_all = |signal: &str| {
        let ids: Vec<String> = tree(run.id()).iter().map(u32::to_string).collect();
        assert!(ids.len() > 4, "the program, guards and workers: {ids:?}");
        assert!(Command::new("kill").arg(signal).args(&ids).status().unwrap().success());
    };
    wait_for(&|| steps() >= 1);
    let before = steps();
    signal_all("-USR1");
    wait_for(&|| steps() > before + 1);
    signal_all("-TERM");
    assert_eq!(run.wait().unwrap().code(), Some(4));
    for step in 1..=steps() {
        let rows = support::samples(&at.join("run"), step as u64);
        let lost = rows.iter().find(|row| row.to_string().contains("the worker"));
        assert!(lost.is_none(), "step {step}: {lost:?}");
    }
}

/// How many crystals each batch has, and variables of the environment; the order of the crystals is that of the rows.
const CURIOUS: &str = r#"
import os
from temper_worker import Reward, serve


class Curious(Reward):
    def score(self, batch):
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", "9")
        assert (devices, os.environ["GREETING"]) == ("3", "a = b"), os.environ
        return [100 * len(batch) + index for index in range(len(batch))]


serve(Curious)
"#;

#[test]
fn workers_get_the_batches_and_the_environment_that_the_config_says() {
    let term = "[rewards.curious.process]\ncommand = [\"python3\", \"curious.py\"]\nworkers = 2\nmax_batch = 8\n\
                device = \"cuda:3\"\nenv = { GREETING = \"a = b\" }\n";
    let folder = prepared("-curious", term);
    fs::write(folder.path().join("curious.py"), CURIOUS).unwrap();
    fs::copy(MODULE, folder.path().join("temper_worker.py")).unwrap();
    accepted(folder.path(), &["finetune", "run.toml", "--quiet"]);
    for step in rows(folder.path(), "curious") {
        let whole = step.len() / 8 * 8;
        for (index, row) in step.iter().enumerate() {
            let size = if index < whole { 8 } else { step.len() - whole };
            assert_eq!(row["curious"].as_f64(), Some((100 * size + index % 8) as f64), "{row}");
        }
    }
    for (key, why) in [
        ("max_batch = 0", "`rewards.curious.process.max_batch` = 0: must be at least 1"),
        ("device = \"auto\"", "`rewards.curious.process.device` = \"auto\": must be cpu, cuda or cuda:N"),
        ("env = { \"A=B\" = \"1\" }", "`rewards.curious.process.env` has a variable that no environment can hold"),
    ] {
        let term = format!("[rewards.curious.process]\ncommand = [\"python3\", \"curious.py\"]\n{key}\n");
        let wrong = prepared("-curious", &term);
        let refused = support::refused(wrong.path(), &["finetune", "run.toml", "--dry-run"], 2);
        assert!(refused.contains(why), "{refused}");
    }
}
