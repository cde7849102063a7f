//! `temper plugin check`: plugins that behave pass, and each way to misbehave is found by the check that is meant for it.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::panic, reason = "a test that cannot do its work has failed")]

#[path = "support/rogue.rs"]
mod rogue;
mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use rogue::library;
use serde_json::Value;
use support::temper;

/// What a check came to.
struct Checked {
    code: i32,
    report: Value,
    said: String,
}

impl Checked {
    fn rows(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        let rows = self.report["checks"].as_array().unwrap().iter();
        rows.map(|row| (row["check"].as_str().unwrap(), row["status"].as_str().unwrap(), row["note"].as_str().unwrap()))
    }

    fn failed(&self) -> Vec<&str> {
        self.rows().filter(|row| row.1 == "fail").map(|row| row.0).collect()
    }

    fn note(&self, check: &str) -> &str {
        self.rows().find(|row| row.0 == check).unwrap().2
    }

    fn status(&self, check: &str) -> &str {
        self.rows().find(|row| row.0 == check).unwrap().1
    }
}

/// Checks with these arguments, from which the seed and the number of calls may be missing.
fn checked(arguments: &[&str]) -> Checked {
    let common = ["plugin", "check", "-q", "--seed", "7", "--json"];
    let output = temper(Path::new("."), &[&common[..], arguments].concat());
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (told, said) = (text(output.stdout), text(output.stderr));
    let report = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}{said}"));
    let checked = Checked { code: output.status.code().unwrap(), report, said };
    let failed = checked.failed();
    assert_eq!((checked.code == 0, checked.code == 3), (failed.is_empty(), !failed.is_empty()), "{told}");
    assert_eq!(checked.report["passed"], failed.is_empty());
    if !failed.is_empty() {
        let expected = format!(": the check fails on {}\n", failed.join(", "));
        assert!(checked.said.ends_with(&expected), "{}", checked.said);
    }
    checked
}

/// The plugin that misbehaves on request.
fn of_rogue(how: &str, arguments: &[&str]) -> Checked {
    let (library, config) = (library().display().to_string(), format!("how = '{how}'"));
    checked(&[&[library.as_str(), "--config", config.as_str(), "--calls", "200"], arguments].concat())
}

/// Rows that every report has, whatever the plugin does.
const ROWS: usize = 28;

#[test]
fn one_that_behaves_passes() {
    for how in ["well", "prints_to_stdout", "abstains", "leaves_a_thread", "panic_in_drop", "random_as_claimed"] {
        let checked = of_rogue(how, &[]);
        assert_eq!(checked.failed(), Vec::<&str>::new(), "{how}: {:?}", checked.rows().collect::<Vec<_>>());
        assert_eq!(checked.rows().count(), ROWS, "{how}");
    }
    let well = of_rogue("well", &[]);
    let skipped: Vec<&str> = well.rows().filter(|row| row.1 == "skipped").map(|row| row.0).collect();
    assert_eq!(skipped, ["range", "unknown energies"]);
    assert_eq!((well.report["seed"].as_u64(), well.report["crystals"].as_u64()), (Some(7), Some(10)));
    // A value that differs from call to call is compared with nothing.
    assert_eq!(of_rogue("random_as_claimed", &[]).status("translation"), "skipped");
}

#[test]
fn the_carried_plugins_pass() {
    for plugin in ["charge-neutrality", "mp2020-correction"] {
        let checked = checked(&[plugin, "--calls", "200"]);
        assert_eq!(checked.failed(), Vec::<&str>::new(), "{plugin}: {:?}", checked.rows().collect::<Vec<_>>());
    }
}

#[test]
fn claims_that_are_not_true_are_found() {
    let ways = [
        ("random", &["determinism"][..]),
        ("by_row", &["batch order", "batch split"]),
        ("by_origin", &["translation"]),
        ("by_orientation", &["rotation"]),
        ("by_atom_order", &["permutation"]),
        ("by_thread", &["threads"]),
        ("out_of_range", &["range", "fuzz"]),
        ("ignores_unknown_keys", &["unknown key"]),
    ];
    for (how, expected) in ways {
        let checked = of_rogue(how, &[]);
        assert_eq!(checked.failed(), expected, "{how}: {:?}", checked.rows().collect::<Vec<_>>());
        assert_eq!(checked.rows().count(), ROWS, "{how}");
    }
}

#[test]
fn what_breaks_on_odd_crystals_is_found() {
    let ways = [
        ("infects", &["NaN in lattices", "NaN in coordinates"][..]),
        ("makes_up", &["NaN in lattices"]),
        ("crashes_on_nan", &["NaN in lattices", "NaN in coordinates", "fuzz"]),
        ("crashes_on_empty", &["empty batch"]),
        ("crashes_on_element119", &["element 119"]),
    ];
    for (how, expected) in ways {
        let checked = of_rogue(how, &[]);
        assert_eq!(checked.failed(), expected, "{how}: {:?}", checked.rows().collect::<Vec<_>>());
    }
    let crashes = of_rogue("crashes_on_nan", &[]);
    let note = crashes.note("fuzz");
    assert!(note.contains("seed 7; crystal ") && note.contains("signal 6 (abort)"), "{note}");
    assert_eq!(of_rogue("crashes_on_nan", &[]).note("fuzz"), note, "the same seed finds the same crystals");
}

#[test]
fn what_cannot_go_on_for_long_is_found() {
    assert_eq!(of_rogue("leaks", &[]).failed(), ["memory"]);
    assert_eq!(of_rogue("leaves_a_process", &[]).failed(), ["end"]);
    let slow = of_rogue("slow", &["--deadline", "700ms"]);
    assert_eq!(slow.failed(), ["deadline"]);
    assert!(slow.note("deadline").contains("no answer within the deadline of 0.7 s"), "{}", slow.note("deadline"));
}

#[test]
fn one_that_never_answers_still_gets_its_whole_table() {
    let ways = [
        ("panic", "all at once: it panicked: no score for 10 crystals"),
        ("too_few", "all at once: it gave 9 outcomes for 10 crystals"),
        ("segfault", "all at once: the worker was killed by signal 11 (segmentation fault) before it answered"),
        ("abort", "all at once: the worker was killed by signal 6 (abort) before it answered"),
        ("exit", "all at once: the worker ended with exit code 7 before it answered"),
        ("memory", "all at once: the worker took "),
        ("hang", "all at once: no answer within the deadline of 0.4 s; the worker was killed"),
    ];
    for (how, expected) in ways {
        let deadline = if how == "hang" { "400ms" } else { "30s" };
        let began = Instant::now();
        let checked = of_rogue(how, &["--deadline", deadline, "--memory", "200 MiB"]);
        assert_eq!(checked.failed(), ["values"], "{how}");
        assert!(checked.note("values").starts_with(expected), "{how}: {}", checked.note("values"));
        assert_eq!((checked.rows().count(), checked.status("fuzz")), (ROWS, "skipped"), "{how}");
        assert!(began.elapsed() < Duration::from_secs(60), "{how}");
    }
    let panics = of_rogue("panic_in_new", &[]);
    assert_eq!((panics.failed(), panics.rows().count()), (vec!["start"], ROWS));
    assert_eq!(panics.note("start"), "it panicked: no instance today");
}

#[test]
fn values_that_are_none_are_found() {
    for how in ["nan", "fails_every_second", "sometimes"] {
        let checked = of_rogue(how, &[]);
        assert!(checked.failed().contains(&"values"), "{how}: {:?}", checked.failed());
    }
    assert!(of_rogue("nan", &[]).note("values").starts_with("fcc Al, one atom: NaN; "));
}

#[test]
fn mistakes_of_the_users_are_told_in_a_sentence() {
    let library = library().display().to_string();
    let said = |arguments: &[&str]| {
        let output = temper(Path::new("."), &[&["plugin", "check", "-q"], arguments].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let badly = said(&[&library, "--config", "how = 'badly'"]);
    assert!(badly.contains("unknown variant `badly`, expected one of `well`"), "{badly}");
    let interface = said(&[&library, "--interface", "hull-correction/1"]);
    assert!(interface.contains("offers reward/1, and no hull-correction/1"), "{interface}");
    let nowhere = said(&["no-such-plugin"]);
    assert!(nowhere.contains("there is no plugin \"no-such-plugin\""), "{nowhere}");
    let program = said(&["--command", "no-such-program --fast"]);
    assert!(program.contains("no-such-program: No such file or directory"), "{program}");
    let config = said(&[&library, "--config", "how"]);
    assert!(config.starts_with("error: --config how: "), "{config}");
}

#[test]
fn a_reward_in_python_passes() {
    let density = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/python/examples/density.py");
    let checked = checked(&["--calls", "200", "--", "python3", density]);
    assert_eq!(checked.failed(), Vec::<&str>::new(), "{:?}", checked.rows().collect::<Vec<_>>());
}

/// A program of a stranger's: this one serves a plugin, so it must pass, and have no check of threads.
#[test]
fn programs_are_checked_too() {
    let program = [env!("CARGO_BIN_EXE_temper"), "plugin", "serve", "charge-neutrality"];
    let checked = checked(&[&["--calls", "50", "--"][..], &program].concat());
    assert_eq!(checked.failed(), Vec::<&str>::new());
    assert_eq!(checked.status("threads"), "skipped");
    let babbles = temper(Path::new("."), &["plugin", "check", "-q", "--command", "echo hello"]);
    let table = String::from_utf8(babbles.stdout).unwrap();
    assert_eq!(babbles.status.code(), Some(3));
    assert!(table.contains("start") && table.contains("a frame begins with TMPR, this with \"hello\\n"), "{table}");
    assert!(table.ends_with(&format!("0 pass, 1 fail, {} skipped, on 0 crystals\n", ROWS - 1)), "{table}");
}
