//! What the tests of this module share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;

use crate::crystal::{Element, Lattice, Structure};
use crate::graph::onnx::{
    GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto, TensorShapeProto, TypeProto,
    ValueInfoProto, tensor_shape_proto, type_proto,
};
use crate::graph::{Attributes, Builder, DataType, Dim, encode};
use crate::runtime::{Device, Locator, Runtime};

/// Name, element type as ONNX numbers it, and axes: a number is a fixed length.
pub type Port = (&'static str, i32, Vec<&'static str>);

/// The folder of reference material, if it is there.
pub fn shared() -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    let folder = std::env::var_os("TEMPER_SHARED").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        println!("skipped: no shared data at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// The process's ONNX Runtime.
pub fn runtime() -> Arc<Runtime> {
    Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap()
}

/// A structure of the golden files: `lattice`, `species` as atomic numbers, `frac_coords`.
pub fn structure(row: &serde_json::Value) -> Structure {
    let vectors = |key: &str| -> Vec<[f64; 3]> { serde_json::from_value(row[key].clone()).unwrap() };
    let species: Vec<u8> = serde_json::from_value(row["species"].clone()).unwrap();
    let lattice = Lattice(vectors("lattice").try_into().unwrap());
    let species = species.into_iter().map(|z| Element::from_number(z).unwrap()).collect();
    Structure::new(lattice, species, vectors("frac_coords")).unwrap()
}

/// The rows of a file of JSON lines.
pub fn json_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The bytes of a model that cannot run, but says what it takes and gives.
pub fn model(inputs: &[Port], outputs: &[Port], metadata: &[(&str, &str)]) -> Vec<u8> {
    let node = NodeProto { op_type: Some("Identity".into()), ..NodeProto::default() };
    let graph = GraphProto {
        node: vec![node],
        input: inputs.iter().map(port).collect(),
        output: outputs.iter().map(port).collect(),
        ..GraphProto::default()
    };
    let entry = |(key, value): &(&str, &str)| StringStringEntryProto {
        key: Some(format!("temper.{key}")),
        value: Some((*value).into()),
    };
    let metadata_props = metadata.iter().map(entry).collect();
    let opset_import = vec![OperatorSetIdProto { version: Some(18), ..Default::default() }];
    ModelProto { graph: Some(graph), opset_import, metadata_props, ..ModelProto::default() }.encode_to_vec()
}

fn port((name, element, axes): &Port) -> ValueInfoProto {
    use tensor_shape_proto::dimension::Value;
    let dim = |axis: &&str| {
        let value = axis.parse().map_or_else(|_| Value::DimParam((*axis).into()), Value::DimValue);
        tensor_shape_proto::Dimension { value: Some(value), ..Default::default() }
    };
    let shape = TensorShapeProto { dim: axes.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: Some(*element), shape: Some(shape) };
    let value = Some(type_proto::Value::TensorType(tensor));
    ValueInfoProto {
        name: Some((*name).into()),
        r#type: Some(TypeProto { value, ..Default::default() }),
        ..Default::default()
    }
}

/// `volume` is what it says, `lot` is drawn anew in every run, `root` has no number for cells with a wide first vector.
pub fn volume_lot_and_root(folder: &Path) -> PathBuf {
    let mut b = Builder::new();
    let crystals = b.symbol("b");
    let cell = b.input("cell", DataType::F32, &[crystals, Dim::Known(3), Dim::Known(3)]);
    let volume = b.node("Det", &[cell], Attributes::none());
    let lot = b.node("RandomUniformLike", &[volume], Attributes::none());
    let rest = b.mul_scalar(volume, -1.0);
    let rest = b.add_scalar(rest, 30.0);
    let root = b.node("Sqrt", &[rest], Attributes::none());
    for (name, value) in [("volume", volume), ("lot", lot), ("root", root)] {
        b.output(name, value);
    }
    let metadata = [("temper.contract", "1"), ("temper.elements", "1-94")];
    let path = folder.join("model.onnx");
    let mut model = b.finish("model", &metadata).unwrap();
    let outputs = &mut model.graph.as_mut().unwrap().output;
    // The builder does not know the operator.
    outputs[1].r#type = outputs[0].r#type.clone();
    std::fs::write(&path, encode(&model)).unwrap();
    path
}
