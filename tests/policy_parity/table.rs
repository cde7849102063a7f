//! The table of models/README.md, held against the graphs in both directions.

use std::collections::BTreeSet;

use temper::graph::DataType;
use temper::graph::onnx::tensor_shape_proto::dimension::Value as Extent;
use temper::graph::onnx::{ModelProto, ValueInfoProto, type_proto};
use temper::policy::{Hyperparameters, decode_graph, logp_graph, loss_gradient_graph, parameter_specs};
use temper::train::{NegativeLogLikelihood, PpoSurrogate};

use crate::evaluate::small;

/// No two sizes that the table names are equal.
fn hyper() -> Hyperparameters {
    Hyperparameters { num_layers: 3, num_heads: 5, ..small(4) }
}

#[test]
fn the_documented_inputs_and_outputs_are_those_of_the_graphs() {
    let rows = rows();
    let graphs = [
        ("decode", decode_graph(&hyper())),
        ("logp", logp_graph(&hyper())),
        ("nll_grad", loss_gradient_graph::<NegativeLogLikelihood>(&hyper())),
        ("ppo_grad", loss_gradient_graph::<PpoSurrogate>(&hyper())),
    ];
    for (name, graph) in graphs {
        let documented: BTreeSet<String> =
            rows.iter().filter(|row| row.is_of(name)).flat_map(TableRow::expand).collect();
        let built = ports(&graph.unwrap());
        let missing: Vec<_> = built.difference(&documented).collect();
        let invented: Vec<_> = documented.difference(&built).collect();
        assert!(
            missing.is_empty() && invented.is_empty(),
            "{name}: not in the table {missing:#?}, only in the table {invented:#?}"
        );
    }
}

/// One row of the table.
struct TableRow {
    graphs: String,
    direction: String,
    name: String,
    data_type: String,
    shape: String,
}

fn rows() -> Vec<TableRow> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../models/README.md")).unwrap();
    let table = text.lines().skip_while(|line| !line.starts_with("| graphs |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<String> = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        let count = cells.len();
        let [graphs, direction, name, data_type, shape, unit, meaning] =
            <[String; 7]>::try_from(cells).unwrap_or_else(|_| panic!("{count} cells: {line}"));
        assert!(!unit.is_empty() && !meaning.is_empty(), "{line}");
        TableRow { graphs, direction, name, data_type, shape }
    });
    rows.collect()
}

impl TableRow {
    fn is_of(&self, graph: &str) -> bool {
        self.graphs.split(", ").any(|name| name == graph)
    }

    /// The inputs or outputs that it stands for, as [`ports`] writes them.
    fn expand(&self) -> Vec<String> {
        let port = |name: String, shape: String| format!("{} {name} {} {shape}", self.direction, self.data_type);
        if self.name.contains("PARAMETER") {
            let written = |shape: &[usize]| written(&shape.iter().map(ToString::to_string).collect::<Vec<_>>());
            let named = |name: &str| self.name.replace("PARAMETER", name);
            return parameter_specs(&hyper()).iter().map(|s| port(named(&s.name), written(&s.shape))).collect();
        }
        let layers = if self.name.contains("LAYER") { hyper().num_layers } else { 1 };
        (0..layers).map(|layer| port(self.name.replace("LAYER", &layer.to_string()), self.extents())).collect()
    }

    /// The shape with sizes for the names of hyper-parameters.
    fn extents(&self) -> String {
        let hyper = hyper();
        let inside = self.shape.strip_prefix('(').and_then(|s| s.strip_suffix(')')).unwrap_or(&self.shape);
        let extents = inside.split(", ").filter(|extent| !extent.is_empty()).map(|extent| match extent {
            "NW" => hyper.wyck_types.to_string(),
            "NA" => hyper.atom_types.to_string(),
            "H" => hyper.num_heads.to_string(),
            "K" => hyper.key_size.to_string(),
            "D" => hyper.model_size.to_string(),
            "O" => hyper.output_size().to_string(),
            "layers" => hyper.num_layers.to_string(),
            extent => extent.to_owned(),
        });
        written(&extents.collect::<Vec<_>>())
    }
}

fn written(extents: &[String]) -> String {
    format!("({})", extents.join(", "))
}

/// Inputs and outputs of a graph, each as direction, name, type and shape.
fn ports(model: &ModelProto) -> BTreeSet<String> {
    let graph = model.graph.as_ref().unwrap();
    let inputs = graph.input.iter().map(|info| format!("in {}", port(info)));
    inputs.chain(graph.output.iter().map(|info| format!("out {}", port(info)))).collect()
}

fn port(info: &ValueInfoProto) -> String {
    let Some(type_proto::Value::TensorType(tensor)) = info.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        panic!("{:?} is no tensor", info.name)
    };
    let extents = tensor.shape.iter().flat_map(|shape| &shape.dim).map(|dim| match &dim.value {
        Some(Extent::DimValue(n)) => n.to_string(),
        Some(Extent::DimParam(name)) => name.clone(),
        None => "?".to_owned(),
    });
    let data_type = tensor.elem_type.and_then(DataType::from_onnx).unwrap();
    format!("{} {data_type} {}", info.name.as_deref().unwrap(), written(&extents.collect::<Vec<_>>()))
}
