//! `temper hull build | query | info` as a user meets them.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::collections::{BTreeSet, HashMap};
use std::fs;

use serde_json::{Value, json};
use support::{accepted, assert_refused, json_lines, shared, temper};

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
        "entries.csv: row 6: `X` in `NaX` is not an element\n\
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
    assert_eq!(accepted(at, &["hull", "info", "--hull", "x.hull"]).0, told);
    for line in [
        "source             entries.csv",
        "energy reference   PBE",
        "built from         5 entries",
        "stable phases      3 in 3 chemical systems",
        "known formulas     4",
        "elements           2: Na Cl",
    ] {
        assert!(told.lines().any(|l| l == line), "{line} in\n{told}");
    }
}

#[test]
fn formulas_are_added_and_nothing_else_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("entries.csv"), ENTRIES).unwrap();
    fs::write(at.join("known.txt"), "KCl\nNa2Cl2\n").unwrap();
    accepted(at, &["hull", "build", "--entries", "entries.csv", "--energy-reference", "PBE", "-o", "x.hull", "-q"]);
    let (_, said) = accepted(at, &["hull", "add-formulas", "x.hull", "known.txt", "-o", "y.hull"]);
    assert_eq!(said, "y.hull: 5 known formulas, 1 of them new\n");
    let told = |hull: &str| {
        let (told, _) = accepted(at, &["hull", "info", hull]);
        let changed = |line: &&str| ["file", "SHA-256", "known formulas"].iter().any(|name| line.starts_with(name));
        told.lines().filter(|line| !changed(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told("x.hull"), told("y.hull"));
    // A hull of hulls knows what they know.
    accepted(at, &["hull", "build", "--entries", "y.hull", "--energy-reference", "PBE", "-o", "z.hull", "-q"]);
    assert!(accepted(at, &["hull", "info", "z.hull"]).0.contains("known formulas     5\n"));
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/hull/version-1.hull");
    assert!(accepted(at, &["hull", "info", old]).0.contains("known formulas     not in the file\n"));
    let (_, said) = accepted(at, &["hull", "add-formulas", old, old, "-o", "new.hull"]);
    assert!(said.contains("this hull holds stable phases only") && said.contains("3 known formulas"), "{said}");
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
        ("bad.csv", "entries.csv", "error: bad.csv contains no usable entry (row 2: `Qq` in `Qq` is not an element)"),
        (
            "cut.json",
            "entries.csv",
            "error: cut.json is not complete JSON: EOF while parsing an object at line 1 column 43",
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

/// Rock salt cells of iron and oxygen, and rows that cannot be answered.
const STRUCTURES: &str = r#"{"id": "plain", "lattice": [[0, 2.15, 2.15], [2.15, 0, 2.15], [2.15, 2.15, 0]], "species": ["Fe", "O"], "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], "energy": -13.0}
{"id": "stated", "lattice": [[0, 2.15, 2.15], [2.15, 0, 2.15], [2.15, 2.15, 0]], "species": ["Fe", "O"], "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], "energy": "-13.0", "run_type": "GGA", "hubbards": {}}
{"id": "peroxide", "lattice": [[0, 2.15, 2.15], [2.15, 0, 2.15], [2.15, 2.15, 0]], "species": ["Fe", "O"], "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]], "energy": -13.0, "data": {"oxide_type": "peroxide"}}
{"id": "element", "lattice": [[2.87, 0, 0], [0, 2.87, 0], [0, 0, 2.87]], "species": ["Fe"], "frac_coords": [[0, 0, 0]], "energy": -8.0}
{"id": "other", "lattice": [[3, 0, 0], [0, 3, 0], [0, 0, 3]], "species": ["Cu"], "frac_coords": [[0, 0, 0]], "energy": -8.0}
{"id": "silent", "lattice": [[3, 0, 0], [0, 3, 0], [0, 0, 3]], "species": ["Fe"], "frac_coords": [[0, 0, 0]]}
{"id": "odd", "lattice": [[3, 0, 0], [0, 3, 0], [0, 0, 3]], "species": ["Fe"], "frac_coords": [[0, 0, 0]], "energy": "nan"}
{"id": "broken", "lattice": [[3, 0, 0], [0, 3, 0], [0, 0, 3]], "species": ["Qq"], "frac_coords": [[0, 0, 0]], "energy": -1}
"#;

/// Iron at -8.25 and oxygen at -5 eV/atom; iron(II) oxide at -1.75 of formation.
const IRON_OXIDES: &str = "formula,energy_per_atom\nFe,-8.25\nO2,-5\nFeO,-8.375\n";

#[test]
fn structures_are_answered_with_their_own_energies() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("s.jsonl"), STRUCTURES).unwrap();
    fs::write(at.join("iron.csv"), IRON_OXIDES).unwrap();
    accepted(at, &["hull", "build", "--entries", "iron.csv", "--energy-reference", "MP2020", "-o", "x.hull", "-q"]);
    let table = |more: &[&str]| {
        let query = ["hull", "query", "--hull", "x.hull", "--structures", "s.jsonl", "-o", "out.csv"];
        let (_, said) = accepted(at, &[&query, more].concat());
        (fs::read_to_string(at.join("out.csv")).unwrap(), said)
    };
    let rest = "other,Cu,,,,,\"the hull has no reference energy for Cu, which Cu contains\"\n\
        silent,Fe,,,,,no energy: neither a model nor a key `energy` (eV per cell)\n\
        odd,Fe,,,,,the energy NaN eV/atom is not a number between -1e7 and 1e7\n\
        broken,,,,,,\"unknown element \"\"Qq\"\"\"\n";
    let header = "id,formula,energy_per_atom,correction,e_above_hull,decomposition,status\n";
    let plain = "FeO,-6.5,0,1.875,FeO:1.00000000,ok\n";
    let (text, said) = table(&[]);
    assert!(said.contains("4 of 8 structures answered: out.csv"), "{said}");
    let element = "element,Fe,-8,0,0.25,Fe:1.00000000,ok\n";
    assert_eq!(text, format!("{header}plain,{plain}stated,{plain}peroxide,{plain}{element}{rest}"));
    // By hand: oxide -0.687 and iron -2.256 per atom of theirs; peroxide -0.465.
    let (text, _) = table(&["--correction", "mp2020"]);
    let incompatible = "stated,FeO,,,,,\"incompatible: U of Fe is 0 eV, where the Materials Project takes 5.3 eV\"\n";
    for (id, correction) in [("plain", -2.943), ("peroxide", -2.721)] {
        let row = text.lines().find(|line| line.starts_with(id)).unwrap();
        let cells: Vec<&str> = row.split(',').collect();
        let number = |cell: usize| cells[cell].parse::<f64>().unwrap();
        assert!((number(3) - correction).abs() < 1e-9 && number(2) == -6.5, "{row}");
        assert!((number(4) - (1.875 + correction / 2.0)).abs() < 1e-9, "{row}");
    }
    assert!(text.contains(incompatible) && text.contains(element) && text.ends_with(rest), "{text}");
}

#[test]
fn corrections_that_do_not_fit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("s.jsonl"), STRUCTURES).unwrap();
    fs::write(at.join("iron.csv"), IRON_OXIDES).unwrap();
    accepted(at, &["hull", "build", "--entries", "iron.csv", "--energy-reference", "PBE", "-o", "x.hull", "-q"]);
    let query = ["hull", "query", "--hull", "x.hull", "--structures", "s.jsonl", "-o", "out.csv", "-q", "--correction"];
    for (name, sentence) in [
        (
            "mp2020",
            "error: \"mp2020\" takes energies to the scale \"MP2020\", and those of the hull (iron.csv) are on \"PBE\"\n\
             hint: use a hull on \"MP2020\", or no correction",
        ),
        (
            "mp-2020",
            "error: \"mp-2020\" is not a correction; the known ones are none, mp2020, mp2020-as-crystalformer and those of plugins\n\
             hint: did you mean mp2020?",
        ),
    ] {
        assert_refused(at, &[&query[..], &[name]].concat(), 2, sentence);
    }
    fs::write(at.join("s.jsonl"), STRUCTURES.lines().last().unwrap()).unwrap();
    assert_refused(
        at,
        &query[..9],
        2,
        "error: s.jsonl: none of 1 structures is usable (row 1: unknown element \"Qq\")\n\
         hint: the column `status` of out.csv says why",
    );
}

/// The same numbers as of `temper score`, and corrected where the potential is said to be on another scale than the hull.
#[test]
fn structures_are_answered_with_a_potential() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let (chgnet, hull) = (format!("{models}/chgnet-0.3.0"), format!("{models}/hulls/mp-chgnet.hull"));
    fs::write(at.join("s.jsonl"), STRUCTURES).unwrap();
    accepted(at, &["score", "s.jsonl", "--model", &chgnet, "--hull", &hull, "-o", "score.csv", "-q"]);
    let query = |hull: &str, model: &str, correction: &str| {
        let start = ["hull", "query", "--hull", hull, "--model", model, "--correction", correction];
        temper(at, &[&start[..], &["--structures", "s.jsonl", "-o", "out.csv", "-q"]].concat())
    };
    let rows = |file: &str| -> Vec<HashMap<String, String>> {
        csv::Reader::from_path(at.join(file)).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
    };
    assert!(query(&hull, &chgnet, "none").status.success());
    let (scored, found) = (rows("score.csv"), rows("out.csv"));
    assert_eq!(scored.len(), found.len());
    for (scored, found) in scored.iter().zip(&found) {
        assert_eq!((&scored["e_hull"], &scored["status"]), (&found["e_above_hull"], &found["status"]));
    }
    let double = query(&hull, &chgnet, "mp2020");
    let said = String::from_utf8_lossy(&double.stderr).into_owned();
    assert_eq!(double.status.code(), Some(2), "{said}");
    let sentence = "on \"MP2020\" and the hull's on \"MP2020\"\nhint: set the correction to \"none\"";
    assert!(said.contains(sentence), "{said}");

    fs::copy(format!("{chgnet}/model.onnx"), at.join("pbe.onnx")).unwrap();
    fs::write(at.join("pbe.toml"), "energy_reference = \"PBE\"\n").unwrap();
    fs::write(at.join("iron.csv"), IRON_OXIDES).unwrap();
    accepted(at, &["hull", "build", "--entries", "iron.csv", "--energy-reference", "MP2020", "-o", "x.hull", "-q"]);
    let refused = query("x.hull", "pbe.onnx", "none");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("the correction \"mp2020\" takes one to the other"), "{said}");
    let bridged = query("x.hull", "pbe.onnx", "mp2020");
    assert!(bridged.status.success(), "{}", String::from_utf8_lossy(&bridged.stderr));
    let corrected = &rows("out.csv")[0];
    assert_eq!(corrected["energy_per_atom"], found[0]["energy_per_atom"]);
    let number = |column: &str| corrected[column].parse::<f64>().unwrap();
    let expected = number("energy_per_atom") - 2.943 / 2.0 + 8.375;
    assert!((number("correction") + 2.943).abs() < 1e-9 && (number("e_above_hull") - expected).abs() < 1e-9);
    let score = ["score", "s.jsonl", "--model", "pbe.onnx", "--hull", "x.hull", "--correction", "mp2020"];
    accepted(at, &[&score[..], &["-o", "score.csv", "-q"]].concat());
    assert_eq!(rows("score.csv")[0]["e_hull"], corrected["e_above_hull"]);
}

/// Corrections of a file of structures as a user gets them, against pymatgen's.
#[test]
fn corrections_in_the_table_are_pymatgens() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let golden = fs::read_to_string(shared.join("golden/mp2020_corrections.dev.jsonl")).unwrap();
    let golden: Vec<Value> = golden.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let golden: Vec<&Value> = golden.iter().filter(|row| row["kind"] == "structure_entry").collect();
    let row = |row: &&Value| {
        let structure = &row["structure"];
        json!({"id": row["row"], "lattice": structure["lattice"], "species": structure["species"],
            "frac_coords": structure["frac_coords"], "energy": -1.0})
    };
    let lines: Vec<String> = golden.iter().map(|golden| row(golden).to_string()).collect();
    fs::write(at.join("s.jsonl"), lines.join("\n")).unwrap();
    let elements = "H Li Be B C N O F Na Mg Al Si P S Cl K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Rb Sr Y Zr Nb Mo Tc Ru Rh \
        Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Ac Th Pa U Np Pu";
    let entries: String = elements.split_whitespace().map(|symbol| format!("{symbol},0\n")).collect();
    fs::write(at.join("e.csv"), format!("formula,energy_per_atom\n{entries}")).unwrap();
    for (correction, column) in [
        ("mp2020", "total_correction"),
        ("mp2020-as-crystalformer", "crystalformer_generate_CSE_correction"),
        // The same as a plugin that the program carries.
        ("mp2020-correction", "total_correction"),
    ] {
        let query = ["hull", "query", "--hull", "e.csv", "--structures", "s.jsonl", "-o", "out.csv", "-q"];
        accepted(at, &[&query[..], &["--correction", correction]].concat());
        let mut table = csv::Reader::from_path(at.join("out.csv")).unwrap();
        let mut rows = 0;
        for (found, golden) in table.records().zip(&golden) {
            let found = found.unwrap();
            assert_eq!((&found[0], &found[6]), (golden["row"].to_string().as_str(), "ok"));
            let expected = golden[column].as_f64().unwrap();
            assert!((found[3].parse::<f64>().unwrap() - expected).abs() < 1e-6, "{found:?}: {expected}");
            rows += 1;
        }
        assert_eq!(rows, golden.len());
    }
}

/// Rock salt's cell.
const SALT: &str = r#"{"id":"salt","lattice":[[5.64,0,0],[0,5.64,0],[0,0,5.64]],"species":["Na","Na","Na","Na","Cl","Cl","Cl","Cl"],"frac_coords":[[0,0,0],[0,0.5,0.5],[0.5,0,0.5],[0.5,0.5,0],[0.5,0.5,0.5],[0.5,0,0],[0,0.5,0],[0,0,0.5]]}"#;

/// A hull of corrected energies is on the scale that they are corrected to, its check crystals included.
#[test]
fn a_hull_of_structures_is_corrected() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx");
    fs::copy(shipped, at.join("pbe.onnx")).unwrap();
    fs::write(at.join("pbe.toml"), "energy_reference = \"PBE\"\n").unwrap();
    fs::write(at.join("salt.jsonl"), SALT).unwrap();
    fs::write(at.join("elements.csv"), "formula,energy_per_atom\nNa,-1.3\nCl2,-1.8\n").unwrap();
    let build = |model: &str, more: &[&str]| {
        let fixed =
            ["hull", "build", "--structures", "salt.jsonl", "--elements-from", "elements.csv", "--model", model];
        let output = temper(at, &[&fixed, more].concat());
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(build("pbe.onnx", &["-o", "plain.hull"]).0, Some(0));
    assert_eq!(build("pbe.onnx", &["-o", "mp2020.hull", "--correction", "mp2020"]).0, Some(0));
    let row = |file: &str| -> (f64, f64) {
        let text = fs::read_to_string(at.join(file)).unwrap();
        let cells: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
        assert_eq!((cells.len(), cells[3], cells[6]), (7, "NaCl", "ok"), "{text}");
        (cells[4].parse().unwrap(), cells[5].parse().unwrap())
    };
    let (plain, corrected) = (row("plain.status.csv"), row("mp2020.status.csv"));
    // pymatgen's MP2020 has -0.614 eV for every Cl.
    assert!(plain.0 == corrected.0 && plain.1 == 0.0 && (corrected.1 + 4.0 * 0.614).abs() < 1e-9, "{corrected:?}");
    let (told, _) = accepted(at, &["hull", "info", "mp2020.hull"]);
    for line in ["energy reference   MP2020", "check crystals     10"] {
        assert!(told.lines().any(|l| l == line), "{told}");
    }
    assert!(told.contains("corrected by mp2020"), "{told}");
    let query = ["hull", "query", "--structures", "salt.jsonl", "--model", "pbe.onnx", "-o", "q.csv", "-q", "--hull"];
    for (hull, more) in [("plain.hull", &[][..]), ("mp2020.hull", &["--correction", "mp2020"])] {
        accepted(at, &[&query, &[hull][..], more].concat());
        let text = fs::read_to_string(at.join("q.csv")).unwrap();
        let above: f64 = text.lines().nth(1).unwrap().split(',').nth(4).unwrap().parse().unwrap();
        assert!(above.abs() < 1e-9, "the one compound of the hull lies on it: {text}");
    }
    let mixed = temper(at, &[&query[..], &["mp2020.hull"]].concat());
    assert_eq!(mixed.status.code(), Some(2));
    let correction = ["-o", "x.hull", "--correction", "mp2020"];
    let (code, said) = build(shipped, &correction);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("\"mp2020\" corrects energies on the scale \"PBE\", and the potential's are on \"MP2020\""));
    assert!(said.contains("hint: the energies are already on that scale: leave the correction out"), "{said}");
    let (code, said) = build(shipped, &["-o", "x.hull", "--correction", "mp-2020"]);
    assert!(code == Some(2) && said.contains("did you mean mp2020?"), "{said}");
}

/// Entry files as pymatgen, pandas and the Materials Project's API write them: entries that are read, rows that are refused, and the
/// energy that a composition has in the hull, eV/atom.
#[test]
fn entry_files_of_every_shape_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (file, entries, refused, formula, energy) in [
        ("pymatgen_written.json", 5, 0, "Li2O", "-4.85"),
        ("nan_in_data.json", 4, 0, "Li2O2", "-4.8"),
        ("inf_data.json", 4, 0, "Li2O2", "-4.8"),
        ("nan_energy.json", 3, 1, "Li2O", "-4.766666666666667"),
        ("jsonl_entries.jsonl", 4, 0, "Li2O2", "-4.8"),
        ("pandas_records.json", 3, 0, "Li2O", "-4.766666666666667"),
        ("mpapi_thermo.json", 3, 0, "Li2O", "-4.766666666666667"),
        ("pd_dict.json", 3, 0, "Li2O", "-4.766666666666667"),
        ("adj_sum_not_corr.json", 4, 0, "Li2O2", "-5.5"),
        ("mixed_functionals.json", 4, 0, "NaCl", "-4.007"),
        ("D.json", 4, 0, "D2O", "-4.833333333333333"),
        ("bom.json", 3, 0, "Li2O", "-4.766666666666667"),
    ] {
        let path = format!("{}/../tests/golden/entries/{file}", env!("CARGO_MANIFEST_DIR"));
        let (_, said) =
            accepted(at, &["hull", "build", "--entries", &path, "--energy-reference", "PBE", "-o", "x.hull"]);
        assert!(said.contains(&format!(" of {entries} entries")), "{file}: {said}");
        assert_eq!(said.matches(": row ").count(), refused, "{file}: {said}");
        let mixed = said.contains("warning: the entries have different run types: GGA (3), R2SCAN (1)");
        assert_eq!(mixed, file == "mixed_functionals.json", "{said}");
        fs::write(at.join("q.csv"), format!("formula,energy_per_atom\n{formula},{energy}\n")).unwrap();
        accepted(at, &["hull", "query", "--hull", "x.hull", "--entries", "q.csv", "-o", "out.csv", "-q"]);
        let text = fs::read_to_string(at.join("out.csv")).unwrap();
        let above: f64 = text.lines().nth(1).unwrap().split(',').nth(2).unwrap().parse().unwrap();
        // By hand: of a stable phase its own energy, of Li2O2 that of the mixture with O2 and Li2O, or -5.5 where it is stable.
        assert!(above.abs() < 1e-9, "{file}: {text}");
    }
}

/// pymatgen 2026.10.24 (`tests/golden/mp2020/generate.py`): of small cells whose rows say in many ways how they were computed.
#[test]
fn rows_are_corrected_as_by_pymatgen() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/mp2020/rows.jsonl");
    let rows = json_lines(golden.as_ref());
    let elements: BTreeSet<&str> =
        rows.iter().flat_map(|row| row["species"].as_array().unwrap()).map(|s| s.as_str().unwrap()).collect();
    let elements = elements.into_iter().filter(|s| s.chars().all(char::is_alphabetic)).map(|s| format!("{s},0\n"));
    fs::write(at.join("elements.csv"), format!("formula,energy_per_atom\n{}", elements.collect::<String>())).unwrap();
    let query = ["hull", "query", "--hull", "elements.csv", "--structures", golden, "-o", "out.csv", "-q"];
    accepted(at, &[&query[..], &["--correction", "mp2020"]].concat());
    let mut answers = csv::Reader::from_path(at.join("out.csv")).unwrap();
    let mut answered = 0;
    for (answer, row) in answers.records().map(|answer| answer.unwrap()).zip(&rows) {
        assert_eq!(&answer[0], row["id"].as_str().unwrap());
        let expected = &row["pymatgen"];
        match expected["total_correction"].as_f64() {
            Some(expected) => {
                answered += 1;
                assert!((answer[3].parse::<f64>().unwrap() - expected).abs() < 1e-9, "{answer:?}: {expected}");
            }
            // Where pymatgen breaks off with an error of another kind, nothing is demanded.
            None => {
                assert!(&answer[6] != "ok" || expected["status"].as_str().unwrap().starts_with("error"), "{answer:?}")
            }
        }
    }
    assert_eq!((rows.len(), answered), (53, 36));
    // Without a correction a row's own adjustments count.
    accepted(at, &query);
    let text = fs::read_to_string(at.join("out.csv")).unwrap();
    assert!(text.contains("energy_already,NaCl,-5,-0.6,-5.3,"), "{text}");
}

/// Rows as people have them, with the corrections that pymatgen 2026.10.16 gives (eV per cell), where it gives one: run types,
/// adjustments, oxidation states, peroxides. The last two rows of the first file have NaN in a key that nobody reads, and as energy.
#[test]
fn rows_from_real_use_are_corrected_as_pymatgen_corrects_them() {
    let Some(shared) = shared() else { return };
    let rows = shared.join("cases/structures");
    if !rows.is_dir() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let elements = "H Li N O F Na Si P S Cl Mn Fe Co Cu Te I Cs Ba Ce C";
    let entries: String = elements.split(' ').map(|symbol| format!("{symbol},0\n")).collect();
    fs::write(at.join("e.csv"), format!("formula,energy_per_atom\n{entries}")).unwrap();
    accepted(at, &["hull", "build", "--entries", "e.csv", "--energy-reference", "MP2020", "-o", "x.hull", "-q"]);
    let none = None::<f64>;
    let parameters = [none, none, Some(-0.614), Some(-0.614), Some(-0.614), Some(-0.687), Some(-0.614), none];
    let of_parameters = [
        "r2scan_in_parameters",
        "gga_on_oxide_in_parameters",
        "energy_str",
        "energy_already",
        "oxi_species",
        "D2O",
        "nan_extra",
        "energy_nan",
    ];
    let data = [
        ("r1", -3.042),
        ("r6", -0.614),
        ("r14", -6.573),
        ("r16", -3.557),
        ("r17", -3.405),
        ("r18", -4.386),
        ("d1", -0.422),
        ("d2", -0.93),
        ("d3", -1.374),
        ("d5", -1.374),
        ("d7", -3.251),
        ("d8", -3.251),
        ("d9", -2.748),
        ("d10", -3.251),
        ("d11", -0.614),
        ("d12", -0.614),
        ("d13", 0.0),
        ("d14", -0.614),
        ("d15", 0.071),
        ("d16", -0.975),
        ("d17", 0.0),
        ("d18", -5.004),
        ("d19", -0.179),
        ("d20", -1.228),
        ("d21", -0.614),
        ("d23", -1.006),
    ];
    let refused = ["r4", "r5", "r8", "r9", "r10", "r11", "r12", "r13", "r15", "r19", "d4", "d6"];
    let of_data = data.iter().map(|(id, value)| (*id, Some(*value))).chain(refused.map(|id| (id, none)));
    for (file, expected) in [
        ("m_params.jsonl", of_parameters.into_iter().zip(parameters).collect::<Vec<_>>()),
        ("m_data.jsonl", of_data.collect()),
    ] {
        let file = rows.join(file);
        let query = ["hull", "query", "--hull", "x.hull", "--structures", file.to_str().unwrap()];
        accepted(at, &[&query[..], &["--correction", "mp2020", "-o", "o.csv", "-q"]].concat());
        let answers: HashMap<String, (String, String)> = csv::Reader::from_path(at.join("o.csv"))
            .unwrap()
            .deserialize::<HashMap<String, String>>()
            .map(Result::unwrap)
            .map(|mut row| (row["id"].clone(), (row.remove("correction").unwrap(), row.remove("status").unwrap())))
            .collect();
        for (id, expected) in expected {
            let (correction, status) = &answers[id];
            match expected {
                Some(value) => {
                    let found: f64 = correction.parse().unwrap_or_else(|_| panic!("{id}: {status}"));
                    assert!((found - value).abs() < 6e-4 && status == "ok", "{id}: {found}, {status}");
                }
                None => assert!(correction.is_empty() && status != "ok", "{id}: {correction}"),
            }
        }
    }
}
