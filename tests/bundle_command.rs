//! `temper bundle`: an archive with which a machine without a network can work.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use support::{accepted, temper};

/// Runs a program in a folder that knows neither this user's files nor a network.
fn without_network(at: &Path, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("/usr/bin/unshare");
    command.args(["--map-root-user", "--net", program]).args(arguments);
    command.current_dir(at).env_clear().env("HOME", at.join("home")).env("PATH", at.join("home")).output().unwrap()
}

#[test]
fn what_is_unpacked_runs_without_a_network() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    accepted(at, &["bundle", "-o", "offline.tar"]);
    let unpacked = Command::new("tar").args(["-xf", "offline.tar"]).current_dir(at).status().unwrap();
    assert!(unpacked.success());
    fs::create_dir(at.join("home")).unwrap();
    match Command::new("/usr/bin/unshare").args(["--map-root-user", "--net", "/bin/true"]).status() {
        Ok(status) if status.success() => {}
        _ => return println!("skipped: unshare is not allowed here"),
    }
    let run = |arguments: &[&str]| {
        let output = without_network(at, "temper-offline/temper", arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let found = run(&["doctor"]);
    let inside = |part: &str| at.join("temper-offline").join(part).to_str().unwrap().to_owned();
    let library = found.lines().find(|line| line.starts_with("ONNX Runtime")).unwrap();
    assert!(library.contains(&inside("cache/onnxruntime-")), "{found}");
    run(&["sample", "-m", "models/crystalformer-small", "-n", "2", "-o", "drawn.jsonl"]);
    run(&[
        "score",
        "drawn.jsonl",
        "--model",
        "models/chgnet-0.3.0",
        "--hull",
        "models/hulls/mp-chgnet.hull",
        "-o",
        "-",
    ]);
}

#[test]
fn an_archive_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let output = temper(folder.path(), &["bundle", "-o", "nowhere/offline.tar"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.starts_with("error: cannot write nowhere/offline.tar: No such file or directory"), "{said}");
    for name in ["offline.tgz", "offline.zip", "offline"] {
        let output = temper(folder.path(), &["bundle", "-o", name]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains("archives are .tar or .tar.gz"), "{said}");
    }
}
