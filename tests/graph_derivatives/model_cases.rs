//! Files of the kinds that people export, each with forces that are known: by mathematics, or as differences of its energies.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use temper::crystal::{Structure, neighbours, read_structures};
use temper::graph::onnx::{ModelProto, StringStringEntryProto};
use temper::graph::{Attributes, Builder, DataType, Dim, encode};
use temper::model::{Executor, ForceModel, ModelError, ModelOptions, OnnxModel};
use temper::runtime::{Device, Locator, Runtime};

use crate::potential::shared;

fn folder() -> Option<PathBuf> {
    let folder = shared()?.join("cases/models");
    if !folder.is_dir() {
        println!("no model files from real use: skipped");
        return None;
    }
    Some(folder)
}

fn structures(path: &Path) -> Vec<Structure> {
    read_structures(path).unwrap().map(|record| record.unwrap().structure.unwrap()).collect()
}

fn open(path: &Path) -> Arc<OnnxModel> {
    let runtime = Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap();
    let executor = Executor::new(1).unwrap();
    Arc::new(OnnxModel::open(&runtime, &executor, path, ModelOptions::default()).unwrap())
}

fn with_forces(model: &Arc<OnnxModel>) -> Result<ForceModel, ModelError> {
    let runtime = Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap();
    ForceModel::new(&runtime, Arc::clone(model), None)
}

fn energy(model: &OnnxModel, structure: &Structure) -> f64 {
    model.evaluate(&[structure], &["energy"])[0].as_ref().unwrap()[0]
}

/// Forces on every atom against differences of the file's own energies. `half` for files that compute in half precision, whose
/// energies are those of the graph with derivatives.
fn compare(path: &Path, crystals: &[Structure], half: bool) -> Result<(), String> {
    let model = open(path);
    let forces = with_forces(&model).map_err(|error| error.to_string())?;
    // Tables that are read between their points have corners, and so have maxima of equals.
    let has_corners = ["GridS_dyn.onnx", "ScMax_ts.onnx"].iter().any(|name| path.ends_with(name));
    let width = if has_corners { 1e-3 } else { 0.01 };
    let energy = |structure: &Structure| match half {
        false => energy(&model, structure),
        true => forces.evaluate(&[structure], &["energy"])[0].as_ref().unwrap().0[0],
    };
    for structure in crystals {
        let found = forces.evaluate(&[structure], &["energy"]).remove(0).map_err(|error| error.to_string())?.1;
        for atom in 0..structure.len() {
            for axis in 0..3 {
                let moved =
                    |h: f64| structure.displaced(atom, std::array::from_fn(|k| if k == axis { h } else { 0.0 }));
                let slope = |h: f64| (energy(&moved(h)) - energy(&moved(-h))) / (2.0 * h);
                let expected = -(4.0 * slope(width) - slope(2.0 * width)) / 3.0;
                let force = found.forces[atom][axis];
                let rounding = 1e-6 * energy(structure).abs() / width;
                let tolerance = 3e-3 * expected.abs() + rounding + 1e-4;
                let at_rest = energy(structure);
                let sides = [1.0, -1.0].map(|sign| -sign * (energy(&moved(sign * width)) - at_rest) / width);
                let between = sides[0].min(sides[1]) - tolerance..=sides[0].max(sides[1]) + tolerance;
                if (force - expected).abs() > tolerance && !(has_corners && between.contains(&force)) {
                    return Err(format!(
                        "force {force} on atom {atom}, differences give {expected} (energy {at_rest})"
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Exports of PyTorch (`_ts` by tracing, `_dyn` by capture) and files made by hand.
const FILES: [&str; 31] = [
    "select0_Scal_ts",
    "select0_Scal_dyn",
    "select0_Scal2_dyn",
    "gat_select",
    "gat_idxsel",
    "gat_two",
    "gat_x4",
    "gat_last0_dyn",
    "io_int32idx",
    "io_extdata",
    "ScMax_ts",
    "exp_HS_ts18",
    "exp_HS_dyn18",
    "gat_slice_sq",
    "EinEll_dyn",
    "EinTrace_ts",
    "exp_GN_dyn21",
    "exp_RM_dyn23",
    "exp_SDPA_dyn23",
    "exp_Half_dyn18",
    "f16_block",
    "dq_weight",
    "local_function",
    "ScProd_dyn",
    "Conv_dyn",
    "LSTMm_dyn",
    "Pool_dyn",
    "GridS_dyn",
    "lp_norm",
    "ms_fusedmatmul",
    "offset1000",
];

#[test]
fn files_from_real_use_have_the_forces_of_their_energies() {
    let Some(folder) = folder() else { return };
    let crystals = structures(&folder.join("xt.extxyz"));
    let mut failures = Vec::new();
    for name in FILES {
        let half = ["exp_Half_dyn18", "f16_block"].contains(&name);
        // In single precision an energy of -1000 eV per atom leaves no digits for differences.
        let few = if name == "offset1000" { &crystals[..0] } else { &crystals[..] };
        if let Err(reason) = compare(&folder.join(format!("{name}.onnx")), few, half) {
            failures.push(format!("{name}: {reason}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `E = sum over atoms of |W' r|^2` of one atom's slice of a tensor: forces are `-2 r W W'`.
#[test]
fn a_slice_into_a_linear_layer_has_the_right_forces() {
    let Some(folder) = folder() else { return };
    let model = open(&folder.join("select.onnx"));
    let forces = with_forces(&model).unwrap();
    let weight = [[1.0, 2.0, 0.0], [0.0, 1.0, 3.0], [1.0, 0.0, 1.0]];
    for structure in structures(&folder.join("s.extxyz")) {
        let found = forces.evaluate(&[&structure], &[]).remove(0).unwrap().1;
        for (force, r) in found.forces.iter().zip(structure.positions()) {
            let y: Vec<f64> = (0..3).map(|j| (0..3).map(|i| r[i] * weight[i][j]).sum()).collect();
            for (i, found) in force.iter().enumerate() {
                let expected = -2.0 * (0..3).map(|j| weight[i][j] * y[j]).sum::<f64>();
                assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found}, not {expected}");
            }
        }
    }
}

/// ONNX Runtime 1.28 divides by zero in `TopK`, and mis-shapes a reduction over a negative axis.
#[test]
fn a_crystal_without_triplets_has_an_energy() {
    let Some(folder) = folder() else { return };
    let rows = [("zt_sort", "zt", 0.24846), ("three_sum_axis-1", "cscl", -0.91411)];
    for (name, crystal, expected) in rows {
        let model = open(&folder.join(format!("{name}.onnx")));
        let structure = &structures(&folder.join(format!("{crystal}.extxyz")))[0];
        let found = energy(&model, structure);
        assert!((found - expected).abs() < 2e-5, "{name}: {found}, not {expected}");
    }
    let copies = tempfile::tempdir().unwrap();
    for name in ["topk", "zt_sort", "zt_tile", "zt_pad"] {
        // Beside one of them lies a config of its name, which is no sidecar.
        let path = copies.path().join(format!("{name}.onnx"));
        std::fs::copy(folder.join(format!("{name}.onnx")), &path).unwrap();
        let crystals = structures(&folder.join("zt.extxyz"));
        compare(&path, &crystals, false).unwrap_or_else(|reason| panic!("{name}: {reason}"));
    }
}

/// `E = 2 |r_1|^2 + |r_2|^2`, read by indices of 32 bits: forces are `-4 r_1` and `-2 r_2`.
#[test]
fn indices_of_32_bits_have_the_right_forces() {
    let Some(folder) = folder() else { return };
    let model = open(&folder.join("i32.onnx"));
    let forces = with_forces(&model).unwrap();
    let mut compared = 0;
    for structure in structures(&folder.join("xt.extxyz")).iter().filter(|structure| structure.len() >= 2) {
        let (energy, found) = forces.evaluate(&[structure], &["energy"]).remove(0).unwrap();
        let r = structure.positions();
        let square = |r: [f64; 3]| r.iter().map(|x| x * x).sum::<f64>();
        let expected = 2.0 * square(r[0]) + square(r[1]);
        assert!((energy[0] - expected).abs() < 1e-5 * expected, "{} not {expected}", energy[0]);
        for (atom, force) in found.forces.iter().enumerate() {
            let factor = [-4.0, -2.0].get(atom).copied().unwrap_or(0.0);
            for (found, x) in force.iter().zip(r[atom]) {
                assert!((found - factor * x).abs() < 1e-4, "{found}, not {}", factor * x);
            }
        }
        compared += 1;
    }
    assert!(compared > 0);
}

/// Sums over triplets of the squared cell offset of their first edge: with its index, by a positive and a negative axis, and its
/// largest component.
#[test]
fn sums_over_triplets_are_those_of_the_list() {
    let Some(folder) = folder() else { return };
    let copies = tempfile::tempdir().unwrap();
    let crystals = ["cscl", "zt", "xt"].map(|name| structures(&folder.join(format!("{name}.extxyz"))));
    for name in ["pos", "neg", "topk"] {
        // Beside one of them lies a config of its name, which is no sidecar.
        let path = copies.path().join(format!("{name}.onnx"));
        std::fs::copy(folder.join(format!("{name}.onnx")), &path).unwrap();
        let model = open(&path);
        for structure in crystals.iter().flatten() {
            let structure = wrapped(structure);
            let list = neighbours(&structure, 4.0, Some(2.0), 1_000_000).unwrap();
            let of = |pair: &[u32; 2]| {
                let squares = list.shift[pair[0] as usize].map(|x| f64::from(x * x));
                match name {
                    "topk" => squares.into_iter().fold(0.0, f64::max),
                    _ => squares.iter().sum::<f64>() * f64::from(pair[0]),
                }
            };
            let expected: f64 = list.triplets.iter().map(of).sum();
            let found = energy(&model, &structure);
            assert!((found - expected).abs() <= 1e-5 * expected.abs(), "{name}: {found}, not {expected}");
        }
    }
}

/// With all atoms inside the cell, as models are given them.
fn wrapped(structure: &Structure) -> Structure {
    let frac = structure.frac.iter().map(|r| r.map(|x| x.rem_euclid(1.0))).collect();
    Structure { frac, ..structure.clone() }
}

/// A derivative that is not that of the energy: the energy counts rounded positions, whose slope nobody sees.
#[test]
fn a_derivative_that_disagrees_with_differences_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps.onnx");
    std::fs::write(&path, encode(&stairs())).unwrap();
    let error = with_forces(&open(&path)).unwrap_err().to_string();
    assert!(error.contains("its derivative is not that of its energy"), "{error}");
}

/// `E = sum of r^2 / 2 + round(100000 r) / 10000`: steps so fine that differences see a slope of 10 eV/A.
fn stairs() -> ModelProto {
    let mut b = Builder::new();
    let n = b.symbol("n");
    let three = Dim::Known(3);
    let positions = b.input("positions", DataType::F32, &[n, three]);
    let cell = b.input("cell", DataType::F32, &[Dim::Known(1), three, three]);
    let square = b.mul(positions, positions);
    let square = b.mul_scalar(square, 0.5);
    let fine = b.mul_scalar(positions, 1e5);
    let steps = b.node("Round", &[fine], Attributes::none());
    let steps = b.mul_scalar(steps, 1e-4);
    let sum = b.add(square, steps);
    let sum = b.sum_all(sum);
    let nothing = b.mul_scalar(cell, 0.0);
    let nothing = b.sum_all(nothing);
    let energy = b.add(sum, nothing);
    b.output("energy", energy);
    let mut model = b.finish("steps", &[]).unwrap();
    let entry = |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    model.metadata_props = vec![entry("temper.contract", "1"), entry("temper.elements", "1-94")];
    model
}
