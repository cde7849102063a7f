//! `temper report`: pages about runs that are made up here, so that their numbers are known.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]
#![allow(clippy::panic, reason = "a test that cannot do its work has failed")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

#[path = "report_command/browser.rs"]
mod browser;
#[path = "report_command/markup.rs"]
mod markup;
#[path = "report_command/runs.rs"]
mod runs;
mod support;

use std::fs;
use std::path::Path;

use markup::{assert_well_formed, cells, row};
use runs::{HOSTILE, MadeUp, evaluation, hostile_run, make_up};
use support::{accepted, assert_refused};

fn report(at: &Path, runs: &[&str]) -> String {
    let arguments = [&["report"], runs, &["-o", "report.html", "--quiet"]].concat();
    accepted(at, &arguments);
    let page = fs::read_to_string(at.join("report.html")).unwrap();
    assert_well_formed(&page);
    page
}

/// Two seeds of twelve steps: at step s, run k has s + k stable samples of 20 and a mean objective of -0.5 + 0.01 s + 0.1 k.
#[test]
fn the_numbers_are_those_of_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("one"), MadeUp { seed: 1, ..MadeUp::default() });
    make_up(&at.join("two"), MadeUp { seed: 2, ..MadeUp::default() });
    let page = report(at, &["one", "two"]);
    // Step 1: 2 + 3 of 40. Steps 3 to 12: 85 + 95 of 400. Intervals by SciPy (Wilson), that of the change from them (Newcombe).
    let stable = ["12.5 % [5.5, 26.1], 5 of 40", "45.0 % [40.2, 49.9], 180 of 400", "+32.5 [+18.1, +41.1]"];
    assert_eq!(row(&page, "stable (below 0.1 eV/atom)"), stable);
    // Of -0.39 and -0.29, and of -0.325 and -0.225.
    let objective = ["-0.3400 \u{b1} 0.07071", "-0.2750 \u{b1} 0.07071", "0.06500"];
    assert_eq!(row(&page, "mean objective"), objective);
    // 0.1 s nats in both runs.
    assert_eq!(row(&page, "KL to the base (nats)"), ["0.1000 \u{b1} 0", "0.7500 \u{b1} 0", "0.6500"]);
    // The number of different formulas is no sum of independent samples: a mean over the runs, without an interval.
    assert_eq!(row(&page, "share of different formulas"), ["1.000 \u{b1} 0", "1.000 \u{b1} 0", "0"]);
    // One sample of twenty fails in each step, by two reasons of which one has all.
    assert_eq!(row(&page, "e_hull: atoms too close"), ["5.0 % [3.4, 7.3], 24 of 480"]);
    assert_eq!(row(&page, "sampling"), ["2.000 \u{b1} 0"]);
    assert_eq!(row(&page, "scored")[0], "95.0 % [83.5, 98.6], 38 of 40");
    // Two of each file's four rows are stable, in step 1 and in steps 3 to 12; of the other sixteen no samples were kept.
    assert_eq!(row(&page, "below 0.1 eV/atom"), ["10.0 % [4.0, 23.1], 4 of 40", "10.0 % [7.4, 13.3], 40 of 400"]);
    assert!(page.contains("one: 176 of the rows of the first and last steps are not among its samples"));
    assert!(page.contains("Crystal systems of the samples kept,") && page.contains("(6 crystals kept)"));
    assert_eq!(row(&page, "225")[0], "75.0 % [40.9, 92.9], 6 of 8");
    assert_eq!(row(&page, "Na")[0], "66.7 % [30.0, 90.3], 4 of 6");
    assert_eq!(row(&page, "one"), ["1", "12 of 12 steps", "-e_hull"], "a row of the runs");
    assert!(page.contains("NaCl") && page.contains("step-7-0"), "the best candidate");
}

#[test]
fn samples_are_pooled_of_runs_that_keep_the_same_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("all"), MadeUp { steps: 1, ..MadeUp::default() });
    make_up(&at.join("scored"), MadeUp { seed: 2, steps: 1, samples: "scored", ..MadeUp::default() });
    // Of the first, all samples are there.
    let metrics = fs::read_to_string(at.join("all/metrics.jsonl")).unwrap();
    fs::write(at.join("all/metrics.jsonl"), metrics.replace("\"rows\":20", "\"rows\":4")).unwrap();
    let page = report(at, &["all", "scored"]);
    assert!(page.contains("scored") && !page.contains("B (scored)"), "one group");
    assert_eq!(row(&page, "225")[0], "75.0 % [30.1, 95.4], 3 of 4");
    assert!(page.contains("scored: its samples are in no figure: record.samples is scored, and all in the first run"));
    assert!(page.contains("Crystal systems of the samples,") && !page.contains("samples kept"));
}

#[test]
fn a_step_of_fewer_runs_is_named_and_has_no_spread() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("one"), MadeUp { seed: 1, ..MadeUp::default() });
    make_up(&at.join("two"), MadeUp { seed: 2, steps: 9, ..MadeUp::default() });
    let page = report(at, &["one", "two"]);
    assert!(page.contains("A (one): fewer than its 2 runs contribute to 3 of 12 steps."));
    assert!(page.contains("Judge: fewer than its 2 runs contribute to 1 of 4 steps."));
}

/// Carbon in rows along an axis: evenly, and in pairs. One formula and one space group, but two crystals; the first has another
/// cell in the second run.
#[test]
fn polymorphs_are_shown_and_repetitions_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let crystal = |id: &str, objective: f64, length: f64, places: &[f64]| {
        let atoms: String = places.iter().map(|z| format!("C 0 0 {z}\n")).collect();
        format!(
            "{}\nLattice=\"3 0 0 0 3 0 0 0 {length}\" Properties=species:S:1:pos:R:3 pbc=\"T T T\" id=\"{id}\" formula=\"C\" \
             spacegroup=123 objective={objective}\n{atoms}",
            places.len()
        )
    };
    let candidates = |run: &str, seed: u64, text: &str| {
        make_up(&at.join(run), MadeUp { seed, ..MadeUp::default() });
        fs::write(at.join(run).join("candidates.extxyz"), text).unwrap();
    };
    candidates("one", 1, &crystal("even", 3.0, 10.0, &[0.0, 2.5, 5.0, 7.5]));
    let again = crystal("again", 2.0, 5.0, &[1.0, 3.5]);
    candidates("two", 2, &(again + &crystal("paired", 1.0, 5.0, &[0.0, 1.5])));
    let page = report(at, &["one", "two"]);
    let shown = |name: &str| page.contains(&format!("<dd>{name}</dd>"));
    assert_eq!(["even", "again", "paired"].map(shown), [true, false, true]);
}

#[test]
fn groups_stand_side_by_side_with_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("weak"), MadeUp::default());
    make_up(&at.join("strong"), MadeUp { kl_weight: 0.5, ..MadeUp::default() });
    let page = report(at, &["weak", "strong"]);
    assert_eq!(row(&page, "ppo.kl_weight"), ["A: 0.25", "B: 0.5"]);
    assert!(page.contains("A (weak)") && page.contains("B (strong)"));
    assert!(page.contains("First and last of A (weak)") && page.contains("First and last of B (strong)"));
}

#[test]
fn every_figure_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("run"), MadeUp::default());
    evaluation(&at.join("run/evaluation"));
    accepted(at, &["report", "run", "-o", "report.html", "--figures", "figures", "--quiet"]);
    let page = fs::read_to_string(at.join("report.html")).unwrap();
    let mut names: Vec<String> = fs::read_dir(at.join("figures"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(page.matches("<svg ").count(), names.len());
    for name in &names {
        let svg = fs::read_to_string(at.join("figures").join(name)).unwrap();
        assert_well_formed(&svg);
        assert!(svg.starts_with("<svg viewBox=") && svg.contains("prefers-color-scheme"), "{name}");
        assert!(page.contains(&svg), "{name}");
    }
    for name in [
        "objective-mean",
        "stable-fraction",
        "term-1",
        "kl",
        "clip-fraction",
        "entropy",
        "funnel",
        "failures",
        "e-hull",
        "free-coordinates",
        "space-groups",
        "crystal-systems",
        "elements",
        "properties",
        "judge-1",
        "judge-gap",
        "time",
        "evaluation-1-e-hull",
        "candidate-1",
    ] {
        assert!(names.contains(&format!("{name}.svg")), "{name} is not among {names:?}");
    }
    assert_eq!(row(&page, "metastable"), ["25.0 % [7.1, 59.1], 2 of 8"]);
}

#[test]
fn whatever_stands_in_the_files_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    hostile_run(&at.join("a&<b>"));
    accepted(at, &["report", "a&<b>", "-o", "report.html", "--figures", "figures", "--quiet"]);
    let page = fs::read_to_string(at.join("report.html")).unwrap();
    assert_well_formed(&page);
    for forbidden in ["<script", "<img", "onerror=\"", "javascript:", "\u{0}", "\u{1b}"] {
        assert!(!page.contains(forbidden), "{forbidden:?}");
    }
    assert!(page.contains("&lt;script&gt;") && page.contains("a&amp;&lt;b&gt;"));
    assert!(!page.contains(HOSTILE));
    for file in fs::read_dir(at.join("figures")).unwrap() {
        assert_well_formed(&fs::read_to_string(file.unwrap().path()).unwrap());
    }
}

#[test]
fn what_is_damaged_is_named_and_the_rest_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let run = at.join("torn");
    make_up(&run, MadeUp::default());
    let add = |file: &str, text: &str| {
        let old = fs::read_to_string(run.join(file)).unwrap();
        fs::write(run.join(file), old + text).unwrap();
    };
    add("metrics.jsonl", "{\"step\":13,\"objective_mean\":0.");
    add("samples/step-12.jsonl", "{\"id\":\"step-12-9\",\"lat");
    fs::write(run.join("samples/step-11.jsonl.gz"), "no gzip").unwrap();
    fs::remove_file(run.join("samples/step-11.jsonl")).unwrap();
    fs::write(run.join("candidates.extxyz"), "1\nLattice=\"1 0 0\"\nXx 0 0 0\n").unwrap();
    let page = report(at, &["torn"]);
    for note in [
        "torn/metrics.jsonl: 1 of its lines",
        "step-12.jsonl: 1 of its lines",
        "step-11.jsonl.gz: ",
        "candidates.extxyz: ",
    ] {
        assert!(page.contains(note), "{note}");
    }
    assert_eq!(row(&page, "torn")[1], "12 of 12 steps");
}

#[test]
fn numbers_that_are_none_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("run"), MadeUp::default());
    let file = at.join("run/metrics.jsonl");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("\"kl\":", "\"kl\":NaN,\"was\":").replace("\"entropy\":", "\"entropy\":1e308,\"also\":");
    fs::write(&file, text).unwrap();
    let page = report(at, &["run"]);
    assert!(!page.contains("NaN") && !page.contains(">inf"));
    assert!(page.contains("stable (below 0.1 eV/atom)") && !page.contains("KL to the base (nats)</th>"));
}

#[test]
fn runs_of_earlier_versions_and_of_other_kinds_have_their_pages() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/old-runs");
    let folder = tempfile::tempdir().unwrap();
    let [tuned, trained] = ["finetuned", "pretrained"].map(|run| old.join(run).display().to_string());
    let page = report(folder.path(), &[&tuned, &trained]);
    assert_eq!(row(&page, "validation NLL (nats)")[1], "18.08");
    // Two steps of twelve, of which one and four became crystals.
    assert_eq!(row(&page, "scored"), ["8.3 % [1.5, 35.4], 1 of 12", "33.3 % [13.8, 60.9], 4 of 12"]);
    assert!(page.contains("No judge was asked") && page.contains("No evaluation lies beside the runs"));
}

#[test]
fn what_is_no_run_or_has_no_step_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir(at.join("empty")).unwrap();
    let refused =
        |run: &str, sentence: &str| assert_refused(at, &["report", run, "-o", "x.html", "--quiet"], 2, sentence);
    refused("empty", "error: cannot read empty/run.toml: No such file or directory (os error 2)");
    make_up(&at.join("new"), MadeUp { steps: 0, ..MadeUp::default() });
    let hint = "\nhint: `temper status` says whether the run is still going";
    refused("new", &format!("error: new: no step is done yet, so there is nothing to report{hint}"));
    fs::remove_file(at.join("new/metrics.jsonl")).unwrap();
    refused("new", &format!("error: new: no step is done yet, so there is nothing to report{hint}"));
    fs::write(at.join("new/metrics.jsonl"), "\u{1}\u{2}\nno json\n").unwrap();
    refused("new", "error: new/metrics.jsonl: none of the 2 lines is one of a run's metrics");
    fs::write(at.join("new/run.toml"), "objective = \n").unwrap();
    assert!(!at.join("x.html").exists());
}

#[test]
fn one_step_has_nothing_after_it() {
    let folder = tempfile::tempdir().unwrap();
    make_up(&folder.path().join("run"), MadeUp { steps: 1, ..MadeUp::default() });
    let page = report(folder.path(), &["run"]);
    assert!(cells(&page).any(|cell| cell == "none after it"));
    assert_eq!(row(&page, "stable (below 0.1 eV/atom)")[1..], ["-", "-"]);
}

#[test]
fn a_browser_shows_the_page_at_both_widths_by_day_and_by_night() {
    let Some(browser) = browser::found() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    make_up(&at.join("one"), MadeUp { seed: 1, ..MadeUp::default() });
    make_up(&at.join("two"), MadeUp { kl_weight: 0.5, ..MadeUp::default() });
    evaluation(&at.join("one/evaluation"));
    hostile_run(&at.join(
        "a-very-long-name-without-a-space-in-it-as-sweeps-write-them-run.seed=42-ppo.kl_weight=0.0125-and-so-on",
    ));
    let names: Vec<String> =
        fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    report(at, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let [day, night] = [false, true].map(|dark| browser::look(&browser, at, "report.html", dark));
    for (light, seen) in [(true, day), (false, night)] {
        for width in &seen.widths {
            assert_eq!(width.overflow, 0, "{} px: {}", width.width, width.wide);
            assert!(width.height > 2000 && width.figures > 20, "{width:?}");
        }
        assert_eq!(seen.widths.len(), 2);
        assert!(seen.console.is_empty(), "{:?}", seen.console);
        let brightness = |colour: &str| {
            colour.split(|c: char| !c.is_ascii_digit()).filter_map(|x| x.parse::<u32>().ok()).take(3).sum::<u32>()
        };
        for colour in [&seen.ground, &seen.figure_ground] {
            assert_eq!(brightness(colour) > 600, light, "{colour}");
        }
    }
}
