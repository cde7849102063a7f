//! The binary as a user meets it: exit codes and complete sentences.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::path::Path;

use support::{assert_refused, command, temper};

#[test]
fn init_writes_a_config_once() {
    let folder = tempfile::tempdir().unwrap();
    let output = temper(folder.path(), &["init"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "wrote run.toml; run it with: temper finetune run.toml\n");
    let written = std::fs::read_to_string(folder.path().join("run.toml")).unwrap();
    assert!(written.contains("objective = \"(0.5 - min(max(e_hull, 0), 0.5)) * diversity\""));
    assert_refused(folder.path(), &["init"], 2, "error: run.toml already exists\nhint: choose another name with -o");
}

#[test]
fn quiet_says_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = temper(folder.path(), &["init", "stability", "-o", "a.toml", "--quiet"]);
    assert!(output.status.success() && output.stderr.is_empty() && output.stdout.is_empty());
}

#[test]
fn an_unknown_recipe_is_answered_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let expected =
        "error: no recipe `stabil`\nhint: did you mean `stability`?\nhint: recipes: stability, dielectric, sft, dpo";
    assert_refused(folder.path(), &["init", "stabil"], 2, expected);
}

#[test]
fn wrong_usage_is_the_users_mistake() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in
        [&[][..], &["inti"], &["init", "--nonsense"], &["--threads", "many", "init"], &["completions", "x"]]
    {
        assert_eq!(temper(folder.path(), arguments).status.code(), Some(2), "temper {arguments:?}");
    }
    let suggestion = temper(folder.path(), &["tokenise"]);
    assert!(String::from_utf8_lossy(&suggestion.stderr).contains("a similar subcommand exists: 'tokenize'"));
    for log in ["=", "verbose", "temper", "temper=", "info,temper=loud", ""] {
        let levels = "the levels are off, error, warn, info, debug, trace, also per module: temper=debug,warn";
        let said = format!("error: --log {log}: unknown level\nhint: {levels}");
        assert_refused(folder.path(), &["--log", log, "init"], 2, &said);
    }
}

#[test]
fn completions_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let output = temper(folder.path(), &["completions", "bash"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("complete -F _temper"));
}

#[test]
fn without_a_driver_nothing_is_fetched_for_cuda() {
    if Path::new("/proc/driver/nvidia").exists() || cfg!(windows) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/crystalformer-small");
    let arguments = ["sample", "-m", model, "-n", "1", "-o", "a.cif", "--device", "cuda"];
    let mut command = command(folder.path(), &arguments);
    // Where nothing has been fetched, and nothing could be.
    command.env("TEMPER_CACHE_DIR", folder.path().join("cache")).env("PATH", "").env_remove("ORT_DYLIB_PATH");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error: device `cuda` cannot be used: the NVIDIA driver's `libcuda.so.1` is not found\n\
         hint: install NVIDIA's driver, run on a node that has a GPU, or use `--device cpu`\n"
    );
    assert!(!folder.path().join("cache").exists());
}

/// What a file says reaches the terminal as text.
#[test]
fn control_characters_of_a_config_do_not_reach_the_terminal() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.toml"), "\"\\u001b[2J\" = 1\n").unwrap();
    let output = temper(folder.path(), &["finetune", "run.toml"]);
    assert!(!output.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("\\u{1b}[2J"));
}
