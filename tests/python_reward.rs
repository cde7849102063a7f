//! Rewards written in Python, through the program: `plugins/python` as a user has it, in a fine-tuning run.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use serde_json::Value;
use support::{accepted, assert_refused, small, untrained_policy};

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

/// A folder with a policy and a config of these terms.
fn prepared(objective: &str, terms: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    untrained_policy(&folder.path().join("policy"), small());
    let config = format!(
        r#"objective = "{objective}"
[policy]
model = "policy"
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

/// The rows of all steps, those without a structure left out.
fn rows(folder: &Path) -> Vec<Vec<Value>> {
    let step = |step: usize| {
        let text = fs::read_to_string(folder.join(format!("run/samples/step-{step}.jsonl"))).unwrap();
        let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        rows.filter(|row| row.get("refused").is_none()).collect()
    };
    (1..=2).map(step).collect()
}

#[test]
fn the_density_of_the_example_is_the_built_in_one() {
    let terms = format!(
        "[rewards.density.builtin]\nterm = \"density\"\n[rewards.python.process]\ncommand = [\"python3\", \"{DENSITY}\"]\nworkers = 2\n"
    );
    let folder = prepared("-density - python", &terms);
    accepted(folder.path(), &["finetune", "run.toml", "--quiet"]);
    let (mut compared, mut unknown) = (0, 0);
    for row in rows(folder.path()).concat() {
        let heavy = row["species"].as_array().unwrap().iter().any(|symbol| {
            let element = temper::crystal::Element::from_symbol(symbol.as_str().unwrap()).unwrap();
            element.number() > 36
        });
        match row["python"].as_f64() {
            Some(value) => {
                let expected = row["density"].as_f64().unwrap();
                // Two tables of standard atomic weights, both rounded.
                assert!((value / expected - 1.0).abs() < 1e-3 && !heavy, "{row}");
                compared += 1;
            }
            None => {
                let reason = row["python"]["failed"].as_str().unwrap();
                assert!(heavy && reason.starts_with("the plugin does not know the element"), "{row}");
                unknown += 1;
            }
        }
    }
    assert!(compared > 0 && unknown > 0, "{compared} compared, {unknown} with unknown elements");
}

#[test]
fn outcomes_arrive_at_their_rows_with_their_reasons() {
    let folder = prepared("-moody", "[rewards.moody.process]\ncommand = [\"python3\", \"moody.py\"]\n");
    fs::write(folder.path().join("moody.py"), MOODY).unwrap();
    fs::copy(MODULE, folder.path().join("temper_worker.py")).unwrap();
    accepted(folder.path(), &["finetune", "run.toml", "--quiet"]);
    for step in rows(folder.path()) {
        assert!(step.len() > 4, "only {} rows", step.len());
        for (index, row) in step.iter().enumerate() {
            let atoms = row["species"].as_array().unwrap().len();
            match index % 4 {
                0 => assert_eq!(row["moody"].as_f64(), Some(atoms as f64), "{row}"),
                1 => assert_eq!(row["moody"], "abstained"),
                2 => assert_eq!(row["moody"]["failed"], "not today, ångström"),
                _ => assert_eq!(row["moody"]["failed"], "IndexError: list index out of range (moody.py:17)"),
            }
        }
    }
}

#[test]
fn a_config_that_the_program_refuses_is_the_users_mistake() {
    let term = format!("[rewards.python.process]\ncommand = [\"python3\", \"{DENSITY}\"]\nconfig = {{ unit = 1 }}\n");
    let folder = prepared("-python", &term);
    let expected = "error: run.toml:13:1: `rewards.python.process`: python3: config: unknown key `unit`\n\
                    hint: keys of `config`: none";
    assert_refused(folder.path(), &["finetune", "run.toml"], 2, expected);
}
