//! ONNX files, as far as they are read before ONNX Runtime is given them, and the sidecars beside them.

use temper::graph::{
    EdgeGeometry, Potential, add_forces_and_stress, decode, encode, external_files, for_cuda, for_runtime,
};
use temper::model::Inspection;

use super::{file, repository, said};

/// Decoded, imported with shapes inferred, rewritten for CUDA, derived, and looked at as a model.
pub fn onnx(data: &[u8]) {
    if let Some(model) = said(decode(data)) {
        said(external_files(&model));
        if let Some(Some(ours)) = said(for_runtime(&model)) {
            decode(&encode(&ours))
                .map(drop)
                .or_else(|error| if ours_is_empty(&ours) { Ok(()) } else { Err(error) })
                .unwrap();
        }
        said(for_cuda(&model));
        for potential in POTENTIALS {
            said(add_forces_and_stress(&model, &potential));
        }
    }
    inspected("x.onnx", data);
}

/// A graph whose outputs are its inputs has no nodes.
fn ours_is_empty(model: &temper::graph::onnx::ModelProto) -> bool {
    model.graph.as_ref().is_none_or(|graph| graph.node.is_empty())
}

const POTENTIALS: [Potential<'static>; 2] = [
    Potential {
        positions: "positions",
        cell: "cell",
        batch: Some("batch"),
        edges: None,
        energy: "energy",
        per_atom: false,
        to_electronvolt: 1.0,
        added: ["temper/forces", "temper/stress"],
    },
    Potential {
        positions: "temper/positions",
        cell: "temper/cell",
        batch: None,
        edges: Some(EdgeGeometry {
            centre: "temper/edge_centre",
            neighbour: "temper/edge_neighbour",
            vector: Some(("edge_vector", -1.0)),
            shift: None,
            length: None,
        }),
        energy: "energy",
        per_atom: true,
        to_electronvolt: 27.2,
        added: ["temper/forces", "temper/stress"],
    },
];

/// The sidecar of a small potential.
pub fn sidecar(data: &[u8]) {
    let model = std::fs::read(repository("tests/fuzz/seeds/onnx/pairs.onnx")).unwrap();
    file("pairs.toml", data);
    inspected("pairs.onnx", &model);
}

fn inspected(name: &str, model: &[u8]) {
    let Some(found) = said(Inspection::read(&file(name, model))) else { return };
    found.sidecar_template();
    said(found.contract);
}
