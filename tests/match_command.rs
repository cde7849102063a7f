//! `temper match` and `temper index` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use support::{accepted, assert_refused, json_lines, shared, temper};

const CSCL: &str =
    r#"{"lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Cs","Cl"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]]}"#;

/// The same with chlorine 0.4 A off, whose atoms are 0.2 A off after the best translation.
const DISPLACED: &str =
    r#"{"lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Cs","Cl"],"frac_coords":[[0,0,0],[0.6,0.5,0.5]]}"#;

const BROMIDE: &str =
    r#"{"lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Cs","Br"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]]}"#;

fn rows(path: &Path) -> Vec<Vec<String>> {
    let mut table = csv::Reader::from_path(path).unwrap();
    table.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn pairs_are_compared_in_their_order_and_bad_ones_get_a_status() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let pair = |one: &str, two: &str| format!(r#"{{"s1":{one},"s2":{two}}}"#);
    let lines = [pair(CSCL, DISPLACED), pair(CSCL, BROMIDE), "{\"s1\":7}".into(), "[".into(), pair(BROMIDE, BROMIDE)];
    fs::write(at.join("pairs.jsonl"), lines.join("\n\n")).unwrap();
    let (_, said) = accepted(at, &["match", "pairs.jsonl", "-o", "out.csv"]);
    assert_eq!(said, "5 pairs: out.csv; 2 could not be compared, see the column `status`\n");
    let text = fs::read_to_string(at.join("out.csv")).unwrap();
    assert!(text.starts_with("fit,rms,max_dist,status\n"), "{text}");
    let rows = rows(&at.join("out.csv"));
    let number = |text: &str| text.parse::<f64>().unwrap();
    let expected = 0.2 / 32f64.cbrt();
    assert!((number(&rows[0][1]) - expected).abs() < 1e-9 && (number(&rows[0][2]) - expected).abs() < 1e-9);
    assert_eq!((rows[0][0].as_str(), rows[0][3].as_str()), ("true", "ok"));
    assert_eq!(rows[1], ["false", "", "", "ok"]);
    assert_eq!(rows[2], ["", "", "", "line 5: s1: s1 is \"7\", not an object"]);
    assert!(rows[3][3].starts_with("line 7: not a JSON object"), "{:?}", rows[3]);
    assert_eq!(rows[4][0], "true");
    accepted(at, &["match", "pairs.jsonl", "-o", "strict.csv", "--stol", "0.05"]);
    assert_eq!(self::rows(&at.join("strict.csv"))[0], ["false", "", "", "ok"]);
    let refused = temper(at, &["match", "pairs.jsonl", "-o", "x.csv", "--stol", "NaN"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("not above 0 and at most 1"));
    fs::write(at.join("none.jsonl"), "{}\n").unwrap();
    assert_refused(
        at,
        &["match", "none.jsonl", "-o", "x.csv"],
        2,
        "error: none.jsonl: none of 1 rows is a pair of structures",
    );
}

#[test]
fn known_structures_are_found_in_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let named = |id: &str, structure: &str| structure.replacen('{', &format!("{{\"id\":\"{id}\","), 1);
    fs::write(at.join("a.jsonl"), [named("chloride", CSCL), named("bad", "{\"lattice\":0}")].join("\n")).unwrap();
    fs::write(at.join("b.jsonl"), named("bromide", BROMIDE)).unwrap();
    let (_, said) = accepted(at, &["index", "build", "a.jsonl", "-o", "a.index"]);
    assert!(said.starts_with("1 of 2 structures added, 1 in all: a.index; left out, the first: bad: "), "{said}");
    let (_, said) = accepted(at, &["index", "build", "b.jsonl", "--add-to", "a.index", "-o", "both.index"]);
    assert_eq!(said, "1 of 1 structures added, 2 in all: both.index\n");
    let asked = [named("x", DISPLACED), named("y", BROMIDE), named("z", &CSCL.replace("Cs", "K")), "{}".into()];
    fs::write(at.join("asked.jsonl"), asked.join("\n")).unwrap();
    accepted(at, &["index", "query", "asked.jsonl", "--index", "both.index", "-o", "out.csv"]);
    let rows = rows(&at.join("out.csv"));
    assert_eq!(rows[..3], [["x", "chloride", "ok"], ["y", "bromide", "ok"], ["z", "", "ok"]]);
    assert_eq!(rows[3][..2], ["asked-4", ""]);
    let asked = ["index", "query", "asked.jsonl", "-o", "out.csv", "--index"];
    assert_refused(at, &[&asked[..], &["a.jsonl"]].concat(), 2, "error: a.jsonl: not a structure index of version 1");
    assert_refused(
        at,
        &[&asked[..], &["both.index", "--no-primitive"]].concat(),
        2,
        "error: both.index: the index holds primitive cells, the matcher compares cells as they are",
    );
}

/// Verdict, root mean square and largest distance of pymatgen 2026.10.24 on every pair.
#[test]
fn verdicts_are_those_of_pymatgen() {
    let Some(shared) = shared() else { return };
    let path = shared.join("golden/structure_matcher.dev.jsonl");
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    accepted(at, &["match", &path.display().to_string(), "-o", "out.csv"]);
    let rows = rows(&at.join("out.csv"));
    let golden = json_lines(&path);
    assert_eq!(rows.len(), golden.len());
    for (row, golden) in rows.iter().zip(&golden) {
        assert_eq!(row[0], golden["fit"].to_string(), "{} {}", golden["row"], golden["kind"]);
        for (cell, key) in row[1..3].iter().zip(["rms_dist", "max_dist"]) {
            match golden[key].as_f64() {
                None => assert_eq!(cell, "", "{}", golden["row"]),
                Some(value) => assert!((cell.parse::<f64>().unwrap() - value).abs() < 1e-3, "{}", golden["row"]),
            }
        }
    }
}
