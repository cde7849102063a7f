//! What the check must let pass, and what it must find, beyond broken sums.

use std::fs;

use crate::pair::{METADATA, Pair};
use crate::support::{accepted, shared};
use crate::{ended, failures};

/// Energies of which float32 leaves few digits behind the point are right all the same, and wrong forces are still found.
#[test]
fn large_energies_are_judged_by_what_float32_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for offset in [-100.0, -1036.37, -5000.0, -30000.25] {
        Pair { offset, ..Pair::default() }.write(&at.join("far.onnx"), &METADATA);
        assert_eq!(failures(at, "far.onnx"), (0, vec![], String::new()), "{offset}");
    }
    Pair { offset: -1036.37, forces: Some(1.0), scale: 30.0, ..Pair::default() }
        .write(&at.join("wrong.onnx"), &METADATA);
    let (code, failed, _) = failures(at, "wrong.onnx");
    assert_eq!((code, failed), (3, vec!["differences forces".to_owned()]));
    Pair { offset: -1036.37, adds: false, ..Pair::default() }.write(&at.join("wrong.onnx"), &METADATA);
    assert_eq!(failures(at, "wrong.onnx").0, 3);
}

/// A property may grow with the cell, as long as it does so everywhere.
#[test]
fn a_property_may_grow_with_the_cell() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { more: true, ..Pair::default() }.write(&at.join("more.onnx"), &METADATA);
    let (code, failed, _) = failures(at, "more.onnx");
    assert_eq!(code, 3);
    assert_eq!(failed, ["supercell mixed", "single atoms mixed"]);
}

/// An energy that is one per atom, and is not said to be, and the other way around.
#[test]
fn an_energy_that_is_or_is_not_per_atom_is_recognised() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (per_atom, said, note) in [
        (true, "false", "twice the cell has the same energy: if it is one per atom, say energy_per_atom = true"),
        (false, "true", "twice the cell has twice the energy: it is not one per atom, as energy_per_atom says"),
    ] {
        let pair = Pair { per_atom, ..Pair::default() };
        pair.write(&at.join("pair.onnx"), &[&METADATA[..], &[("energy_per_atom", said)]].concat());
        let (code, told, said) = ended(at, &["model", "check", "pair.onnx"]);
        assert_eq!(code, 3, "{told}{said}");
        let row = told.lines().find(|line| line.starts_with("supercell energy")).unwrap();
        assert!(row.contains(note), "{row}");
    }
}

/// A model that sees further than the file says gets fewer neighbours than it was made for.
#[test]
fn a_cutoff_that_is_too_short_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (cutoff, expected) in [("3.5", vec!["cutoff energy".to_owned()]), ("5.0", vec![]), ("6.5", vec![])] {
        // Beyond its cutoff the sum would grow again.
        let pair = Pair { ends: true, ..Pair::default() };
        pair.write(&at.join("cut.onnx"), &[("contract", "1"), ("cutoff", cutoff), ("elements", "1-94")]);
        // That energies jump where an atom leaves too short a list, forces do not tell.
        let found: Vec<String> =
            failures(at, "cut.onnx").1.into_iter().filter(|name| !name.starts_with("derived")).collect();
        assert_eq!(found, expected, "{cutoff}");
    }
    // One that has no cutoff of its own is taken at its word.
    Pair::default().write(&at.join("cut.onnx"), &[("contract", "1"), ("cutoff", "3.5"), ("elements", "1-94")]);
    assert!(!failures(at, "cut.onnx").1.contains(&"cutoff energy".to_owned()));
}

/// The cheap part of the check, where a file is looked at.
#[test]
fn a_file_with_wrong_sums_is_not_called_usable() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    Pair { adds: false, ..Pair::default() }.write(&at.join("wrong.onnx"), &METADATA);
    let (code, told, said) = ended(at, &["model", "inspect", "wrong.onnx"]);
    assert_eq!(code, 3, "{said}");
    assert!(told.contains("\nusable             no: energy is wrong under "), "{told}");
    assert!(said.contains("hint: the file has 1 scatter node without a reduction"), "{said}");
    Pair::default().write(&at.join("right.onnx"), &METADATA);
    let (told, _) = accepted(at, &["model", "inspect", "right.onnx"]);
    assert!(
        told.contains("usable             yes: ONNX Runtime loads it, and small crystals keep their numbers"),
        "{told}"
    );
}

/// Files of reports by which the check was wrong.
#[test]
fn files_from_real_use_pass() {
    let Some(cases) = shared().map(|shared| shared.join("cases/models")).filter(|folder| folder.is_dir()) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for name in ["offset1000", "io_many", "io_three", "real_ani1x"] {
        let file = cases.join(format!("{name}.onnx"));
        if file.is_file() {
            fs::copy(&file, folder.path().join("case.onnx")).unwrap();
            let (code, failed, _) = failures(folder.path(), "case.onnx");
            assert_eq!((code, failed), (0, vec![]), "{name}");
        }
    }
}
