//! `temper tokenize` and `temper score` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::fs;
use std::path::Path;

use support::{accepted, assert_refused, shared, temper};

const SALT: &str = r#"{"id":"salt","lattice":[[5.64,0,0],[0,5.64,0],[0,0,5.64]],"species":["Na","Na","Na","Na","Cl","Cl","Cl","Cl"],"frac_coords":[[0,0,0],[0,0.5,0.5],[0.5,0,0.5],[0.5,0.5,0],[0.5,0.5,0.5],[0.5,0,0],[0,0.5,0],[0,0,0.5]]}"#;

/// Each unusable for a reason of its own: no atoms, overlapping, unknown element, flat cell.
const UNUSABLE: [&str; 4] = [
    r#"{"id":"none","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":[],"frac_coords":[]}"#,
    r#"{"id":"overlap","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Na","Cl"],"frac_coords":[[0,0,0],[0.001,0,0]]}"#,
    r#"{"id":"unknown","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Xx"],"frac_coords":[[0,0,0]]}"#,
    r#"{"id":"flat","lattice":[[4,0,0],[0,4,0],[4,4,0]],"species":["Na"],"frac_coords":[[0,0,0]]}"#,
];

fn write(folder: &Path, name: &str, rows: &[&str]) {
    fs::write(folder.join(name), rows.join("\n") + "\n").unwrap();
}

/// The statuses of a table's rows.
fn statuses(path: &Path) -> Vec<String> {
    let mut table = csv::Reader::from_path(path).unwrap();
    let column = table.headers().unwrap().iter().position(|name| name == "status").unwrap();
    table.records().map(|row| row.unwrap()[column].to_owned()).collect()
}

#[test]
fn a_bad_row_gets_a_status_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "some.jsonl", &[&UNUSABLE[..], &[SALT]].concat());
    let (_, said) = accepted(at, &["tokenize", "some.jsonl", "-o", "tokens.safetensors"]);
    assert_eq!(said, "1 of 5 structures: tokens.safetensors; tokens.status.csv says why the others are left out\n");
    let statuses = statuses(&at.join("tokens.status.csv"));
    for (status, part) in statuses.iter().zip(["no atoms", "overlap", "unknown element \"Xx\"", "", "ok"]) {
        assert!(status.contains(part), "{status}");
    }
    let read = temper::crystal::read_tokens(&at.join("tokens.safetensors")).unwrap();
    assert_eq!((read.len(), read[0].id.as_str()), (1, "salt"));
    let tokens = read[0].tokens.as_ref().unwrap();
    assert_eq!(tokens.group.number(), 225);
    // a / 8^(1/3), and the two sites 4a and 4b.
    assert!((tokens.lattice[0] - 2.82).abs() < 1e-9);
    assert_eq!(tokens.sites.iter().map(|site| site.wyckoff).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_file_without_a_usable_structure_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "bad.jsonl", &UNUSABLE);
    let output = temper(at, &["tokenize", "bad.jsonl", "-o", "tokens.safetensors"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    let (first, hint) = said.trim_end().split_once('\n').unwrap();
    assert!(first.starts_with("error: bad.jsonl: none of 4 structures is usable (row 1: "), "{first}");
    assert_eq!(hint, "hint: the column `status` of tokens.status.csv says why");
    assert!(!at.join("tokens.safetensors").exists());
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("x.pdb"), "").unwrap();
    fs::write(at.join("nocif.csv"), "id,formula\n1,NaCl\n").unwrap();
    fs::write(at.join("cut.csv.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    for (file, sentence) in [
        ("none.cif", "error: none.cif: No such file or directory (os error 2)"),
        (
            "x.pdb",
            "error: x.pdb: unknown file format; the known formats are .cif, .csv, .jsonl, .extxyz (or .xyz), .vasp, .poscar, POSCAR*, \
             CONTCAR*, each also with .gz",
        ),
        ("nocif.csv", "error: nocif.csv: no column \"cif\"; the header has [\"id\", \"formula\"]"),
    ] {
        assert_refused(at, &["tokenize", file, "-o", "t.safetensors"], 2, sentence);
        assert_refused(at, &["score", file, "--model", "m.onnx", "-o", "s.csv"], 2, sentence);
    }
    let cut = temper(at, &["tokenize", "cut.csv.gz", "-o", "t.safetensors"]);
    assert_eq!(cut.status.code(), Some(2));
    assert_refused(
        at,
        &["tokenize", "x.pdb", "-o", "t.safetensors", "--symprec", "0"],
        2,
        "error: --symprec 0: must be more than 0 A",
    );
}

#[test]
fn a_potential_scores_what_it_can() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let model = shared.join("models/chgnet-0.3.0-fast.onnx");
    let model = model.to_str().unwrap();
    let hydrogen = r#"{"id":"lonely","lattice":[[40,0,0],[0,40,0],[0,0,40]],"species":["H"],"frac_coords":[[0,0,0]]}"#;
    write(at, "some.jsonl", &[SALT, hydrogen, UNUSABLE[2]]);
    write(at, "structures.jsonl", &[SALT]);
    fs::write(at.join("elements.csv"), "formula,energy_per_atom\nNa,-1.3\nCl2,-1.8\nK,-1\n").unwrap();
    let build = [
        "hull",
        "build",
        "--structures",
        "structures.jsonl",
        "--model",
        model,
        "--elements-from",
        "elements.csv",
        "-o",
        "x.hull",
    ];
    let (_, said) = accepted(at, &build);
    assert_eq!(
        said,
        "1 of 1 structures evaluated: x.status.csv\n3 elements from elements.csv: Na Cl K\n\
         x.hull: 4 stable phases of 4 entries (0 not the lowest of their composition, 0 unstable)\n"
    );
    let score = ["score", "some.jsonl", "--model", model, "--hull", "x.hull", "-o", "s.csv"];
    let (_, said) = accepted(at, &score);
    assert_eq!(
        said,
        "not in the table, because they are more than one number per structure: magmoms\n1 of 3 structures scored: s.csv\n"
    );
    let text = fs::read_to_string(at.join("s.csv")).unwrap();
    assert!(text.starts_with("id,formula,n_atoms,energy,e_hull,status\nsalt,NaCl,8,-2"), "{text}");
    let statuses = statuses(&at.join("s.csv"));
    assert_eq!(statuses[0], "ok");
    assert!(statuses[1].contains("no neighbour"), "{}", statuses[1]);
    assert!(statuses[2].contains("unknown element"), "{}", statuses[2]);
    // A hull on another energy scale is refused.
    accepted(at, &["hull", "build", "--entries", "elements.csv", "--energy-reference", "PBE", "-o", "pbe.hull", "-q"]);
    let output = temper(at, &["score", "some.jsonl", "--model", model, "--hull", "pbe.hull", "-o", "s.csv"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("its energies are on the scale \"MP2020\", those of the hull (elements.csv) on \"PBE\""),
        "{said}"
    );
}

/// Numbers of a column, by the name of the column.
fn column(path: &Path, name: &str) -> Vec<String> {
    let mut table = csv::Reader::from_path(path).unwrap();
    let column = table.headers().unwrap().iter().position(|header| header == name).unwrap();
    table.records().map(|row| row.unwrap()[column].to_owned()).collect()
}

#[test]
fn forces_and_stress_come_out() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0");
    let moved = SALT.replace("salt", "moved").replace("[0.5,0.5,0.5]", "[0.52,0.5,0.5]");
    let squeezed = SALT.replace("salt", "squeezed").replace("5.64", "5.1");
    write(at, "some.jsonl", &[SALT, UNUSABLE[2], &moved, &squeezed]);
    accepted(at, &["score", "some.jsonl", "--model", model, "-o", "plain.csv", "--quiet"]);
    for out in ["f.jsonl", "f.extxyz"] {
        accepted(
            at,
            &["score", "some.jsonl", "--model", model, "--forces", "--forces-out", out, "-o", "s.csv", "--quiet"],
        );
    }
    let text = fs::read_to_string(at.join("s.csv")).unwrap();
    let header =
        "id,formula,n_atoms,energy,f_max,pressure,stress_xx,stress_yy,stress_zz,stress_yz,stress_xz,stress_xy,status\n";
    assert!(text.starts_with(header), "{text}");
    assert!(statuses(&at.join("s.csv"))[1].contains("unknown element"));
    let number = |name: &str, row: usize| column(&at.join("s.csv"), name)[row].parse::<f64>().unwrap();
    // The energies are those without forces; by symmetry salt has none; what is squeezed pushes outwards.
    for row in [0, 2, 3] {
        let plain: f64 = column(&at.join("plain.csv"), "energy")[row].parse().unwrap();
        assert!((number("energy", row) - plain).abs() < 1e-4);
    }
    assert!(number("f_max", 0) < 1e-3 && number("f_max", 2) > 0.1);
    assert!(number("pressure", 3) > 0.05 && number("stress_xx", 3) < -0.05);
    let lines = fs::read_to_string(at.join("f.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row["id"].as_str().unwrap()).collect::<Vec<_>>(), ["salt", "moved", "squeezed"]);
    let forces: Vec<[f64; 3]> = serde_json::from_value(rows[1]["forces"].clone()).unwrap();
    let largest = forces.iter().map(|f| f.iter().map(|x| x * x).sum::<f64>().sqrt()).fold(0.0, f64::max);
    assert!(forces.len() == 8 && (largest - number("f_max", 2)).abs() < 1e-9 && forces[4][0] < -0.1);
    assert!((rows[2]["stress"][0][0].as_f64().unwrap() - number("stress_xx", 3)).abs() < 1e-9);
    let frames = fs::read_to_string(at.join("f.extxyz")).unwrap();
    assert!(
        frames.contains("Properties=species:S:1:pos:R:3:forces:R:3") && frames.contains("\"stress\"=\""),
        "{frames}"
    );
    let refused =
        "error: f.cif: forces are not written in this format\nhint: use .jsonl or .extxyz, each also with .gz";
    assert_refused(at, &["score", "some.jsonl", "--model", model, "--forces-out", "f.cif", "-o", "s.csv"], 2, refused);
}
