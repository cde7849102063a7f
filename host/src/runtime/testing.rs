//! Small models and the shared runtime for this module's tests.
#![allow(missing_docs)]

use std::sync::Arc;

use prost::Message;

use super::{Device, Locator, Runtime};
use crate::graph::onnx;

pub fn runtime() -> Arc<Runtime> {
    Runtime::open(&Locator::from_env(&|line| println!("{line}")), Device::Cpu).unwrap()
}

/// A tensor value of the element type with this ONNX code; named axes are symbols, numbers are lengths.
pub fn value(name: &str, element: i32, dims: &[&str]) -> onnx::ValueInfoProto {
    use onnx::tensor_shape_proto::{Dimension, dimension};
    let dim = |text: &&str| {
        let value = match text.parse() {
            Ok(length) => dimension::Value::DimValue(length),
            Err(_) => dimension::Value::DimParam((*text).to_owned()),
        };
        Dimension { value: Some(value), ..Default::default() }
    };
    let tensor = onnx::type_proto::Tensor {
        elem_type: Some(element),
        shape: Some(onnx::TensorShapeProto { dim: dims.iter().map(dim).collect() }),
    };
    onnx::ValueInfoProto {
        name: Some(name.into()),
        r#type: Some(onnx::TypeProto {
            value: Some(onnx::type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

pub fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> onnx::NodeProto {
    onnx::NodeProto {
        op_type: Some(op.into()),
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: outputs.iter().map(|&name| name.into()).collect(),
        ..Default::default()
    }
}

pub fn model(
    nodes: Vec<onnx::NodeProto>,
    inputs: Vec<onnx::ValueInfoProto>,
    outputs: Vec<onnx::ValueInfoProto>,
) -> Vec<u8> {
    let graph = onnx::GraphProto {
        name: Some("test".into()),
        node: nodes,
        input: inputs,
        output: outputs,
        ..Default::default()
    };
    let opset = onnx::OperatorSetIdProto { version: Some(21), ..Default::default() };
    onnx::ModelProto { ir_version: Some(10), opset_import: vec![opset], graph: Some(graph), ..Default::default() }
        .encode_to_vec()
}
