//! Potentials: forces and stress that are added to a file of energies.

use std::collections::HashMap;
use std::path::PathBuf;

use ndarray::{Array1, Array2, Array3, arr1};
use temper::crystal::{Element, Lattice, Structure, neighbours};
use temper::graph::onnx::{ModelProto, ValueInfoProto};
use temper::graph::{
    Attributes, Builder, DataType, Dim, GraphError, Potential, Tensor, add_forces_and_stress, decode, encode,
};
use temper::runtime::Session;

use crate::check::{session, sound};

/// The folder beside the repository that holds reference models and values, if it is there.
pub fn shared() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = std::env::var_os("TEMPER_SHARED").map_or(beside, PathBuf::from);
    if !folder.join("models").is_dir() {
        println!("skipped: no shared data at {}", folder.join("models").display());
        return None;
    }
    Some(folder)
}

/// The potential that ships; a whole path, so joining it to a folder leaves it as it is.
const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/chgnet-0.3.0/model.onnx");

fn model(file: &str) -> Option<ModelProto> {
    Some(decode(&std::fs::read(shared()?.join("models").join(file)).unwrap()).unwrap())
}

/// The contract's own names.
const POTENTIAL: Potential<'_> = Potential {
    positions: "positions",
    cell: "cell",
    batch: Some("batch"),
    edges: None,
    energy: "energy",
    per_atom: false,
    to_electronvolt: 1.0,
    added: ["forces", "stress"],
};

/// Sum over edges of `exp(-|r|)`, each atom's half weighted by the position of its crystal in the batch.
fn pair_potential(per_atom: bool) -> Builder {
    let mut b = Builder::new();
    let (n, m, e) = (b.symbol("n"), b.symbol("b"), b.symbol("e"));
    let three = Dim::Known(3);
    let positions = b.input("positions", DataType::F32, &[n, three]);
    let cell = b.input("cell", DataType::F32, &[m, three, three]);
    let batch = b.input("batch", DataType::I64, &[n]);
    let edge_index = b.input("edge_index", DataType::I64, &[Dim::Known(2), e]);
    let edge_shift = b.input("edge_shift", DataType::F32, &[e, three]);
    let (zero, one) = (b.constant(ndarray::arr0(0i64)), b.constant(ndarray::arr0(1i64)));
    let (centre, neighbour) = (b.gather(edge_index, zero, 0), b.gather(edge_index, one, 0));
    let (from, to) = (b.gather(positions, centre, 0), b.gather(positions, neighbour, 0));
    let crystal = b.gather(batch, centre, 0);
    let cells = b.gather(cell, crystal, 0);
    let shift = b.unsqueeze(edge_shift, &[1]);
    let shift = b.matmul(shift, cells);
    let shift = b.squeeze(shift, &[1]);
    let difference = b.sub(to, from);
    let difference = b.add(difference, shift);
    let last = b.ints(&[-1]);
    let length = b.node("ReduceL2", &[difference, last], Attributes::none().int("keepdims", 0));
    let negative = b.neg(length);
    let decay = b.exp(negative);
    let level = b.reduce_sum(cell, &[1, 2], false);
    let none = b.zeros_like(level);
    let add = || Attributes::none().string("reduction", "add");
    let mut energy = b.node("ScatterElements", &[none, crystal, decay], add());
    if per_atom {
        let ones = b.reduce_sum(positions, &[1], false);
        let ones = b.filled_like(ones, 1.0);
        let count = b.node("ScatterElements", &[none, batch, ones], add());
        energy = b.div(energy, count);
    }
    b.output("energy", energy);
    b
}

/// Two crystals, the first of two atoms and the second of one.
fn crystals() -> Vec<Structure> {
    let first = Lattice([[3.1, 0.2, 0.0], [0.0, 2.9, 0.3], [0.1, 0.0, 3.3]]);
    let second = Lattice([[2.5, 0.0, 0.0], [0.4, 2.6, 0.0], [0.0, 0.3, 2.4]]);
    let element = Element::from_number(14).unwrap();
    vec![
        Structure::new(first, vec![element; 2], vec![[0.1, 0.0, 0.2], [0.55, 0.4, 0.61]]).unwrap(),
        Structure::new(second, vec![element], vec![[0.3, 0.2, 0.1]]).unwrap(),
    ]
}

/// The contract's inputs of a batch.
fn inputs(structures: &[Structure], cutoff: f64, triplet_cutoff: Option<f64>) -> Vec<(&'static str, Tensor)> {
    let (mut numbers, mut positions, mut cells, mut batch) = (vec![], vec![], vec![], vec![]);
    let (mut centres, mut ends, mut shifts, mut reverse) = (vec![], vec![], vec![], vec![]);
    let (mut first, mut second) = (vec![], vec![]);
    for (row, structure) in structures.iter().enumerate() {
        let (atoms, edges) = (numbers.len() as i64, centres.len() as i64);
        let list = neighbours(structure, cutoff, triplet_cutoff, 1_000_000).unwrap();
        numbers.extend(structure.species.iter().map(|e| i64::from(e.number())));
        positions.extend(structure.positions().into_iter().flatten().map(|x| x as f32));
        cells.extend(structure.lattice.0.iter().flatten().map(|x| *x as f32));
        batch.extend(std::iter::repeat_n(row as i64, structure.len()));
        centres.extend(list.centre.iter().map(|i| atoms + i64::from(*i)));
        ends.extend(list.neighbour.iter().map(|i| atoms + i64::from(*i)));
        shifts.extend(list.shift.iter().flatten().map(|s| *s as f32));
        reverse.extend(list.reverse.iter().map(|i| edges + i64::from(*i)));
        first.extend(list.triplets.iter().map(|t| edges + i64::from(t[0])));
        second.extend(list.triplets.iter().map(|t| edges + i64::from(t[1])));
    }
    let pairs = |a: Vec<i64>, b: Vec<i64>| Array2::from_shape_vec((2, a.len()), [a, b].concat()).unwrap();
    vec![
        ("atomic_numbers", arr1(&numbers).into()),
        ("positions", Array2::from_shape_vec((numbers.len(), 3), positions).unwrap().into()),
        ("cell", Array3::from_shape_vec((structures.len(), 3, 3), cells).unwrap().into()),
        ("batch", Array1::from_vec(batch).into()),
        ("edge_shift", Array2::from_shape_vec((centres.len(), 3), shifts).unwrap().into()),
        ("edge_index", pairs(centres, ends).into()),
        ("edge_reverse", Array1::from_vec(reverse).into()),
        ("triplet_index", pairs(first, second).into()),
    ]
}

fn run(session: &mut Session, inputs: &[(&str, Tensor)], outputs: &[&str]) -> Vec<Tensor> {
    let wanted: Vec<String> = session.inputs().iter().map(|i| i.name.clone()).collect();
    let fed: Vec<_> = inputs.iter().filter(|(name, _)| wanted.iter().any(|w| w == name)).collect();
    let fed: Vec<_> = fed.iter().map(|(name, tensor)| (*name, tensor.into())).collect();
    session.run(&fed, outputs).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.as_f32().unwrap().iter().map(|x| f64::from(*x)).collect()
}

/// Energy of one crystal of the pair potential, in double precision: the same sum over the same edges.
fn energy(structure: &Structure, edges: &temper::crystal::Neighbours) -> f64 {
    let positions = structure.positions();
    let length = |e: usize| {
        let shift = structure.lattice.cartesian(edges.shift[e].map(f64::from));
        let (i, j) = (edges.centre[e] as usize, edges.neighbour[e] as usize);
        (0..3).map(|k| (positions[j][k] + shift[k] - positions[i][k]).powi(2)).sum::<f64>().sqrt()
    };
    (0..edges.len()).map(|e| (-length(e)).exp()).sum()
}

#[test]
fn forces_and_stress_of_a_pair_potential_equal_differences() {
    let structures = crystals();
    let given = inputs(&structures, 4.0, None);
    for (per_atom, scale) in [(false, 1.0), (true, 27.211_386)] {
        let model = pair_potential(per_atom).finish("pair", &[]).unwrap();
        let potential = Potential { per_atom, to_electronvolt: scale, ..POTENTIAL };
        let mut session = session(&encode(&add_forces_and_stress(&model, &potential).unwrap())).unwrap();
        let out = run(&mut session, &given, &["forces", "stress"]);
        assert_eq!((out[0].shape(), out[1].shape()), (&[3, 3][..], &[2, 3, 3][..]));
        let (forces, stress) = (numbers(&out[0]), numbers(&out[1]));
        let mut atom = 0;
        for (row, structure) in structures.iter().enumerate() {
            for i in 0..structure.len() {
                let expected = force(structure, i).map(|f| f * scale);
                check_close(&forces[3 * (atom + i)..][..3], &expected);
            }
            atom += structure.len();
            check_close(&stress[9 * row..][..9], &strain_derivative(structure).map(|s| s * scale));
        }
    }
}

/// A file for one crystal at a time has no `batch`, and may have names of its own.
#[test]
fn a_file_for_one_crystal_needs_no_batch() {
    let structure = crystals().remove(0);
    let given = inputs(std::slice::from_ref(&structure), 4.0, None);
    let mut model = pair_potential(false).finish("pair", &[]).unwrap();
    let graph = model.graph.as_mut().unwrap();
    graph.input.retain(|input| input.name() != "batch");
    for node in &mut graph.node {
        // Zero for each edge, whatever `batch` held.
        if node.input.first().is_some_and(|name| name == "batch") {
            let edges = node.input[1].clone();
            node.input = vec![edges.clone(), edges];
            node.op_type = Some("Sub".into());
            node.attribute.clear();
        }
    }
    let potential = Potential { batch: None, added: ["F", "S"], ..POTENTIAL };
    let mut session = session(&encode(&add_forces_and_stress(&model, &potential).unwrap())).unwrap();
    let out = run(&mut session, &given, &["F", "S"]);
    for atom in 0..structure.len() {
        check_close(&numbers(&out[0])[3 * atom..][..3], &force(&structure, atom));
    }
    check_close(&numbers(&out[1]), &strain_derivative(&structure));
}

fn check_close(found: &[f64], expected: &[f64]) {
    for (f, e) in found.iter().zip(expected) {
        assert!((f - e).abs() < 2e-5 * (1.0 + e.abs()) * 10.0, "{found:?}, differences give {expected:?}");
    }
}

fn force(structure: &Structure, atom: usize) -> [f64; 3] {
    let edges = neighbours(structure, 4.0, None, 10_000).unwrap();
    std::array::from_fn(|k| {
        let along = |h: f64| std::array::from_fn(|axis| if axis == k { h } else { 0.0 });
        let moved = |h: f64| energy(&structure.displaced(atom, along(h)), &edges);
        -(moved(1e-4) - moved(-1e-4)) / 2e-4
    })
}

/// `dE/dstrain / V`, symmetric, fractional coordinates held.
fn strain_derivative(structure: &Structure) -> [f64; 9] {
    let edges = neighbours(structure, 4.0, None, 10_000).unwrap();
    std::array::from_fn(|index| {
        let (i, j) = (index / 3, index % 3);
        let strained = |h: f64| energy(&structure.strained([i, j], h), &edges);
        (strained(1e-4) - strained(-1e-4)) / 2e-4 / structure.lattice.volume()
    })
}

#[test]
fn what_is_no_potential_is_refused_with_the_reason() {
    let refused = |b: Builder, potential: &Potential<'_>| {
        add_forces_and_stress(&b.finish("pair", &[]).unwrap(), potential).unwrap_err().to_string()
    };
    let mut other = Builder::new();
    let x = other.input("positions", DataType::F32, &[]);
    let y = other.sin(x);
    other.output("energy", y);
    assert_eq!(refused(other, &POTENTIAL), "forces and stress cannot be added to this model: it has no input `cell`");
    let energy = refused(pair_potential(false), &Potential { energy: "E", ..POTENTIAL });
    assert!(energy.ends_with("it has no output `E`"), "{energy}");
    let done = add_forces_and_stress(&pair_potential(false).finish("pair", &[]).unwrap(), &POTENTIAL).unwrap();
    let again = add_forces_and_stress(&done, &POTENTIAL).unwrap_err().to_string();
    assert!(again.ends_with("it already has a `forces`"), "{again}");
}

#[test]
fn a_file_of_an_old_opset_is_refused_by_its_number() {
    let mut model = pair_potential(false).finish("pair", &[]).unwrap();
    model.opset_import[0].version = Some(6);
    let error = add_forces_and_stress(&model, &POTENTIAL).unwrap_err();
    assert!(matches!(error, GraphError::Opset { found: 6, .. }), "{error}");
}

#[derive(serde::Deserialize)]
struct Golden {
    id: String,
    lattice: [[f64; 3]; 3],
    species: Vec<u8>,
    frac_coords: Vec<[f64; 3]>,
    chgnet: Values,
}

#[derive(serde::Deserialize)]
struct Values {
    energy: f64,
    forces: Vec<[f64; 3]>,
    stress: [[f64; 3]; 3],
}

/// Against PyTorch's own CHGNet, within what float32 allows.
#[test]
fn forces_and_stress_of_chgnet_equal_those_of_pytorch() {
    let Some(folder) = shared() else { return };
    let rows = std::fs::read_to_string(folder.join("golden/mlip.dev.jsonl")).unwrap();
    for file in ["chgnet-0.3.0.onnx", "chgnet-0.3.0-fast.onnx", SHIPPED] {
        let Some(model) = model(file) else { return };
        let derived = add_forces_and_stress(&model, &POTENTIAL).unwrap();
        let mut session = session(&encode(&derived)).unwrap();
        let mut worst = [0.0_f64; 3];
        for row in rows.lines().step_by(5) {
            let golden: Golden = serde_json::from_str(row).unwrap();
            let species = golden.species.iter().map(|z| Element::from_number(*z).unwrap()).collect();
            let structure = Structure::new(Lattice(golden.lattice), species, golden.frac_coords).unwrap();
            let out = run(&mut session, &inputs(&[structure], 6.0, Some(3.0)), &["energy", "forces", "stress"]);
            let atoms = golden.species.len() as f64;
            let largest = golden.chgnet.forces.iter().flatten().fold(0.0_f64, |m, f| m.max(f.abs()));
            let distance = |tensor: &Tensor, expected: &[f64]| {
                numbers(tensor).iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0_f64, f64::max)
            };
            let found = [
                distance(&out[0], &[golden.chgnet.energy]) / atoms,
                distance(&out[1], golden.chgnet.forces.as_flattened()) / (1.0 + largest),
                distance(&out[2], golden.chgnet.stress.as_flattened()),
            ];
            for (k, limit) in [1e-4, 5e-4, 5e-4].into_iter().enumerate() {
                assert!(found[k] <= limit, "{file}, {}: {found:?}", golden.id);
                worst[k] = worst[k].max(found[k]);
            }
        }
        let nodes = derived.graph.as_ref().map_or(0, |g| g.node.len());
        println!("{file}: {nodes} nodes; energy/atom, forces/(1 + largest), stress off by at most {worst:?}");
    }
}

/// The first output by positions and cell, of the property model and of the file that holds derivatives already, too.
#[test]
fn every_reference_file_can_be_differentiated() {
    for file in ["chgnet-0.3.0-efs.onnx", "megnet-bandgap-mfi.onnx"] {
        let Some(model) = model(file) else { return };
        let mut b = Builder::from_model(&model).unwrap();
        let y = b.outputs()[0];
        let wrt = ["positions", "cell"].map(|name| b.find(name).unwrap());
        let grads = b.differentiate(y, &wrt).unwrap();
        b.output("by_positions", grads[0]);
        b.output("by_cell", grads[1]);
        let mut session = session(&encode(&b.finish(file, &[]).unwrap())).unwrap();
        let mut given = inputs(&crystals(), 5.0, Some(3.0));
        given.push(("state", arr1(&[0i64, 1]).into()));
        let slopes = numbers(&run(&mut session, &given, &["by_positions"])[0]);
        let name = first_output(&model);
        for (k, slope) in slopes.iter().enumerate() {
            let mut moved = |h: f32| {
                let mut given = given.clone();
                if let Tensor::F32(positions) = &mut given[1].1 {
                    positions.as_slice_mut().unwrap()[k] += h;
                }
                numbers(&run(&mut session, &given, &[&name])[0]).iter().sum::<f64>()
            };
            let difference = (moved(4e-3) - moved(-4e-3)) / 8e-3;
            assert!((slope - difference).abs() < 2e-2 * (1.0 + difference.abs()), "{file}: {slope}, {difference}");
        }
    }
}

fn first_output(model: &ModelProto) -> String {
    model.graph.as_ref().and_then(|graph| graph.output[0].name.clone()).unwrap()
}

/// Every value of the reference files has the type and shape that is inferred for it.
#[test]
fn what_is_inferred_of_the_reference_files_holds() {
    let reference = ["chgnet-0.3.0.onnx", "chgnet-0.3.0-fast.onnx", "chgnet-0.3.0-efs.onnx", "megnet-bandgap-mfi.onnx"];
    for file in reference.into_iter().chain([SHIPPED]) {
        let Some(mut model) = model(file) else { return };
        let known = Builder::from_model(&model).unwrap();
        let graph = model.graph.as_mut().unwrap();
        let declared: Vec<String> = graph.output.iter().filter_map(|o| o.name.clone()).collect();
        let made: Vec<String> = graph.node.iter().flat_map(|n| n.output.clone()).collect();
        for name in made.into_iter().filter(|name| !declared.contains(name)) {
            graph.output.push(ValueInfoProto { name: Some(name), ..Default::default() });
        }
        let mut session = session(&encode(&model)).unwrap();
        let mut given = inputs(&crystals(), 5.0, Some(3.0));
        given.push(("state", arr1(&[0i64, 1]).into()));
        let names: Vec<String> = session.outputs().iter().map(|o| o.name.clone()).collect();
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut symbols = HashMap::new();
        for (name, tensor) in names.iter().zip(run(&mut session, &given, &asked)) {
            sound(&known, name, &tensor, &mut symbols).unwrap();
        }
        let shaped = names.iter().filter(|name| known.facts(known.find(name).unwrap()).shape.is_some()).count();
        println!("{file}: the shapes of {shaped} of {} values are inferred", names.len());
        assert!(shaped as f64 > 0.9 * names.len() as f64, "{shaped} of {}", names.len());
    }
}
