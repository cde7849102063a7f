//! `temper evaluate` as a user meets it, and its measures against other programs.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

mod support;

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use ndarray::arr0;
use serde_json::{Value, json};
use support::{accepted, assert_refused, json_lines, shared, temper};
use temper::crystal::{Element, Lattice, Structure};
use temper::graph::{Builder, DataType, Dim, encode};
use temper::metrics::has_sound_geometry;

const CSCL: &str = r#"{"id":"ID","lattice":[[4.12,0,0],[0,4.12,0],[0,0,4.12]],"species":["Cs","Cl"],"frac_coords":[[0,0,0],[0.5,0.5,0.5]]}"#;

fn crystal(id: &str, change: impl Fn(String) -> String) -> String {
    change(CSCL.replace("ID", id))
}

/// The rows of a table, by the names of its columns.
fn rows(path: &Path) -> Vec<HashMap<String, String>> {
    csv::Reader::from_path(path).unwrap().into_deserialize().map(Result::unwrap).collect()
}

fn metrics(at: &Path, folder: &str) -> Value {
    serde_json::from_slice(&fs::read(at.join(folder).join("metrics.json")).unwrap()).unwrap()
}

/// A cubic cell of two elements with this edge, in the structure of CsCl.
fn cube(id: &str, elements: [&str; 2], edge: f64) -> String {
    json!({ "id": id, "lattice": [[edge, 0, 0], [0, edge, 0], [0, 0, edge]], "species": elements,
        "frac_coords": [[0, 0, 0], [0.5, 0.5, 0.5]] })
    .to_string()
}

/// A potential whose energy, eV per cell, grows by `slope` with the sum of the squares of the cell's vectors, beginning with `at` at
/// that of a cube with edges of 4 A.
fn potential(path: &Path, slope: f32, at: f32) {
    model(path, "energy", slope, at);
}

/// The same numbers under another name.
fn model(path: &Path, quantity: &str, slope: f32, at: f32) {
    let mut b = Builder::new();
    let crystals = b.symbol("b");
    let cell = b.input("cell", DataType::F32, &[crystals, Dim::Known(3), Dim::Known(3)]);
    let flat = b.reshape(cell, &[-1, 9]);
    let squares = b.mul(flat, flat);
    let sum = b.reduce_sum(squares, &[1], false);
    let [slope, offset] = [slope, at - 48.0 * slope].map(|number| b.constant(arr0(number)));
    let scaled = b.mul(sum, slope);
    let energy = b.add(scaled, offset);
    b.output(quantity, energy);
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-94"), ("temper.energy_reference", "PBE")];
    fs::write(path, encode(&b.finish("linear", &metadata).unwrap())).unwrap();
}

/// A hull of elements at 0 eV/atom.
fn hull(at: &Path, name: &str) {
    fs::write(at.join("elements.csv"), "formula,energy_per_atom\nCs,0\nCl,0\nI,0\nRb,0\n").unwrap();
    accepted(at, &["hull", "build", "--entries", "elements.csv", "--energy-reference", "PBE", "-o", name, "-q"]);
}

/// Four crystals of two elements, of which the first potential likes small cells, and the second large ones.
fn two_judges(at: &Path) -> Vec<&'static str> {
    let samples = [
        cube("small", ["Cs", "Cl"], 4.0),
        cube("middle", ["Cs", "I"], 4.1),
        cube("large", ["Rb", "Cl"], 4.2),
        cube("unknown", ["Cs", "Br"], 4.1),
    ];
    fs::write(at.join("samples.jsonl"), samples.join("\n")).unwrap();
    fs::write(at.join("known.jsonl"), cube("known", ["Rb", "Cl"], 4.2)).unwrap();
    potential(&at.join("a.onnx"), 0.122, -0.2);
    potential(&at.join("b.onnx"), -0.122, 0.4);
    hull(at, "a.hull");
    hull(at, "b.hull");
    let first = ["evaluate", "samples.jsonl", "--reference", "known.jsonl", "--model", "a.onnx", "--hull", "a.hull"];
    [&first[..], &["--model", "b.onnx", "--hull", "b.hull", "-o", "out"]].concat()
}

#[test]
fn every_sample_has_a_row_and_counts_in_every_figure() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let samples = [
        crystal("first", |c| c),
        crystal("again", |c| c.replace("4.12", "4.2")),
        crystal("new", |c| c.replace("Cl", "I")),
        crystal("touching", |c| c.replace("0.5,0.5,0.5", "0.01,0,0")),
        crystal("odd", |c| c.replace("\"Cs\"", "\"Si\"").replace("Cl", "Cu")),
        "{\"id\":\"broken\"}".into(),
    ];
    fs::write(at.join("samples.jsonl"), samples.join("\n")).unwrap();
    fs::write(at.join("known.jsonl"), crystal("known", |c| c)).unwrap();
    let (_, said) =
        accepted(at, &["evaluate", "samples.jsonl", "--reference", "known.jsonl", "--requested", "8", "-o", "out"]);
    assert!(said.contains("valid_structure     50.0 % [21.5, 78.5]  4 of 8"), "{said}");
    let table = rows(&at.join("out/structures.csv"));
    let named = ["id", "formula", "n_atoms", "space_group", "valid_structure", "valid_composition"];
    assert_eq!(named.map(|name| table[0][name].as_str()), ["first", "CsCl", "2", "221", "true", "true"]);
    let found = ["duplicate_of", "match", "e_hull", "sun", "msun", "status"];
    assert_eq!(found.map(|name| table[0][name].as_str()), ["", "known", "", "false", "false", "ok"]);
    assert_eq!((table[1]["duplicate_of"].as_str(), table[1]["match"].as_str()), ("first", "known"));
    assert_eq!((table[2]["duplicate_of"].as_str(), table[2]["match"].as_str()), ("", ""));
    assert_eq!((table[3]["valid_structure"].as_str(), table[3]["space_group"].as_str()), ("false", ""));
    assert_eq!((table[4]["valid_structure"].as_str(), table[4]["valid_composition"].as_str()), ("true", "false"));
    assert!(
        table[5]["id"] == "broken" && ["formula", "valid_structure", "match"].iter().all(|n| table[5][*n].is_empty())
    );
    assert_ne!(table[5]["status"], "ok");
    let metrics = metrics(at, "out");
    let count = |name: &str| (metrics["metrics"][name]["count"].as_u64(), metrics["metrics"][name]["of"].as_u64());
    let expected = [("valid", 3), ("valid_composition", 4), ("unique", 4), ("novel", 3), ("unique_and_novel", 3)];
    for (name, number) in expected {
        assert_eq!(count(name), (Some(number), Some(8)), "{name}");
    }
    assert!(metrics["metrics"].get("stable").is_none());
    assert_refused(
        at,
        &["evaluate", "samples.jsonl", "--requested", "3", "-o", "out"],
        2,
        "error: --requested is 3, but samples.jsonl has 6 samples",
    );
}

#[test]
fn the_protocol_changes_with_whatever_the_figures_depend_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::write(at.join("samples.jsonl"), crystal("first", |c| c)).unwrap();
    fs::write(at.join("known.jsonl"), crystal("known", |c| c)).unwrap();
    let id = |arguments: &[&str]| {
        accepted(at, &[&["evaluate", "samples.jsonl", "-o", "out"], arguments].concat());
        metrics(at, "out")["protocol_id"].as_str().unwrap().to_owned()
    };
    let plain = id(&[]);
    assert_eq!(plain, id(&[]));
    let with_known = id(&["--reference", "known.jsonl"]);
    fs::write(at.join("known.jsonl"), crystal("other", |c| c)).unwrap();
    let others = [id(&["--stol", "0.2"]), id(&["--smact", "3.2.0"]), with_known, id(&["--reference", "known.jsonl"])];
    for (i, one) in others.iter().enumerate() {
        assert!(*one != plain && !others[..i].contains(one), "{others:?}");
    }
}

#[test]
fn several_judges_are_compared_and_what_only_the_first_likes_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = two_judges(at);
    let (_, said) = accepted(at, &arguments);
    // Energies above hull, eV/atom: -0.1, 0.05, 0.2 by the first, 0.2, 0.05, -0.1 by the second; no hull knows
    // bromine.
    let table = rows(&at.join("out/structures.csv"));
    let of = |name: &str| table.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    assert_eq!(of("metastable_by"), ["1", "1 2", "2", ""]);
    assert_eq!(of("msun"), ["true", "true", "false", "false"]);
    assert!(table[3]["status"].contains("a: the hull has no reference energy for Br"), "{}", table[3]["status"]);
    assert!((table[0]["e_hull_2"].parse::<f64>().unwrap() - 0.2).abs() < 1e-6);
    let all = metrics(at, "out");
    let judges = &all["judges"];
    let count = |figures: &Value, name: &str| figures[name]["count"].as_u64().unwrap();
    assert_eq!((count(&judges["by_each"][0], "msun"), count(&judges["by_each"][1], "msun")), (2, 1));
    assert_eq!((count(&judges["by_all"], "metastable"), count(&judges["by_any"], "metastable")), (1, 3));
    assert_eq!((count(&judges["by_all"], "msun"), count(&judges["by_all"], "sun")), (1, 0));
    let pair = &judges["pairs"][0];
    assert_eq!((pair["both"].as_u64(), pair["spearman"].as_f64()), (Some(3), Some(-1.0)));
    assert_eq!(count(pair, "confirmed"), 1);
    assert_eq!(judges["only_by_first"], json!(["small"]));
    assert!(said.contains("1 crystals are metastable for a alone: small"), "{said}");
    assert_eq!(count(&all["metrics"], "msun"), 2);
    assert_eq!(all["e_hull"]["without"], 1);
    for figure in ["e_hull.svg", "space_groups.svg"] {
        assert!(fs::read_to_string(at.join("out").join(figure)).unwrap().starts_with("<svg"), "{figure}");
    }
    let refused = "error: --model is given 2 times and --hull 1 times\n\
        hint: each potential is measured against a hull of its own, in their order";
    assert_refused(at, &[&arguments[..10], &["-o", "out"]].concat(), 2, refused);
}

#[test]
fn protocols_say_what_differs_here() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = two_judges(at);
    let judged = |name: &str| {
        let (_, said) = accepted(at, &[&arguments[..], &["--protocol", name]].concat());
        (metrics(at, "out"), said)
    };
    let (paper, said) = judged("paper");
    assert_eq!((&paper["protocol"]["stable"], &paper["protocol"]["deciding"]), (&json!(0.1), &json!("first judge")));
    assert_eq!((&paper["metrics"]["sun"]["count"], &paper["metrics"]["stable"]["count"]), (&json!(2), &json!(2)));
    assert!(said.contains("potential: Orb-v2 there, a; b here") && said.contains("known.jsonl here"), "{said}");
    let (genbench, _) = judged("lemat-genbench");
    // The means of both judges are 0.05 eV/atom.
    assert_eq!(
        (&genbench["metrics"]["metastable"]["count"], &genbench["metrics"]["stable"]["count"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(
        (&genbench["metrics"]["msun_of_valid"]["count"], &genbench["metrics"]["msun_of_valid"]["of"]),
        (&json!(2), &json!(4))
    );
    let differs = genbench["differs_from_protocol"].to_string();
    assert!(differs.contains("relaxed in at most 50 steps") && differs.contains("sun_of_valid"), "{differs}");
    assert!(judged("mattergen").0["differs_from_protocol"].to_string().contains("disordered alloys"));
    let both = temper(at, &[&arguments[..], &["--protocol", "paper", "--stable", "0.2"]].concat());
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn an_earlier_evaluation_is_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = two_judges(at);
    accepted(at, &arguments);
    fs::write(at.join("samples.jsonl"), [cube("a", ["Cs", "Cl"], 4.0), cube("b", ["Cs", "I"], 4.1)].join("\n"))
        .unwrap();
    let now: Vec<&str> =
        [&arguments[..arguments.len() - 1], &["now", "--before", "out", "--sampling-time", "4"]].concat();
    let (_, said) = accepted(at, &now);
    let all = metrics(at, "now");
    // 2 of 2 less 2 of 4, with Newcombe's interval from Wilson's of both: [0.34238, 1] and [0.15004, 0.84996].
    let found = &all["differences"]["msun"];
    assert_eq!(found["value"], 0.5);
    let expected = [0.5 - 0.657_62_f64.hypot(0.349_96), 0.5 + 0.0_f64.hypot(0.349_96)];
    for (end, expected) in expected.iter().enumerate() {
        assert!((found["interval"][end].as_f64().unwrap() - expected).abs() < 1e-4, "{found}");
    }
    assert_eq!((&all["time"]["msun_per_second"], &all["time"]["sun_per_second"]), (&json!(0.5), &json!(0.25)));
    assert!(said.contains("change +50.0") && !said.contains("another protocol id"), "{said}");
    let (_, said) = accepted(at, &[&now[..], &["--stol", "0.2"]].concat());
    assert!(said.contains("warning: the earlier evaluation has another protocol id"), "{said}");
    let refused = "error: nowhere/metrics.json: No such file or directory (os error 2)\n\
        hint: --before names the folder of an evaluation";
    assert_refused(at, &["evaluate", "samples.jsonl", "--before", "nowhere", "-o", "out"], 2, refused);
}

#[test]
fn twins_in_known_data_stand_beside_the_samples() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let with = |row: String, gap: f64| row.replacen('{', &format!("{{\"band_gap\": {gap}, "), 1);
    let samples = [with(cube("a", ["Cs", "Cl"], 4.0), 5.0), with(cube("b", ["Cs", "I"], 4.1), 4.0)];
    fs::write(at.join("samples.jsonl"), samples.join("\n")).unwrap();
    let known =
        [with(cube("x", ["Rb", "Cl"], 4.2), 1.0), with(cube("y", ["Cs", "Cl"], 4.1), 6.5), "{\"id\":\"z\"}".into()];
    fs::write(at.join("data.jsonl"), known.join("\n")).unwrap();
    potential(&at.join("a.onnx"), 0.122, -0.2);
    hull(at, "a.hull");
    model(&at.join("gap.onnx"), "gap", 1.0, 0.0);
    let arguments = ["evaluate", "samples.jsonl", "--training", "data.jsonl", "--property", "data.jsonl=band_gap"];
    let models = ["--model", "a.onnx", "--hull", "a.hull", "--property-model", "gap.onnx", "-o", "out"];
    accepted(at, &[&arguments[..], &models].concat());
    let table = rows(&at.join("out/structures.csv"));
    let of = |row: usize, names: [&str; 4]| names.map(|name| table[row][name].clone());
    assert_eq!(of(0, ["in_training_data", "training_match", "a", "known_a"]), ["true", "y", "4", "4.1"]);
    assert!((table[0]["known_e_hull"].parse::<f64>().unwrap() - 0.048_23).abs() < 1e-5);
    assert_eq!(of(0, ["in_property_data", "property_match", "band_gap", "known_band_gap"]), ["true", "y", "5", "6.5"]);
    assert_eq!(of(1, ["in_property_data", "property_match", "band_gap", "known_band_gap"]), ["false", "", "4", ""]);
    // 3 * 4.1^2 - 48, of cells that are as they were.
    assert_eq!(table[0]["gap"].parse::<f64>().unwrap(), 0.0);
    assert!((table[0]["twin_gap"].parse::<f64>().unwrap() - 2.43).abs() < 1e-4);
    assert!((table[1]["gap"].parse::<f64>().unwrap() - 2.43).abs() < 1e-4 && table[1]["twin_gap"].is_empty());
    let twins = &metrics(at, "out")["twins"];
    assert_eq!((&twins["in_training_data"]["count"], &twins["in_training_data"]["of"]), (&json!(1), &json!(2)));
    let gap = &twins["compared"]["band_gap"];
    assert_eq!((&gap["compared"], &gap["mean_absolute_difference"]), (&json!(1), &json!(1.5)));
    let refused = |text: &str, message: &str| {
        assert_refused(at, &["evaluate", "samples.jsonl", "--property", text, "-o", "out", "-q"], 2, message);
    };
    refused("data.jsonl=gap", "error: --property data.jsonl: no row has a number in a column gap");
    refused(
        "data.jsonl",
        "error: --property data.jsonl: not a file and its columns\nhint: write FILE=COLUMN or FILE=COLUMN,COLUMN",
    );
    let index = "error: --property x.index: an index holds no columns\nhint: name the file that it was built from";
    refused("x.index=gap", index);
}

#[test]
fn space_groups_have_figures_of_their_own_and_weights() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    two_judges(at);
    let asked = |row: String, group: u8| row.replacen('{', &format!("{{\"spacegroup\": {group}, "), 1);
    let refused = json!({ "id": "c", "tokens": { "spacegroup": 221 }, "refused": "no lattice" }).to_string();
    let samples = [asked(cube("a", ["Cs", "Cl"], 4.0), 221), asked(cube("b", ["Cs", "I"], 4.1), 225), refused];
    fs::write(at.join("samples.jsonl"), samples.join("\n")).unwrap();
    let arguments =
        ["evaluate", "samples.jsonl", "--reference", "known.jsonl", "--model", "a.onnx", "--hull", "a.hull"];
    accepted(at, &[&arguments[..], &["--amd", "-o", "out"]].concat());
    // Cubes with edges of 4 and 4.1 A beside one of 4.2 A: all distances grow with the edge. By average-minimum-distance 1.6.1,
    // the hundredth is 9.2126 A at 4.12 A.
    let table = rows(&at.join("out/structures.csv"));
    let nearest = |row: usize| table[row]["nearest_amd"].parse::<f64>().unwrap();
    assert!((nearest(0) - 0.2 * 9.212_600 / 4.12).abs() < 1e-4 && (nearest(1) - 0.1 * 9.212_600 / 4.12).abs() < 1e-4);
    let all = metrics(at, "out");
    assert_eq!(all["nearest_known"]["samples"], 2);
    let share = |group: &str| {
        (all["space_groups"][group]["msun"]["count"].clone(), all["space_groups"][group]["msun"]["of"].clone())
    };
    assert_eq!((share("221"), share("225")), ((json!(1), json!(2)), (json!(1), json!(1))));
    assert_eq!(all["two_per_system"], json!([221, 225]));
    // The only known structure has group 221.
    assert_eq!((&all["weighted"]["msun"]["value"], &all["weighted"]["msun"]["covered"]), (&json!(0.5), &json!(1.0)));
    assert_eq!(
        (&all["metrics"]["space_group_kept"]["count"], &all["metrics"]["space_group_kept"]["of"]),
        (&json!(1), &json!(3))
    );
    assert_eq!((&all["distances"]["space_groups_jsd"], &all["known_structures_counted"]), (&json!(0.0), &json!(1)));
}

/// Whatever a file holds, each row has a row in the table, and the program ends well.
#[test]
fn no_row_is_too_bad_for_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    two_judges(at);
    let thin = json!({ "id": "thin", "lattice": [[0.001, 0, 0], [0, 3000.0, 0], [0, 0, 3000.0]], "species": ["Cs"],
        "frac_coords": [[0, 0, 0]] });
    let many = json!({ "id": "many", "lattice": [[40, 0, 0], [0, 40, 0], [0, 0, 40]], "species": vec!["Cs"; 1331],
        "frac_coords": (0..1331).map(|i| [f64::from(i % 11) / 11.0, f64::from(i / 11 % 11) / 11.0, f64::from(i / 121) / 11.0])
            .collect::<Vec<_>>() });
    let flat = cube("flat", ["Cs", "Cl"], 4.0).replacen("4.0", "0.0", 1);
    let light = cube("light", ["Rb", "I"], 90.0);
    let rows_of = [
        thin.to_string(),
        many.to_string(),
        flat,
        light,
        "not json".into(),
        cube("element", ["Cs", "Br"], 4.1),
        cube("nan", ["Cs", "Cl"], 4.0).replace("4.0", "NaN"),
        cube("good", ["Cs", "Cl"], 4.0),
    ];
    fs::write(at.join("samples.jsonl"), rows_of.join("\n")).unwrap();
    let arguments =
        ["evaluate", "samples.jsonl", "--reference", "known.jsonl", "--model", "a.onnx", "--hull", "a.hull"];
    accepted(at, &[&arguments[..], &["--training", "known.jsonl", "-o", "out"]].concat());
    let table = rows(&at.join("out/structures.csv"));
    assert_eq!(table.len(), rows_of.len());
    for (row, reason) in
        [(0, ""), (1, "1331 atoms are too many to compare"), (3, "g/cm^3"), (5, "no reference energy for Br")]
    {
        assert!(table[row]["status"] != "ok" && table[row]["status"].contains(reason), "{:?}", table[row]);
    }
    let good: Vec<&str> = table.iter().filter(|row| row["sun"] == "true").map(|row| row["id"].as_str()).collect();
    assert_eq!(good, ["good"]);
    let disordered = "data_x\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\nloop_\n_atom_site_label\n\
        _atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n_atom_site_occupancy\nCs1 0 0 0 0.5\n";
    fs::write(at.join("d.cif"), disordered).unwrap();
    accepted(at, &["evaluate", "d.cif", "-o", "out"]);
    assert!(rows(&at.join("out/structures.csv"))[0]["status"].contains("disordered structures cannot be used"));
    fs::write(at.join("empty.jsonl"), "").unwrap();
    assert_refused(at, &["evaluate", "empty.jsonl", "-o", "out", "-q"], 2, "error: empty.jsonl: there are no samples");
}

/// pymatgen's distances and volumes by CDVAE's rule.
#[test]
fn geometry_is_sound_where_cdvae_finds_it_so() {
    let Some(shared) = shared() else { return };
    let rows = json_lines(&shared.join("golden/validity.dev.jsonl"));
    assert!(rows.len() >= 250);
    for row in &rows {
        let structure = &row["structure"];
        let species: Vec<Element> = structure["species"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| Element::from_symbol(s.as_str().unwrap()).unwrap())
            .collect();
        let lattice = Lattice(serde_json::from_value(structure["lattice"].clone()).unwrap());
        let frac = serde_json::from_value(structure["frac_coords"].clone()).unwrap();
        let structure = Structure::new(lattice, species, frac).unwrap();
        assert_eq!(has_sound_geometry(&structure), Ok(row["struct_valid"].as_bool().unwrap()), "{row}");
    }
}

/// Both sets of figures, a row for each sample in each table, and no relaxed structure for what is none.
#[test]
fn relaxed_samples_are_judged_beside_the_others() {
    const MODELS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let samples = [
        crystal("squeezed", |c| c.replace("4.12", "4.4")),
        crystal("touching", |c| c.replace("0.5,0.5,0.5", "0.01,0,0")),
        "{\"id\":\"broken\"}".into(),
    ];
    fs::write(at.join("samples.jsonl"), samples.join("\n")).unwrap();
    let (model, hull) = (format!("{MODELS}/chgnet-0.3.0"), format!("{MODELS}/hulls/mp-chgnet.hull"));
    let command = ["evaluate", "samples.jsonl", "--model", &model, "--hull", &hull, "-o", "out", "--relax", "40"];
    let (_, said) = accepted(at, &command);
    assert!(said.contains("relaxed: 1, 1 to rest, 0.000 A away on average"), "{said}");
    let all: Value = serde_json::from_slice(&fs::read(at.join("out/metrics.json")).unwrap()).unwrap();
    let relaxed = &all["relaxed"];
    assert_eq!((&relaxed["metrics"]["valid"]["count"], &relaxed["metrics"]["valid"]["of"]), (&1.into(), &3.into()));
    let mean = |figures: &Value| figures["e_hull"]["mean"].as_f64().unwrap();
    assert!(mean(relaxed) < mean(&all) - 0.01, "{} {}", relaxed["e_hull"], all["e_hull"]);
    let relaxation = &relaxed["relaxation"];
    assert_eq!((&relaxation["converged"]["count"], &relaxation["rmsd"]["matched"]), (&1.into(), &1.into()));
    assert_eq!((&all["protocol"]["relaxation"]["steps"], &all["protocol"]["relaxed"]), (&40.into(), &true.into()));
    for table in ["structures.csv", "relaxed.csv", "relaxation.csv"] {
        assert_eq!(rows(&at.join("out").join(table)).len(), 3, "{table}");
    }
    let last = &rows(&at.join("out/relaxed.csv"))[1]["status"];
    assert!(last.contains("not relaxed: two atoms are 0.041 A apart"), "{last}");
    let written = fs::read_to_string(at.join("out/relaxed.extxyz")).unwrap();
    assert_eq!(written.matches("Lattice=").count(), 1);
}
