//! Files: bytes in, the same bytes out, and nothing that a hostile one can do.

use proptest::prelude::*;
use temper::graph::onnx::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use temper::graph::{Attributes, Builder, DataType, Dim, decode, encode};

use crate::potential::shared;

#[test]
fn reference_files_are_encoded_to_their_own_bytes() {
    let Some(folder) = shared() else { return };
    let files = std::fs::read_dir(folder.join("models")).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|e| e == "onnx")) {
        let bytes = std::fs::read(&path).unwrap();
        let model = decode(&bytes).unwrap();
        assert!(encode(&model) == bytes, "{}", path.display());
        let graph = Builder::from_model(&model).unwrap();
        assert_eq!(graph.outputs().len(), model.graph.unwrap().output.len());
    }
}

#[test]
fn what_a_file_carries_besides_its_graph_is_kept() {
    let mut model = small();
    let domain = OperatorSetIdProto { domain: Some("com.microsoft".into()), version: Some(1) };
    let entry = |key: &str, value: &str| StringStringEntryProto { key: Some(key.into()), value: Some(value.into()) };
    model.opset_import.push(domain.clone());
    model.metadata_props = vec![entry("name", "old"), entry("cutoff", "6.0")];
    let again = Builder::from_model(&model).unwrap().finish("again", &[("name", "new")]).unwrap();
    assert_eq!(again.opset_import[1], domain);
    assert_eq!(again.metadata_props, [entry("cutoff", "6.0"), entry("name", "new")]);
    let inputs = |model: &ModelProto| model.graph.clone().unwrap().input;
    assert_eq!(inputs(&again), inputs(&model));
}

/// Shapes that are computed, as exporters write them, and a few operators that read lists of numbers.
fn small() -> ModelProto {
    let mut b = Builder::new();
    let n = b.symbol("n");
    let x = b.input("x", DataType::F32, &[n, Dim::Known(3)]);
    let shape = b.shape_of(x);
    let rows = b.slice(shape, 0, 0, 1);
    let (three, axes, once) = (b.ints(&[3]), b.ints(&[1]), b.ints(&[1, 1]));
    let target = b.concat(&[rows, three], 0);
    let wide = b.expand_to(x, target);
    let parts = b.split(wide, 1, &[1, 2]);
    let pads = b.ints(&[0, 1, 0, 0]);
    let padded = b.node("Pad", &[parts[1], pads], Attributes::none());
    let tiled = b.node("Tile", &[padded, once], Attributes::none());
    let turned = b.transpose(tiled, &[1, 0]);
    let product = b.node("Gemm", &[turned, x], Attributes::none().int("transA", 1).int("transB", 1));
    let total = b.node("ReduceL2", &[product, axes], Attributes::none());
    let flat = b.reshape(total, &[-1]);
    let sum = b.node("Einsum", &[flat, flat], Attributes::none().string("equation", "i,i->"));
    b.output("y", sum);
    b.finish("small", &[]).unwrap()
}

/// Reads the bytes as a model, and differentiates what it gets. Nothing may panic; what comes out does not matter.
fn digest(bytes: &[u8]) {
    let Ok(model) = decode(bytes) else { return };
    let Ok(mut b) = Builder::from_model(&model) else { return };
    if let (Some(y), inputs) = (b.outputs().first().copied(), b.inputs().to_vec()) {
        drop(b.differentiate(y, &inputs));
    }
    drop(b.finish("mutated", &[]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_bytes_are_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>(), truncate in prop::bool::weighted(0.2)) {
        let mut bytes = encode(&small());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if truncate {
            bytes.truncate(cut.index(bytes.len()));
        }
        digest(&bytes);
    }

    #[test]
    fn absurd_numbers_are_no_harm(which in any::<prop::sample::Index>(), number in prop_oneof![any::<i64>(), Just(i64::MAX), Just(i64::MIN), Just(-1), Just(0), Just(1 << 40)], at in any::<prop::sample::Index>()) {
        let mut model = small();
        let graph = model.graph.as_mut().unwrap();
        let mut places: Vec<&mut i64> = Vec::new();
        for node in &mut graph.node {
            for attribute in &mut node.attribute {
                places.extend(attribute.i.as_mut());
                places.extend(attribute.ints.iter_mut());
            }
        }
        let lists = graph.initializer.iter_mut().filter_map(|t| t.raw_data.as_mut());
        if at.index(2) == 0 {
            let place = which.index(places.len());
            *places[place] = number;
        } else {
            let mut numbers: Vec<&mut [u8]> = lists.flat_map(|raw| raw.chunks_exact_mut(8)).collect();
            let place = which.index(numbers.len());
            numbers[place].copy_from_slice(&number.to_le_bytes());
        }
        digest(&encode(&model));
    }

    #[test]
    fn absurd_extents_are_no_harm(number in any::<i64>(), axis in 0usize..2) {
        let mut model = small();
        let input = &mut model.graph.as_mut().unwrap().input[0];
        let kind = input.r#type.as_mut().unwrap().value.as_mut().unwrap();
        if let temper::graph::onnx::type_proto::Value::TensorType(tensor) = kind {
            let dim = &mut tensor.shape.as_mut().unwrap().dim[axis];
            dim.value = Some(temper::graph::onnx::tensor_shape_proto::dimension::Value::DimValue(number));
        }
        digest(&encode(&model));
    }
}

/// Each node doubles what is known of its input; a careless reader would need 2^60 numbers.
#[test]
fn doubling_lists_and_ranks_stay_small() {
    let mut b = Builder::new();
    let x = b.input("x", DataType::I64, &[Dim::Known(2)]);
    let mut list = b.shape_of(x);
    for _ in 0..60 {
        list = b.concat(&[list, list], 0);
    }
    b.output("list", list);
    assert!(b.finish("list", &[]).is_ok());
    let mut b = Builder::new();
    let mut x = b.input("x", DataType::I64, &[Dim::Known(2), Dim::Known(2)]);
    for _ in 0..60 {
        x = b.gather(x, x, 0);
    }
    b.output("x2", x);
    assert!(b.finish("rank", &[]).unwrap_err().to_string().contains("an output of rank"));
}
