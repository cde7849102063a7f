//! `temper hull build | query | info` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;

use support::{accepted, assert_refused, temper};

const ENTRIES: &str = "formula,energy_per_atom\nNa,0\nCl2,0\nNaCl,-2\nNa2Cl2,-1.9\nNaX,-1\nNaBr,-1\n";

#[test]
fn a_hull_is_built_queried_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("entries.csv"), ENTRIES).unwrap();
    fs::write(at.join("mine.csv"), "name,formula,energy_per_atom\na,Na2Cl2,-2.5\nb,KCl,-1\nc,NaCl,nan\n").unwrap();
    let build = ["hull", "build", "--entries", "entries.csv", "--energy-reference", "PBE", "-o", "x.hull"];
    let (_, said) = accepted(at, &build);
    assert_eq!(
        said,
        "entries.csv: row 6: `X` in `NaX` is no element\n\
         1 entries left out: no elemental entry of Br\n\
         x.hull: 3 stable phases of 5 entries (1 not the lowest of their composition, 0 unstable)\n"
    );
    // The hull file and the table that it was made of answer alike.
    for hull in ["x.hull", "entries.csv"] {
        accepted(at, &["hull", "query", "--hull", hull, "--entries", "mine.csv", "-o", "out.csv", "-q"]);
        assert_eq!(
            fs::read_to_string(at.join("out.csv")).unwrap(),
            "name,formula,energy_per_atom,e_above_hull,decomposition,status\n\
             a,Na2Cl2,-2.5,-0.5,NaCl:1.00000000,ok\n\
             b,KCl,-1,,,\"the hull has no reference energy for K, which KCl contains\"\n\
             c,NaCl,nan,,,the energy NaN eV/atom is not a number between -1e7 and 1e7\n"
        );
    }
    let (told, _) = accepted(at, &["hull", "info", "x.hull"]);
    for line in [
        "source             entries.csv",
        "energy reference   PBE",
        "built from         5 entries",
        "stable phases      3 in 3 chemical systems",
        "elements           2: Na Cl",
    ] {
        assert!(told.lines().any(|l| l == line), "{line} in\n{told}");
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("entries.csv"), ENTRIES).unwrap();
    fs::write(at.join("bad.csv"), "formula,energy_per_atom\nQq,1\n").unwrap();
    fs::write(at.join("other.csv"), "compound,energy\nNaCl,1\n").unwrap();
    fs::write(at.join("unknown.csv"), "formula,energy_per_atom\nKBr,1\n").unwrap();
    fs::write(at.join("cut.json"), "[{\"energy\": -1.0, \"composition\": {\"Na\": 1.0").unwrap();
    let query = |hull, entries| ["hull", "query", "--hull", hull, "--entries", entries, "-o", "out.csv", "-q"];
    for (hull, entries, sentence) in [
        ("entries.csv", "none.csv", "error: cannot read none.csv: No such file or directory (os error 2)"),
        ("entries.csv", "other.csv", "error: other.csv has no column `formula` (its columns: compound, energy)"),
        (
            "entries.csv",
            "unknown.csv",
            "error: unknown.csv: no usable row\nhint: the column `status` of out.csv says why",
        ),
        ("bad.csv", "entries.csv", "error: bad.csv holds no usable entry (row 2: `Qq` in `Qq` is no element)"),
        (
            "cut.json",
            "entries.csv",
            "error: cut.json is not whole JSON: EOF while parsing an object at line 1 column 43",
        ),
    ] {
        assert_refused(at, &query(hull, entries), 2, sentence);
    }
    accepted(at, &["hull", "build", "--entries", "entries.csv", "-o", "x.hull", "-q"]);
    let whole = fs::read(at.join("x.hull")).unwrap();
    fs::write(at.join("x.hull"), &whole[..whole.len() - 1]).unwrap();
    assert_refused(
        at,
        &query("x.hull", "entries.csv"),
        2,
        "error: x.hull is not a usable hull file: its SHA-256 does not match its content: truncated or altered",
    );
    let nowhere = ["hull", "query", "--hull", "entries.csv", "--entries", "entries.csv", "-o", "no/out.csv", "-q"];
    let output = temper(at, &nowhere);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot write no/out.csv: "));
}
