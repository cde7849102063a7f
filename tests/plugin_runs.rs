//! Plugins in runs, as a user meets them. The policy is the one that ships: plugins are asked about sane crystals only.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

#[path = "support/rogue.rs"]
mod rogue;
mod support;

use std::fs;
use std::path::Path;

use rogue::{built, library, library_of};
use serde_json::Value;
use support::{accepted, assert_refused, temper};

/// A config with an objective and more tables.
fn config(objective: &str, tables: &str) -> String {
    format!(
        "objective = \"{objective}\"\n[policy]\nmodel = \"models/crystalformer-small\"\n[run]\ndir = \"run\"\nsteps = 2\nseed = 7\nthreads = 1\n\
         checkpoint_every = 1\nmax_failed = 1.0\n[sampling]\nbatch = 8\nspacegroups = [225]\n\
         elements = {{ exclude = [\"radioactive\"] }}\n{tables}\n"
    )
}

/// A folder with such a config.
fn prepared(objective: &str, tables: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("run.toml"), config(objective, tables)).unwrap();
    folder
}

/// `[rewards.NAME.plugin]` of the rogue.
fn rogue(name: &str, rest: &str) -> String {
    format!("[rewards.{name}.plugin]\nlibrary = \"{}\"\non_failure = {{ value = 0.0 }}\n{rest}\n", library().display())
}

/// The samples of a step that are crystals.
fn crystals(folder: &Path, step: u64) -> Vec<Value> {
    let rows = support::samples(&folder.join("run"), step).into_iter();
    rows.filter(|row| row.get("species").is_some()).collect()
}

fn metrics(folder: &Path) -> Vec<Value> {
    support::metrics(&folder.join("run"))
}

/// In workers, in this process, from several workers: always the number of atoms.
#[test]
fn a_plugin_gives_its_values_to_a_run() {
    let terms = [
        rogue("x", ""),
        rogue("here", "isolation = \"none\""),
        rogue("three", "workers = 3\nmemory = \"4 GiB\""),
        rogue("sane", "role = \"filter\"\nbound = 1"),
    ];
    let folder = prepared("-x - here + three", &terms.join(""));
    accepted(folder.path(), &["finetune", "run.toml", "-q"]);
    let crystals = crystals(folder.path(), 1);
    let mut valued = 0;
    for row in crystals {
        let Some(x) = row["x"].as_f64() else { continue };
        assert_eq!(x, row["species"].as_array().unwrap().len() as f64);
        assert!(row["here"] == row["x"] && row["three"] == row["x"]);
        assert_eq!(row["objective"].as_f64(), Some(-x));
        valued += 1;
    }
    assert!(valued > 0);
}

#[test]
fn a_run_with_a_plugin_is_resumed_to_the_same_numbers() {
    let whole = prepared("-x", &rogue("x", ""));
    accepted(whole.path(), &["finetune", "run.toml", "-q", "--set", "run.steps=4"]);
    let parts = prepared("-x", &rogue("x", ""));
    accepted(parts.path(), &["finetune", "run.toml", "-q"]);
    accepted(parts.path(), &["finetune", "run.toml", "-q", "--resume", "--set", "run.steps=4"]);
    let (whole, parts) = (metrics(whole.path()), metrics(parts.path()));
    assert_eq!(whole.len(), 4);
    assert_eq!(whole, parts);
}

#[test]
fn another_library_in_its_place_is_noticed() {
    let folder = prepared("-x", "[rewards.x.plugin]\nlibrary = \"own.so\"\non_failure = { value = 0.0 }\n");
    let own = folder.path().join("own.so");
    fs::copy(library(), &own).unwrap();
    accepted(folder.path(), &["finetune", "run.toml", "-q"]);
    let mut bytes = fs::read(&own).unwrap();
    // Behind the end of what the system loads.
    bytes.extend(b"changed");
    fs::remove_file(&own).unwrap();
    fs::write(&own, bytes).unwrap();
    let resumed = temper(folder.path(), &["finetune", "run.toml", "-q", "--resume", "--set", "run.steps=4"]);
    let said = String::from_utf8(resumed.stderr).unwrap();
    assert_eq!(resumed.status.code(), Some(2), "{said}");
    assert!(said.contains("rewards.x.plugin.library"), "{said}");
}

/// Neither good nor bad: the rows leave the batch, and none has failed.
#[test]
fn crystals_of_which_a_plugin_has_nothing_to_say_leave_the_batch() {
    let folder = prepared("x", &rogue("x", "config = { how = \"abstains\" }"));
    let run = temper(folder.path(), &["finetune", "run.toml", "-q", "--set", "guards.max_idle_steps=1"]);
    let said = String::from_utf8(run.stderr).unwrap();
    assert_eq!(run.status.code(), Some(3), "{said}");
    assert!(said.starts_with("error: step 1: "), "{said}");

    let folder = prepared("density", &(rogue("x", "config = { how = \"abstains\" }") + DENSITY));
    accepted(folder.path(), &["finetune", "run.toml", "-q"]);
    let x = &metrics(folder.path())[0]["terms"]["x"];
    assert!(x["abstained"].as_u64().unwrap() > 0 && x["values"] == 0, "{x}");
}

const DENSITY: &str = "[rewards.density.builtin]\nterm = \"density\"\non_failure = { value = 30.0 }\n";

#[test]
fn a_plugin_that_always_fails_ends_the_run_with_its_reason() {
    let ways = [
        ("panic", "plugin failed", "it panicked: no score for "),
        ("segfault", "plugin died", "the worker was killed by signal 11 (segmentation fault)"),
        ("nan", "not finite", "the plugin returned NaN"),
    ];
    for (how, kind, reason) in ways {
        let folder = prepared("x", &rogue("x", &format!("config = {{ how = \"{how}\" }}")));
        let run = temper(folder.path(), &["finetune", "run.toml", "-q", "--set", "run.max_failed=0.01"]);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(3), "{said}");
        assert!(said.contains("more than max_failed = 0.01 allows"), "{said}");
        assert!(said.contains(kind) && said.contains(reason), "{said}");
    }
}

#[test]
fn one_that_dies_costs_its_rows_and_not_the_run() {
    let folder = prepared("density", &(rogue("x", "config = { how = \"abort\" }") + DENSITY));
    accepted(folder.path(), &["finetune", "run.toml", "-q"]);
    let lines = metrics(folder.path());
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["terms"]["x"]["failures"]["plugin died"].as_u64().unwrap() > 0), "{lines:?}");
    let reasons: Vec<String> =
        crystals(folder.path(), 1).iter().filter_map(|r| Some(r["x"]["failed"].as_str()?.into())).collect();
    assert!(reasons.iter().any(|reason| reason.contains("signal 6 (abort)")), "{reasons:?}");
}

/// The carried plugin and the built-in term are one rule.
#[test]
fn a_carried_plugin_needs_no_library() {
    for isolation in ["", "isolation = \"process\"\n"] {
        let tables = format!(
            "[rewards.n.plugin]\nlibrary = \"charge-neutrality\"\non_failure = {{ value = -1.0 }}\n{isolation}\
             [rewards.b.builtin]\nterm = \"charge_neutral\"\non_failure = {{ value = -1.0 }}\n"
        );
        let folder = prepared("n + b", &tables);
        accepted(folder.path(), &["finetune", "run.toml", "-q"]);
        let crystals = crystals(folder.path(), 1);
        let both = crystals.iter().filter(|row| row["n"].is_number());
        assert!(both.clone().count() > 0);
        both.for_each(|row| assert_eq!(row["n"], row["b"], "{row}"));
    }
}

#[test]
fn mistakes_are_told_before_the_run() {
    let library = library().display().to_string();
    let cases = [
        (
            "library = \"no-such-plugin\"",
            "there is no plugin \"no-such-plugin\"; the known ones are charge-neutrality, mp2020-correction",
        ),
        ("library = \"./no.so\"", "no such file or folder: ./no.so"),
        ("library = \"mp2020-correction\"", "mp2020-correction offers hull-correction/1, and no reward/1"),
        (&format!("library = \"{library}\"\nconfig = {{ who = 1 }}"), "unknown field `who`, expected `how`"),
        (&format!("library = \"{library}\"\npotential = \"x.onnx\""), "no such file or folder: x.onnx"),
        (&format!("library = \"{library}\"\ndeadline = \"soon\""), "\"soon\" is not a length of time"),
    ];
    for (table, expected) in cases {
        let folder = prepared("x", &format!("[rewards.x.plugin]\n{table}\n"));
        let run = temper(folder.path(), &["finetune", "run.toml", "-q"]);
        let said = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(2), "{said}");
        assert!(said.contains(expected) && said.lines().count() <= 5, "{said}");
        assert!(!folder.path().join("run").exists());
    }
    let folder = prepared("x", "[rewards.x.process]\ncommand = [\"no-such-program\", \"reward.py\"]\n");
    assert_refused(
        folder.path(),
        &["finetune", "run.toml", "-q"],
        2,
        "error: run.toml:15:12: `rewards.x.process`: no-such-program: no-such-program: No such file or directory (os error 2)\n  \
         15 | [rewards.x.process]\n     |            ^",
    );
}

/// In this process and from a library in a worker, the same as under its own name.
#[test]
fn corrections_come_from_plugins_as_well() {
    let built = built("temper-mp2020-correction").join("examples/libmp2020_correction.so");
    let folder = tempfile::tempdir().unwrap();
    let oxide = r#"{"id":"FeO","lattice":[[0,2.15,2.15],[2.15,0,2.15],[2.15,2.15,0]],"species":["Fe","O"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]],"energy":-12.5}"#;
    fs::write(folder.path().join("s.jsonl"), format!("{oxide}\n{}\n", oxide.replace("FeO", "again"))).unwrap();
    fs::write(folder.path().join("e.csv"), "formula,energy_per_atom\nFe,-8.0\nO,-5.0\n").unwrap();
    let query = ["hull", "query", "--hull", "e.csv", "--structures", "s.jsonl", "-q", "-o"];
    let table = |correction: &str| {
        accepted(folder.path(), &[&query[..], &["out.csv", "--correction", correction]].concat());
        fs::read_to_string(folder.path().join("out.csv")).unwrap()
    };
    let expected = table("mp2020");
    // By hand: oxide -0.687, iron -2.256.
    assert!(expected.contains(",-2.94299"), "{expected}");
    assert_eq!(table("mp2020-correction"), expected);
    assert_eq!(table(&built.display().to_string()), expected);
    let reward = library().display().to_string();
    let wrong = temper(folder.path(), &[&query[..], &["out.csv", "--correction", &reward]].concat());
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(2) && said.contains("offers reward/1, and no hull-correction/1"), "{said}");
}

/// In --plugin-dir and in the folders of `TEMPER_PLUGIN_PATH`, in this order; one of two with a name is hidden.
#[test]
fn plugins_are_found_where_they_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (folder.path().join("own/deep"), folder.path().join("there"));
    fs::create_dir_all(&here).unwrap();
    fs::create_dir_all(&there).unwrap();
    fs::copy(library(), there.join("second.so")).unwrap();
    let mut other = fs::read(library()).unwrap();
    other.extend(b"other bytes");
    fs::write(here.join("first.so"), other).unwrap();
    fs::copy(library_of("rogue_no_root"), here.join("none.so")).unwrap();
    let lines = listed(folder.path(), &["--plugin-dir", "own"], Some(&there));
    let of = |file: &str| line_of(&lines, file);
    assert_eq!((&of("first.so")["descriptor"]["name"], &of("first.so")["hidden"]), (&"rogue".into(), &false.into()));
    assert_eq!((&of("second.so")["usable"], &of("second.so")["hidden"]), (&true.into(), &true.into()));
    assert_eq!(of("second.so")["sha256"].as_str().unwrap().len(), 64);
    assert!(of("none.so")["reason"].as_str().unwrap().contains("does not have the symbol"), "{lines:?}");
    let (text, said) = accepted(folder.path(), &["plugin", "list", "--plugin-dir", "own"]);
    assert!(text.contains("rogue") && !text.contains("none.so"), "{text}");
    assert!(said.contains("passed over a library that is no plugin"), "{said}");
    assert!(lines[0]["path"].is_null() && lines[0]["descriptor"]["name"] == "charge-neutrality", "{lines:?}");
}

/// Who lists plugins in somebody else's folder must not run what is there: one that aborts at its load would be noticed.
#[test]
fn libraries_of_the_current_folder_are_loaded_when_they_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let plugins = folder.path().join("plugins");
    fs::create_dir(&plugins).unwrap();
    fs::copy(library_of("rogue_aborts_at_load"), plugins.join("aborts.so")).unwrap();
    fs::copy(library(), plugins.join("well.so")).unwrap();
    let lines = listed(folder.path(), &[], None);
    for file in ["aborts.so", "well.so"] {
        let reason = format!("plugins/{file}: not loaded, because a library in the current folder may be anybody's");
        assert_eq!(line_of(&lines, file)["reason"], reason.as_str());
        assert_eq!(line_of(&lines, file)["advice"], "to use it, name it by its path, or give --plugin-dir plugins");
        assert_eq!(line_of(&lines, file)["crashed"], Value::Null, "its code has run");
    }
    let by_name = support::temper(folder.path(), &["plugin", "check", "rogue"]);
    let said = String::from_utf8(by_name.stderr).unwrap();
    assert!(by_name.status.code() == Some(2) && said.contains("why 2 libraries there cannot be used"), "{said}");
    let lines = listed(folder.path(), &["--plugin-dir", "plugins"], None);
    assert_eq!(line_of(&lines, "well.so")["usable"], true);
    assert!(line_of(&lines, "aborts.so")["crashed"].is_string(), "{lines:?}");
}

/// Not even if it is named.
#[cfg(unix)]
#[test]
fn libraries_that_anyone_may_write_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    fs::copy(library(), folder.path().join("mine.so")).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let check = support::temper(folder.path(), &["plugin", "check", "./mine.so"]);
    let said = String::from_utf8(check.stderr).unwrap();
    assert_eq!(check.status.code(), Some(2), "{said}");
    assert!(
        said.contains("mine.so: anyone on this machine may put files into ") && said.contains("chmod o-w"),
        "{said}"
    );
}

/// The lines of `temper plugin list --json`.
fn listed(folder: &Path, arguments: &[&str], path: Option<&Path>) -> Vec<Value> {
    let mut list = support::command(folder, &[&["plugin", "list", "--json", "-q"], arguments].concat());
    list.env_remove("TEMPER_PLUGIN_PATH").envs(path.map(|path| ("TEMPER_PLUGIN_PATH", path)));
    let output = list.output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn line_of<'a>(lines: &'a [Value], file: &str) -> &'a Value {
    let is = |line: &&Value| line["path"].as_str().is_some_and(|path| path.ends_with(file));
    lines.iter().find(is).unwrap_or(&Value::Null)
}
