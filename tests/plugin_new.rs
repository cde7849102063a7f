//! `temper plugin new`: what it writes builds as it is, and is a plugin.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::{accepted, assert_refused, cargo_target, nested_cargo, temper};
use temper::plugin::{Crystals, Evaluator, Outcome, PluginLibrary, REWARD, Supervision, WorkerCommand};

const LOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.lock");

fn cubes(lengths: [f64; 2]) -> Crystals {
    let mut crystals = Crystals::default();
    for a in lengths {
        crystals.push(&[[a, 0.0, 0.0], [0.0, a, 0.0], [0.0, 0.0, a]], &[26], &[[0.0; 3]]);
    }
    crystals
}

#[test]
fn a_new_plugin_builds_passes_its_tests_and_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let made = temper(folder.path(), &["plugin", "new", "my-first_reward"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let written = folder.path().join("my-first_reward");
    // The versions that this workspace was built with are on this machine already.
    std::fs::copy(LOCK, written.join("Cargo.lock")).unwrap();
    nested_cargo(&written, &["test", "--offline"]);
    nested_cargo(&written, &["build", "--offline"]);

    let name = format!("{}my_first_reward{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    std::fs::create_dir(folder.path().join("plugins")).unwrap();
    let library = folder.path().join("plugins").join(&name);
    std::fs::copy(cargo_target().join("debug").join(name), &library).unwrap();
    let (listed, _) = accepted(folder.path(), &["--plugin-dir", "plugins", "plugin", "list", "--json"]);
    let mut lines = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let found = lines.find(|line| line["descriptor"]["name"] == "my-first_reward").unwrap();
    assert_eq!((&found["usable"], &found["descriptor"]["version"]), (&json!(true), &json!("0.1.0")));
    assert_eq!(found["descriptor"]["interfaces"][0]["id"], REWARD);

    let config = json!({"target": 27.0}).as_object().unwrap().clone();
    let here = Evaluator::in_process(&PluginLibrary::open(&library).unwrap(), REWARD, &config).unwrap();
    let arguments = vec!["plugin".into(), "serve".into(), library.clone().into()];
    let command = WorkerCommand::new(env!("CARGO_BIN_EXE_temper"), arguments);
    let deadline = Duration::from_secs(20);
    let supervision = Supervision::of_one(deadline, deadline, None);
    let there = Evaluator::in_workers("a plugin", command.clone(), REWARD, &config, supervision).unwrap();
    for evaluator in [here, there] {
        let values = evaluator.evaluate_batch(cubes([3.0, 2.0])).unwrap();
        // The volumes are 27 and 8.
        assert_eq!(values, [0.0, -19.0].map(Outcome::Value));
    }
    let impossible = json!({"target": -1.0}).as_object().unwrap().clone();
    let refusal = Evaluator::in_workers("a plugin", command, REWARD, &impossible, supervision).unwrap_err().to_string();
    assert!(refusal.ends_with("`target` is -1 A^3; it must be a positive number"), "{refusal}");
}

#[test]
fn nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("taken")).unwrap();
    let hint = "hint: choose another name, or another folder with --dir";
    let expected = format!("error: taken already exists\n{hint}");
    assert_refused(folder.path(), &["plugin", "new", "taken"], 2, &expected);
    assert_eq!(std::fs::read_dir(folder.path().join("taken")).unwrap().count(), 0);
    let expected = "error: cannot write nowhere/mine: No such file or directory (os error 2)";
    assert_refused(folder.path(), &["plugin", "new", "mine", "--dir", "nowhere"], 2, expected);
}

#[test]
fn the_interface_may_lie_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let expected = "error: --api .: not a crate, because it has no Cargo.toml";
    assert_refused(folder.path(), &["plugin", "new", "mine", "--api", "."], 2, expected);
    let api = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api");
    assert!(temper(folder.path(), &["plugin", "new", "mine", "--api", api]).status.success());
    let manifest: toml::Table =
        std::fs::read_to_string(folder.path().join("mine/Cargo.toml")).unwrap().parse().unwrap();
    assert_eq!(manifest["package"]["name"].as_str(), Some("mine"));
    assert_eq!(manifest["dependencies"]["temper-plugin-api"]["path"].as_str(), Some(api));
}
