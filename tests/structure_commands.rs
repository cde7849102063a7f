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
            "error: x.pdb: unknown file format; the known formats are .cif, .mcif, .csv, .jsonl, .extxyz (or .xyz), .vasp, .poscar, .contcar, \
             POSCAR*, CONTCAR*, each also with .gz",
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

/// Rock salt by its space group and two sites; `symmetry` may say more.
fn salt_cif(symmetry: &str) -> String {
    format!(
        "data_salt\n_cell_length_a 5.64\n_cell_length_b 5.64\n_cell_length_c 5.64\n_space_group_name_H-M_alt 'F m -3 m'\n\
         {symmetry}\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n\
         Na1 0 0 0\nCl1 .5 .5 .5\n"
    )
}

#[test]
fn a_file_that_contradicts_itself_is_read_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("a.cif"), salt_cif("_chemical_formula_sum 'Cl Na H2 O'\n_cell_formula_units_Z 4")).unwrap();
    let (_, said) = accepted(at, &["tokenize", "a.cif", "-o", "t.safetensors"]);
    assert_eq!(
        said,
        "warning: a.cif: salt (row 1): the chemical formula is Cl Na H2 O, the sites and symmetry operators give Na4 Cl4\n\
         1 of 1 structures: t.safetensors\n"
    );
    fs::write(at.join("many.cif"), salt_cif("_cell_formula_units_Z 1\n_chemical_formula_sum NaCl").repeat(7)).unwrap();
    let (_, said) = accepted(at, &["tokenize", "many.cif", "-o", "t.safetensors"]);
    let warnings: Vec<&str> = said.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert_eq!((warnings.len(), warnings[5]), (6, "warning: 2 more structures contradict their files"), "{said}");
    // Implied atoms are a reason to leave a row out.
    fs::write(at.join("oh.cif"), salt_cif("").replace("Cl1", "OH1")).unwrap();
    accepted(at, &["tokenize", "oh.cif", "a.cif", "-o", "t.safetensors"]);
    let reason = "site \"OH1\" stands for several atoms, hydrogen among them without coordinates";
    assert_eq!(statuses(&at.join("t.status.csv")), [reason, "ok"]);
}

#[test]
fn folders_and_patterns_stand_for_their_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::create_dir_all(at.join("runs/b")).unwrap();
    for name in ["runs/2.cif", "runs/1.cif", "runs/b/3.cif"] {
        fs::write(at.join(name), salt_cif("").replace("data_salt", "data_")).unwrap();
    }
    fs::write(at.join("runs/notes.txt"), "no structure").unwrap();
    fs::write(at.join("runs/scores.csv"), "id,energy\n1,2\n").unwrap();
    let ids = |file: &str| {
        accepted(at, &["tokenize", file, "-o", "t.safetensors"]);
        column(&at.join("t.status.csv"), "id")
    };
    assert_eq!(ids("runs"), ["1-1", "2-1"]);
    assert_eq!(ids("runs/?.cif"), ["1-1", "2-1"]);
    assert_eq!(ids("runs/*/*.cif"), ["3-1"]);
    for name in ["none*.cif", "empty"] {
        fs::create_dir_all(at.join("empty")).unwrap();
        let refused = format!("error: {name}: no files of structures; known are .cif");
        let output = temper(at, &["tokenize", name, "-o", "t.safetensors"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.starts_with(&refused), "{said}");
    }
    // A folder of token files is read as such.
    fs::create_dir_all(at.join("tokens")).unwrap();
    accepted(at, &["tokenize", "runs", "-o", "tokens/a.safetensors"]);
    fs::remove_file(at.join("tokens/a.status.csv")).unwrap();
    assert_eq!(ids("tokens"), ["1-1", "2-1"]);
}

#[test]
fn structures_come_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = ["tokenize", "-", "--format", "cif", "-o", "t.safetensors"];
    let output = support::command(at, &arguments).write_stdin(salt_cif("")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(column(&at.join("t.status.csv"), "id"), ["salt"]);
    assert_refused(
        at,
        &["tokenize", "-", "-o", "t.safetensors"],
        2,
        "error: the format of standard input is not known: one of cif, csv, jsonl, extxyz and poscar is needed",
    );
    let output = temper(at, &["tokenize", "-", "--format", "pdb", "-o", "t.safetensors"]);
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_written_to_and_links_stay() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "s.jsonl", &[SALT]);
    std::os::unix::fs::symlink("/dev/null", at.join("null")).unwrap();
    std::os::unix::fs::symlink("there.safetensors", at.join("link")).unwrap();
    accepted(at, &["tokenize", "s.jsonl", "-o", "null"]);
    accepted(at, &["tokenize", "s.jsonl", "-o", "link"]);
    let is_link = |name: &str| fs::symlink_metadata(at.join(name)).unwrap().is_symlink();
    assert!(is_link("null") && is_link("link") && at.join("there.safetensors").is_file());
}

#[test]
fn sizes_of_options_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "s.jsonl", &[SALT]);
    for slots in ["0", "99999999999", "18446744073709551615"] {
        let refused = format!("error: --slots {slots}: a number from 1 to 10000 is needed");
        assert_refused(at, &["tokenize", "s.jsonl", "-o", "t.safetensors", "--slots", slots], 2, &refused);
    }
}

#[test]
fn no_frame_is_lost_behind_a_bad_one() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let frame = "2\nLattice=\"4.1 0 0 0 4.1 0 0 0 4.1\"\nCs 0 0 0\nCl 2.05 2.05 2.05\n";
    fs::write(at.join("a.extxyz"), format!("{frame}{}{}", frame.replacen('2', "two", 1), frame.repeat(997))).unwrap();
    let (_, said) = accepted(at, &["tokenize", "a.extxyz", "-o", "t.safetensors"]);
    assert!(said.starts_with("998 of 999 structures"), "{said}");
    let statuses = statuses(&at.join("t.status.csv"));
    assert!(statuses[1].contains("the lines from it to line 8 are not read"), "{}", statuses[1]);
}

#[test]
fn a_table_that_is_cut_inside_a_cell_has_no_last_row() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let cif = salt_cif("_cell_angle_gamma 90");
    let text = format!("id,cif\na,\"{cif}\"\nb,\"{cif}");
    fs::write(at.join("a.csv"), &text[..text.len() - "Cl1 .5 .5 .5\n".len()]).unwrap();
    accepted(at, &["tokenize", "a.csv", "-o", "t.safetensors"]);
    assert_eq!(statuses(&at.join("t.status.csv")), ["ok", "the file ends inside a quoted cell"]);
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
