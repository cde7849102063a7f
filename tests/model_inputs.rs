//! Files that take the geometry of a crystal in other forms than positions, cell and offsets: energies, and the forces and stress that
//! are derived through what the host makes of positions and cell. Expected numbers are sums in double precision over the neighbour
//! lists, and differences of these.

#![allow(clippy::unwrap_used, reason = "a test that cannot do its work has failed")]

#[path = "model_inputs/field.rs"]
mod field;
mod support;

use std::fs;
use std::path::Path;

use field::{ELEMENTS, Edges, Field, Species, crystals, energy};
use support::{accepted, shared, temper};
use temper::crystal::{Structure, read_structures};
use temper::graph::DataType;
use temper::model::{Executor, ForceModel, ModelOptions, OnnxModel};
use temper::runtime::{Device, Locator, Runtime};

const METADATA: [(&str, &str); 3] = [("contract", "1"), ("cutoff", "5.0"), ("elements", "17,12,16,14,13,11")];

fn opened(path: &Path) -> ForceModel {
    let runtime = Runtime::open(&Locator::from_env(&|_| ()), Device::Cpu).unwrap();
    let executor = Executor::new(1).unwrap();
    let model = OnnxModel::open(&runtime, &executor, path, ModelOptions::default()).unwrap();
    ForceModel::new(&runtime, model.into(), None).unwrap()
}

/// Central differences of fourth order.
fn slope(f: impl Fn(f64) -> f64, h: f64) -> f64 {
    (8.0 * (f(h) - f(-h)) - (f(2.0 * h) - f(-2.0 * h))) / (12.0 * h)
}

/// Energies, forces and stress of all crystals at once, against mathematics.
fn compare(name: &str, path: &Path, lengths: bool) {
    let model = opened(path);
    let structures = crystals();
    let rows = model.evaluate(&structures.iter().collect::<Vec<_>>(), &["energy"]);
    for (structure, row) in structures.iter().zip(rows) {
        assert!(row.is_ok(), "{name}: {row:?}");
        let (found, response) = row.unwrap();
        let expected = energy(structure, lengths);
        assert!((found[0] - expected).abs() < 5e-6 * (1.0 + expected.abs()), "{name}: {} not {expected}", found[0]);
        for (atom, force) in response.forces.iter().enumerate() {
            for (axis, force) in force.iter().enumerate() {
                let along = |h: f64| std::array::from_fn(|k| if k == axis { h } else { 0.0 });
                let expected = -slope(|h| energy(&structure.displaced(atom, along(h)), lengths), 1e-3);
                assert!((force - expected).abs() < 2e-5, "{name}: force {force}, not {expected}");
            }
        }
        for i in 0..3 {
            for j in 0..3 {
                let strain = |h: f64| energy(&structure.strained([i, j], h), lengths);
                let expected = slope(strain, 1e-4) / structure.lattice.volume();
                let stress = response.stress[i][j];
                assert!((stress - expected).abs() < 2e-6, "{name}: stress {stress}, not {expected}");
            }
        }
    }
    let largest = model.evaluate(&[&structures[0]], &[])[0].as_ref().unwrap().1.largest_force();
    assert!(largest > 0.01, "{name}: {largest} is too little to see");
}

#[test]
fn derivatives_go_through_what_is_made_of_positions_and_cell() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("field.onnx");
    let plain = Field::default();
    let rows = [
        ("cells", plain),
        ("Cartesian offsets", Field { edges: Edges::Cartesian, ..plain }),
        ("vectors", Field { edges: Edges::Vector, ..plain }),
        ("vectors and offsets", Field { edges: Edges::Both, ..plain }),
        ("lengths", Field { edges: Edges::Length, ..plain }),
        ("vectors, float64", Field { edges: Edges::Vector, float: DataType::F64, ..plain }),
        ("lengths, float64", Field { edges: Edges::Length, float: DataType::F64, ..plain }),
        ("vectors, counts of atoms", Field { edges: Edges::Vector, counts: true, ..plain }),
        ("counts of atoms, two indices", Field { counts: true, separate: true, ..plain }),
        ("places of elements", Field { species: Species::Index, ..plain }),
        ("one column for each element", Field { species: Species::OneHot, edges: Edges::Cartesian, ..plain }),
        ("one crystal", Field { single: true, separate: true, ..plain }),
        ("one crystal, vectors", Field { single: true, edges: Edges::Vector, ..plain }),
        ("one crystal, Cartesian offsets", Field { single: true, edges: Edges::Cartesian, ..plain }),
    ];
    for (name, field) in rows {
        field.write(&path, &METADATA);
        compare(name, &path, field.edges == Edges::Length);
    }
}

/// Constants, columns, a sign and a unit of length, all from a sidecar.
#[test]
fn a_sidecar_turns_vectors_around_and_pins_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("field.onnx");
    for (edges, input) in
        [(Edges::Shift, "edge_shift"), (Edges::Cartesian, "edge_shift_cartesian"), (Edges::Vector, "edge_vector")]
    {
        Field { edges, sign: -1.0, columns: true, ..Field::default() }.write(&path, &METADATA);
        let sidecar = format!("[inputs]\n{input} = \"-{input}\"\n[constants]\ncharge = 0\n");
        fs::write(folder.path().join("field.toml"), sidecar).unwrap();
        compare(input, &path, false);
    }
    fs::write(folder.path().join("field.toml"), "[inputs]\npositions = \"-positions\"\n").unwrap();
    let said = String::from_utf8(temper(folder.path(), &["model", "inspect", "field.onnx"]).stderr).unwrap();
    assert!(said.contains("[inputs] names `positions`; the model has"), "{said}");
}

#[test]
fn places_of_elements_need_the_list_of_elements() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Field { species: Species::OneHot, ..Field::default() }.write(&at.join("field.onnx"), &METADATA[..2]);
    let said = |arguments: &[&str]| String::from_utf8(temper(at, arguments).stderr).unwrap();
    let missing = said(&["model", "inspect", "field.onnx"]);
    let sentence =
        "error: field.onnx: `temper.elements` is missing: the model takes species by their place in that list\n";
    assert!(missing.starts_with(sentence), "{missing}");
    fs::write(at.join("field.toml"), "elements = \"11-17\"\n").unwrap();
    let wrong = said(&["model", "inspect", "field.onnx"]);
    let sentence = "error: field.toml: `elements` is \"11-17\"; expected 6 elements, one for each column of the input \
                    `species_one_hot`; these are 7\n";
    assert!(wrong.starts_with(sentence), "{wrong}");
}

/// Names of other programs, by which one means one thing and another means another: what is drafted is what the file needs.
const FOREIGN: [(&str, Field, &[&str]); 6] = {
    const fn named(names: &'static [(&'static str, &'static str)], edges: Edges, sign: f64, separate: bool) -> Field {
        let (species, float) = (Species::Numbers, DataType::F32);
        Field { edges, species, names, sign, separate, single: false, counts: false, columns: false, float }
    }
    [
        (
            "SchNetPack",
            named(
                &[
                    ("atomic_numbers", "_atomic_numbers"),
                    ("positions", "_positions"),
                    ("batch", "_idx_m"),
                    ("edge_centre", "_idx_i"),
                    ("edge_neighbour", "_idx_j"),
                    ("edge_shift_cartesian", "_offsets"),
                ],
                Edges::Cartesian,
                1.0,
                true,
            ),
            &["_offsets = \"edge_shift_cartesian\"", "_idx_i = \"edge_centre\"", "_idx_j = \"edge_neighbour\""],
        ),
        (
            "MACE",
            named(&[("edge_shift_cartesian", "shifts")], Edges::Cartesian, 1.0, false),
            &["shifts = \"edge_shift_cartesian\""],
        ),
        (
            "cells by the name of Cartesian ones",
            named(&[("edge_shift", "shifts")], Edges::Shift, 1.0, false),
            &["shifts = \"edge_shift\""],
        ),
        (
            "the other way around",
            named(&[("edge_shift", "cell_offsets")], Edges::Shift, -1.0, false),
            &["cell_offsets = \"-edge_shift\""],
        ),
        ("vectors", named(&[("edge_vector", "D")], Edges::Vector, 1.0, false), &["D = \"edge_vector\""]),
        (
            "lengths",
            named(&[("edge_length", "edge_weight")], Edges::Length, 1.0, false),
            &["edge_weight = \"edge_length\""],
        ),
    ]
};

#[test]
fn a_draft_says_what_a_trial_has_shown() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (program, field, lines) in FOREIGN {
        field.write(&at.join("theirs.onnx"), &[]);
        let _ = fs::remove_file(at.join("theirs.toml"));
        let (_, said) = accepted(at, &["model", "inspect", "theirs.onnx", "--write-sidecar"]);
        assert!(said.starts_with("theirs.toml: 1 lines to fill in\n"), "{program}: {said}");
        let draft = fs::read_to_string(at.join("theirs.toml")).unwrap();
        for line in lines {
            assert!(draft.lines().any(|drafted| drafted.starts_with(line)), "{program}: {line} in\n{draft}");
        }
        fs::write(at.join("theirs.toml"), draft.replace("\"?\"", "5.0")).unwrap();
        let (told, _) = accepted(at, &["model", "inspect", "theirs.onnx"]);
        assert!(told.contains("usable             yes: "), "{program}: {told}");
        compare(program, &at.join("theirs.onnx"), field.edges == Edges::Length);
    }
}

/// Which element a number stands for, no symmetry tells.
#[test]
fn what_no_trial_can_show_is_left_to_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Field { species: Species::Index, names: &[("species_index", "atom_types")], ..Field::default() }
        .write(&at.join("types.onnx"), &[]);
    let (_, said) = accepted(at, &["model", "inspect", "types.onnx", "--write-sidecar"]);
    assert!(said.contains("what 1 of its inputs means, "), "{said}");
    let draft = fs::read_to_string(at.join("types.toml")).unwrap();
    let line = draft.lines().find(|line| line.starts_with("atom_types = \"?\"")).unwrap_or_default();
    assert!(line.contains("one of atomic_numbers, species_index"), "{draft}");
    assert_eq!(ELEMENTS.len(), 6);
    // A charge is none, and how a spin is counted is not known.
    Field { columns: true, names: &[("charge", "spin")], ..Field::default() }.write(&at.join("spin.onnx"), &METADATA);
    Field { columns: true, names: &[("charge", "total_charge")], ..Field::default() }
        .write(&at.join("ion.onnx"), &METADATA);
    for (file, line) in [("spin", "spin = \"?\""), ("ion", "total_charge = 0")] {
        accepted(at, &["model", "inspect", &format!("{file}.onnx"), "--write-sidecar"]);
        let draft = fs::read_to_string(at.join(format!("{file}.toml"))).unwrap();
        let (_, constants) = draft.split_once("[constants]\n").unwrap();
        assert!(constants.starts_with(line), "{draft}");
    }
}

/// A sidecar that says what is not so: the file runs, and its numbers are those of no crystal.
#[test]
fn a_wrong_sidecar_is_not_usable() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let field = Field { edges: Edges::Cartesian, names: &[("edge_shift_cartesian", "shifts")], ..Field::default() };
    field.write(&at.join("mace.onnx"), &METADATA);
    fs::write(at.join("mace.toml"), "[inputs]\nshifts = \"edge_shift\"\n").unwrap();
    let output = temper(at, &["model", "inspect", "mace.onnx"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("error: mace.onnx: energy is wrong under translation by "), "{said}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("usable             no: energy is wrong under"));
}

/// The file of the report: its `shifts` are Cartesian, and counting them as cells is 0.83 eV/atom off.
#[test]
fn the_shifts_of_a_file_from_real_use_are_found() {
    let Some(file) = shared().map(|shared| shared.join("cases/models/mace_shifts.onnx")).filter(|file| file.is_file())
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    fs::copy(&file, at.join("mace.onnx")).unwrap();
    accepted(at, &["model", "inspect", "mace.onnx", "--write-sidecar"]);
    let draft = fs::read_to_string(at.join("mace.toml")).unwrap();
    assert!(draft.contains("shifts = \"edge_shift_cartesian\""), "{draft}");
    fs::write(at.join("mace.toml"), draft.replace("\"?\"", "4.0")).unwrap();
    let model = opened(&at.join("mace.onnx"));
    // The same crystal in other words has the same energy, and forces are its differences.
    let structures: Vec<Structure> =
        read_structures(&file.with_file_name("xt.extxyz")).unwrap().map(|r| r.unwrap().structure.unwrap()).collect();
    let of = |structure: &Structure| model.model().evaluate(&[structure], &["energy"])[0].as_ref().unwrap()[0];
    for structure in &structures {
        let mut moved = structure.clone();
        moved.frac.iter_mut().for_each(|r| r[0] += 0.37);
        assert!((of(structure) - of(&moved)).abs() < 1e-4 * structure.len() as f64);
        let found = model.evaluate(&[structure], &[]).remove(0).unwrap().1.forces[0][0];
        let expected = -slope(|h| of(&structure.displaced(0, [h, 0.0, 0.0])), 0.02);
        assert!((found - expected).abs() < 2e-3 * (1.0 + expected.abs()), "{found}, not {expected}");
    }
}
