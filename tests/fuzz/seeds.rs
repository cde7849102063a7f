//! Writes the seeds of fuzzing that are not text: `cargo run --example fuzz_seeds`.
#![allow(clippy::unwrap_used, reason = "run by hand")]

#[path = "../model_inputs/field.rs"]
#[allow(dead_code, reason = "what tests need of it")]
mod field;
#[path = "src/lib.rs"]
#[allow(dead_code, unused_imports, reason = "only the shape of a policy is needed")]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use field::{Edges, Field, Species};
use temper::crystal::{SYMPREC, Structure, encode_tokens, read_structures, tokenise};
use temper::graph::encode;
use temper::graph::onnx::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TypeProto, ValueInfoProto, attribute_proto, tensor_proto, tensor_shape_proto, type_proto,
};
use temper::hull::{HullHeader, build_file};
use temper::matching::{StructureIndexBuilder, StructureMatcher};
use temper::policy::Parameters;

fn main() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/seeds");
    onnx(&seeds.join("onnx"));
    hull(&seeds);
    let salt = structure(&seeds.join("json_lines/rock-salt.jsonl"));
    let tokens = vec![("salt".to_owned(), tokenise(&salt, SYMPREC).unwrap())];
    fs::write(seeds.join("tokens/salt.safetensors"), encode_tokens(Path::new("x"), &tokens, 3).unwrap()).unwrap();
    let parameters = Parameters::initialise(&targets::smallest(), 1).to_safetensors().unwrap();
    fs::write(seeds.join("safetensors/smallest.safetensors"), parameters).unwrap();
    let matcher = StructureMatcher::default();
    let mut index = StructureIndexBuilder::create(&seeds.join("structure_index/salt.index"), &matcher).unwrap();
    index.add("salt", &matcher.reduce(&salt).unwrap()).unwrap();
    index.finish().unwrap();
}

fn structure(file: &Path) -> Structure {
    read_structures(file).unwrap().next().unwrap().unwrap().structure.unwrap()
}

/// What stands behind the checksum.
fn hull(seeds: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.hull");
    let entries: [PathBuf; 1] = [seeds.join("entries/table.csv")];
    let salt = structure(&seeds.join("json_lines/rock-salt.jsonl"));
    let header = HullHeader {
        energy_reference: Some("PBE".to_owned()),
        source: "fuzz".to_owned(),
        reference_crystals: vec![temper::hull::ReferenceCrystal { structure: salt, energy_per_atom: -3.4 }],
    };
    build_file(&entries, header, &path, &|_, _| {}).unwrap();
    let bytes = fs::read(&path).unwrap();
    let body = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    fs::write(seeds.join("hull/salt"), &bytes[body..]).unwrap();
}

const METADATA: [(&str, &str); 3] = [("contract", "1"), ("cutoff", "5.0"), ("elements", "17,12,16,14,13,11")];

fn onnx(folder: &Path) {
    Field::default().write(&folder.join("pairs.onnx"), &METADATA);
    let vectors = Field { edges: Edges::Vector, species: Species::OneHot, separate: true, ..Field::default() };
    vectors.write(&folder.join("vectors.onnx"), &METADATA);
    let single = Field { single: true, species: Species::Index, ..Field::default() };
    single.write(&folder.join("single.onnx"), &[]);
    fs::write(folder.join("branches.onnx"), encode(&branches())).unwrap();
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn node(op: &str, domain: &str, inputs: &[&str], outputs: &[&str], attribute: Vec<AttributeProto>) -> NodeProto {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    NodeProto {
        op_type: text(op),
        domain: text(domain),
        input: names(inputs),
        output: names(outputs),
        attribute,
        ..NodeProto::default()
    }
}

fn port(name: &str, elem_type: tensor_proto::DataType, extents: &[&str]) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dim = |extent: &&str| {
        let value = extent.parse().map_or(dimension::Value::DimParam((*extent).to_owned()), dimension::Value::DimValue);
        Dimension { value: Some(value), ..Dimension::default() }
    };
    let shape = TensorShapeProto { dim: extents.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(elem_type as i32), shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..TypeProto::default() };
    ValueInfoProto { name: text(name), r#type: Some(r#type), ..ValueInfoProto::default() }
}

fn graph_attribute(name: &str, graph: GraphProto) -> AttributeProto {
    let r#type = Some(attribute_proto::AttributeType::Graph as i32);
    AttributeProto { name: text(name), g: Some(graph), r#type, ..AttributeProto::default() }
}

fn ints(name: &str, ints: &[i64]) -> AttributeProto {
    let r#type = Some(attribute_proto::AttributeType::Ints as i32);
    AttributeProto { name: text(name), ints: ints.to_vec(), r#type, ..AttributeProto::default() }
}

/// An old opset, a function, a branch, a loop over a sequence, and a constant with its data outside.
fn branches() -> ModelProto {
    use tensor_proto::DataType::{Bool, Float, Int64};
    let branch = |op: &str| GraphProto {
        name: text(op),
        node: vec![node(op, "", &["positions"], &["result"], Vec::new())],
        output: vec![port("result", Float, &["n", "3"])],
        ..GraphProto::default()
    };
    let double = FunctionProto {
        name: text("Double"),
        domain: text("ours"),
        input: vec!["x".to_owned()],
        output: vec!["y".to_owned()],
        node: vec![node("Add", "", &["x", "x"], &["y"], Vec::new())],
        opset_import: vec![OperatorSetIdProto { domain: text(""), version: Some(11) }],
        ..FunctionProto::default()
    };
    let step = GraphProto {
        name: text("step"),
        node: vec![
            node("Identity", "", &["go"], &["on"], Vec::new()),
            node("Mul", "", &["total", "total"], &["square"], Vec::new()),
        ],
        input: vec![port("i", Int64, &[]), port("go", Bool, &[]), port("total", Float, &["b"])],
        output: vec![port("on", Bool, &[]), port("square", Float, &["b"])],
        ..GraphProto::default()
    };
    let tensor = |name: &str, data_type: tensor_proto::DataType, dims: &[i64]| TensorProto {
        name: text(name),
        data_type: Some(data_type as i32),
        dims: dims.to_vec(),
        ..TensorProto::default()
    };
    let nodes = vec![
        node("Shape", "", &["positions"], &["shape"], Vec::new()),
        node("ReduceMin", "", &["shape"], &["least"], vec![ints("axes", &[0])]),
        node("Cast", "", &["least"], &["some"], vec![AttributeProto { i: Some(9), ..ints("to", &[]) }]),
        node(
            "If",
            "",
            &["some"],
            &["chosen"],
            vec![graph_attribute("then_branch", branch("Relu")), graph_attribute("else_branch", branch("Neg"))],
        ),
        node("Double", "ours", &["chosen"], &["double"], Vec::new()),
        node("Split", "", &["double"], &["a", "b", "c"], vec![ints("split", &[1, 1, 1])]),
        node("SequenceConstruct", "", &["a", "b"], &["list"], Vec::new()),
        node(
            "ConcatFromSequence",
            "",
            &["list"],
            &["joined"],
            vec![AttributeProto { i: Some(1), ..ints("axis", &[]) }],
        ),
        node("ConstantOfShape", "", &["shape"], &["zeros"], Vec::new()),
        node("MatMul", "", &["joined", "weights"], &["hidden"], Vec::new()),
        node("ReduceSum", "", &["hidden"], &["sum"], vec![ints("axes", &[1]), ints("keepdims", &[])]),
        node("Loop", "", &["trips", "", "sum"], &["energy"], vec![graph_attribute("body", step)]),
    ];
    let graph = GraphProto {
        name: text("branches"),
        node: nodes,
        input: vec![port("positions", Float, &["n", "3"])],
        output: vec![port("energy", Float, &["b"])],
        initializer: vec![
            TensorProto { float_data: vec![0.5; 8], ..tensor("weights", Float, &[2, 4]) },
            TensorProto { raw_data: Some(3i64.to_le_bytes().to_vec()), ..tensor("trips", Int64, &[1]) },
        ],
        ..GraphProto::default()
    };
    ModelProto {
        ir_version: Some(7),
        opset_import: vec![
            OperatorSetIdProto { domain: text(""), version: Some(11) },
            OperatorSetIdProto { domain: text("ours"), version: Some(1) },
        ],
        functions: vec![double],
        graph: Some(graph),
        ..ModelProto::default()
    }
}
