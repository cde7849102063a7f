//! The inputs and outputs of a file in terms of the contract.

use std::collections::HashSet;

use super::ContractError;
use super::metadata::Metadata;
use super::units::{self, Dimension};
use crate::graph::DataType;
use crate::graph::onnx::tensor_proto::DataType as Element;
use crate::graph::onnx::{GraphProto, ValueInfoProto, tensor_shape_proto, type_proto};

/// What the host supplies as an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputKind {
    /// Z, integer `[n]`.
    AtomicNumbers,
    /// Cartesian, angstrom, float `[n, 3]`.
    Positions,
    /// Lattice vectors as rows, angstrom, float `[b, 3, 3]`.
    Cell,
    /// Crystal of each atom, integer `[n]`.
    Batch,
    /// Centre and neighbour of each edge, integer `[2, e]`.
    EdgeIndex,
    /// Cell offsets of the neighbour, float `[e, 3]`.
    EdgeShift,
    /// The opposite edge, integer `[e]`.
    EdgeReverse,
    /// Ordered pairs of edges with one centre, integer `[2, t]`.
    TripletIndex,
    /// Fidelity or head, integer `[b]`.
    State,
    /// A constant from the sidecar, for each crystal or as a scalar.
    Constant(f64),
}

/// An input of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelInput {
    /// Its name in the file.
    pub name: String,
    /// What the host supplies.
    pub kind: InputKind,
    /// The element type that the file declares.
    pub data_type: DataType,
    /// Number of axes.
    pub rank: usize,
    /// What angstroms are multiplied with to be in the file's unit; 1 where it is no length.
    pub factor: f64,
}

/// How an output becomes numbers of a crystal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Total energy `[b]`.
    Energy,
    /// Energy per atom `[b]`.
    EnergyPerAtom,
    /// Forces `[n, 3]`.
    Forces,
    /// Stress `[b, 3, 3]`.
    Stress,
    /// Magnetic moments `[n]`.
    Magmoms,
    /// A scalar property `[b]`.
    Property,
    /// The mean eigenvalue of a symmetric tensor xx, yy, zz, yz, xz, xy `[b, 6]`: a third of its trace.
    MeanEigenvalue,
}

/// An output of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOutput {
    /// Its name in the file.
    pub name: String,
    /// Its name in the contract: `energy`, `band_gap`, ...
    pub quantity: String,
    /// How it is read.
    pub kind: OutputKind,
    /// What its numbers are multiplied with to be in eV, eV/A, eV/A^3 or muB.
    pub factor: f64,
}

/// An axis of an input: what its length counts.
#[derive(Clone, Copy, PartialEq)]
enum Axis {
    Atoms,
    Crystals,
    Edges,
    Triplets,
    Fixed(i64),
}

use Axis::{Atoms, Crystals, Edges, Fixed, Triplets};

const INPUTS: [(&str, InputKind, &[Axis]); 9] = [
    ("atomic_numbers", InputKind::AtomicNumbers, &[Atoms]),
    ("positions", InputKind::Positions, &[Atoms, Fixed(3)]),
    ("cell", InputKind::Cell, &[Crystals, Fixed(3), Fixed(3)]),
    ("batch", InputKind::Batch, &[Atoms]),
    ("edge_index", InputKind::EdgeIndex, &[Fixed(2), Edges]),
    ("edge_shift", InputKind::EdgeShift, &[Edges, Fixed(3)]),
    ("edge_reverse", InputKind::EdgeReverse, &[Edges]),
    ("triplet_index", InputKind::TripletIndex, &[Fixed(2), Triplets]),
    ("state", InputKind::State, &[Crystals]),
];

impl InputKind {
    fn is_length(self) -> bool {
        matches!(self, Self::Positions | Self::Cell)
    }

    fn is_float(self) -> bool {
        matches!(self, Self::Positions | Self::Cell | Self::EdgeShift)
    }

    /// Whether the host needs neighbour lists for it.
    pub fn needs_edges(self) -> bool {
        matches!(self, Self::EdgeIndex | Self::EdgeShift | Self::EdgeReverse | Self::TripletIndex)
    }
}

/// Length of each axis, `None` where it is free; `None` in all if the file states no shape.
type Shape = Option<Vec<Option<i64>>>;

fn type_and_shape(port: &ValueInfoProto) -> Option<(i32, Shape)> {
    let Some(type_proto::Value::TensorType(tensor)) = port.r#type.as_ref()?.value.as_ref() else { return None };
    let length = |dim: &tensor_shape_proto::Dimension| match dim.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(length)) => Some(length),
        _ => None,
    };
    let shape = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(length).collect());
    Some((tensor.elem_type(), shape))
}

/// The inputs that must be fed, and whether the file was exported for one crystal at a time.
pub(super) fn inputs(graph: &GraphProto, metadata: &Metadata) -> Result<(Vec<ModelInput>, bool), ContractError> {
    let ports = runtime_inputs(graph);
    for name in metadata.inputs.keys() {
        if !ports.iter().any(|port| port.name() == name) {
            return Err(no_such_port("inputs", name, &ports, metadata));
        }
    }
    for name in metadata.constants.keys() {
        if !ports.iter().any(|port| port.name() == name || contract_name(port, metadata) == name) {
            return Err(no_such_port("constants", name, &ports, metadata));
        }
    }
    let mut one_at_a_time = false;
    let inputs = ports.iter().map(|port| input(port, metadata, &mut one_at_a_time)).collect::<Result<_, _>>()?;
    Ok((inputs, one_at_a_time))
}

/// The inputs that must be fed. Files of old opsets list their weights among the inputs.
pub(super) fn runtime_inputs(graph: &GraphProto) -> Vec<&ValueInfoProto> {
    let weights: HashSet<&str> = graph.initializer.iter().map(|weight| weight.name()).collect();
    graph.input.iter().filter(|port| !weights.contains(port.name())).collect()
}

/// Whether an output has six floats for each crystal.
pub(super) fn has_six_numbers(port: &ValueInfoProto) -> bool {
    let floats = [Element::Float as i32, Element::Double as i32];
    matches!(type_and_shape(port), Some((element, Some(shape))) if floats.contains(&element) && matches!(shape[..], [_, Some(6)]))
}

/// "float32 `[n, 3]`": a port as the file declares it.
pub(super) fn description(port: &ValueInfoProto) -> String {
    let Some(type_proto::Value::TensorType(tensor)) = port.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return "not a tensor".into();
    };
    let element = DataType::from_onnx(tensor.elem_type()).map(|known| known.to_string()).unwrap_or_else(|| {
        Element::try_from(tensor.elem_type())
            .map_or("of unknown type".into(), |other| other.as_str_name().to_lowercase())
    });
    let extent = |dim: &tensor_shape_proto::Dimension| match &dim.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(length)) => length.to_string(),
        Some(tensor_shape_proto::dimension::Value::DimParam(name)) if !name.is_empty() => name.clone(),
        _ => "?".into(),
    };
    match &tensor.shape {
        Some(shape) => format!("{element} [{}]", shape.dim.iter().map(extent).collect::<Vec<_>>().join(", ")),
        None => format!("{element} of any shape"),
    }
}

fn contract_name<'a>(port: &'a ValueInfoProto, metadata: &'a Metadata) -> &'a str {
    metadata.inputs.get(port.name()).map_or(port.name(), String::as_str)
}

fn input(port: &ValueInfoProto, metadata: &Metadata, one_at_a_time: &mut bool) -> Result<ModelInput, ContractError> {
    let name = port.name().to_owned();
    let refused =
        |problem: String| ContractError::Input { sidecar: metadata.sidecar.clone(), name: name.clone(), problem };
    let Some((element, shape)) = type_and_shape(port) else {
        return Err(refused("is not a tensor".into()));
    };
    let known_as = contract_name(port, metadata);
    let pinned = metadata.constants.get(&name).or_else(|| metadata.constants.get(known_as));
    let (kind, axes) = match (pinned, INPUTS.iter().find(|(known, ..)| *known == known_as)) {
        (Some(value), _) => (InputKind::Constant(*value), &[Crystals][..]),
        (None, Some((_, kind, axes))) => (*kind, *axes),
        (None, None) => return Err(ContractError::UnknownInput { sidecar: metadata.sidecar.clone(), name }),
    };
    let scalar = matches!(kind, InputKind::Constant(_)) && shape.as_ref().is_some_and(Vec::is_empty);
    let axes = if scalar { &[] } else { axes };
    if let Some(shape) = &shape {
        *one_at_a_time |= check_shape(shape, axes).map_err(refused)?;
    }
    let data_type = data_type(element, kind).map_err(refused)?;
    let factor = if kind.is_length() { 1.0 / angstroms(metadata)? } else { 1.0 };
    Ok(ModelInput { name, kind, data_type, rank: axes.len(), factor })
}

/// The file's unit of positions and cell, in angstrom. Either key states that of both.
fn angstroms(metadata: &Metadata) -> Result<f64, ContractError> {
    let expected = units::names(Some(Dimension::Length));
    let unit = |key| metadata.parsed(key, &expected, |unit| units::factor(unit, Some(Dimension::Length)));
    match (unit("unit.positions")?, unit("unit.cell")?) {
        (Some(positions), Some(cell)) if positions != cell => {
            Err(metadata.refuse("unit.cell", "the unit of the positions"))
        }
        (positions, cell) => Ok(positions.or(cell).unwrap_or(1.0)),
    }
}

/// The names of the contract's inputs.
pub(super) fn input_names() -> [&'static str; 9] {
    INPUTS.map(|(name, ..)| name)
}

/// The inputs of the contract that a port of this type and shape could be.
pub(super) fn candidates(port: &ValueInfoProto) -> Vec<&'static str> {
    let Some((element, shape)) = type_and_shape(port) else { return Vec::new() };
    let fits = |(_, kind, axes): &&(&str, InputKind, &[Axis])| {
        shape.as_ref().is_none_or(|shape| check_shape(shape, axes).is_ok()) && data_type(element, *kind).is_ok()
    };
    INPUTS.iter().filter(fits).map(|(name, ..)| *name).collect()
}

/// Whether the shape is fixed to one crystal; an error if it fits no batch.
fn check_shape(shape: &[Option<i64>], axes: &[Axis]) -> Result<bool, String> {
    if shape.len() != axes.len() {
        return Err(format!("has {} axes instead of {}", shape.len(), axes.len()));
    }
    let mut one_at_a_time = false;
    for (place, (length, axis)) in shape.iter().zip(axes).enumerate() {
        let what = match axis {
            Fixed(wanted) if length.is_none_or(|length| length == *wanted) => continue,
            Fixed(wanted) => {
                return Err(format!("has length {} on axis {place} instead of {wanted}", length.unwrap_or(0)));
            }
            Crystals if *length == Some(1) => {
                one_at_a_time = true;
                continue;
            }
            Crystals => "crystals",
            Atoms => "atoms",
            Edges => "edges",
            Triplets => "triplets",
        };
        if let Some(length) = length {
            return Err(format!("was exported for {length} {what} only; export it with a free axis {place}"));
        }
    }
    Ok(one_at_a_time)
}

fn data_type(element: i32, kind: InputKind) -> Result<DataType, String> {
    let found = match Element::try_from(element) {
        Ok(Element::Float) => DataType::F32,
        Ok(Element::Double) => DataType::F64,
        Ok(Element::Int64) => DataType::I64,
        Ok(Element::Int32) => DataType::I32,
        Ok(other) => {
            return Err(format!(
                "has the element type {}, which Temper does not supply",
                other.as_str_name().to_lowercase()
            ));
        }
        Err(_) => return Err(format!("has the unknown element type {element}")),
    };
    let float = matches!(found, DataType::F32 | DataType::F64);
    match kind {
        InputKind::Constant(_) => Ok(found),
        _ if float == kind.is_float() => Ok(found),
        _ => Err(format!("has the element type {found} instead of {}", if float { "int64" } else { "float32" })),
    }
}

/// The outputs that the contract understands (the others become warnings), and whether they are those of one crystal.
pub(super) fn outputs(graph: &GraphProto, metadata: &mut Metadata) -> Result<(Vec<ModelOutput>, bool), ContractError> {
    let ports: Vec<&ValueInfoProto> = graph.output.iter().collect();
    if let Some(name) = metadata.outputs.keys().find(|name| !ports.iter().any(|port| port.name() == *name)) {
        return Err(no_such_port("outputs", name, &ports, metadata));
    }
    let mut outputs: Vec<ModelOutput> = Vec::new();
    let mut one_at_a_time = false;
    for port in &ports {
        match output(port, metadata)? {
            Ok((output, _)) if outputs.iter().any(|o| o.quantity == output.quantity) => {
                let problem = format!("is a second output called `{}`", output.quantity);
                return Err(ContractError::Output { sidecar: metadata.sidecar.clone(), name: output.name, problem });
            }
            Ok((output, single)) => {
                one_at_a_time |= single;
                outputs.push(output);
            }
            Err(reason) => metadata.warnings.push(format!("output `{}` is ignored: {reason}", port.name())),
        }
    }
    let unknown = metadata.named_outputs().find(|(name, ..)| !outputs.iter().any(|o| o.quantity == *name));
    if let Some((_, key, path)) = unknown {
        return Err(ContractError::UnknownKey { path: path.into(), key: key.into(), nearest: None });
    }
    Ok((outputs, one_at_a_time))
}

/// An output, and whether it is that of one crystal. The outer error refuses the file, the inner one passes over this output.
fn output(port: &ValueInfoProto, metadata: &Metadata) -> Result<Result<(ModelOutput, bool), String>, ContractError> {
    let name = port.name().to_owned();
    let quantity = metadata.outputs.get(&name).cloned().unwrap_or_else(|| name.clone());
    let Some((element, shape)) = type_and_shape(port) else { return Ok(Err("it is not a tensor".into())) };
    if !matches!(Element::try_from(element), Ok(Element::Float | Element::Double)) {
        return Ok(Err("its numbers are not floats".into()));
    }
    let reduce = metadata.parsed(&format!("reduce.{quantity}"), "voigt_mean_eigenvalue", |text| {
        (text == "voigt_mean_eigenvalue").then_some(OutputKind::MeanEigenvalue)
    })?;
    let per_atom = metadata.parsed("energy_per_atom", "true or false", |text| text.parse().ok())?.unwrap_or(false);
    let (kind, dimension) = match (quantity.as_str(), reduce) {
        (_, Some(kind)) => (kind, None),
        ("energy", _) if per_atom => (OutputKind::EnergyPerAtom, Some(Dimension::Energy)),
        ("energy", _) => (OutputKind::Energy, Some(Dimension::Energy)),
        ("forces", _) => (OutputKind::Forces, Some(Dimension::Force)),
        ("stress", _) => (OutputKind::Stress, Some(Dimension::Pressure)),
        ("magmoms", _) => (OutputKind::Magmoms, Some(Dimension::Moment)),
        _ => (OutputKind::Property, None),
    };
    let single = match shape.map_or(Ok(false), |shape| check_output(&shape, kind, &quantity)) {
        Ok(single) => single,
        Err(reason) => return Ok(Err(reason)),
    };
    let expected = units::names(dimension);
    let factor = metadata.parsed(&format!("unit.{quantity}"), &expected, |unit| units::factor(unit, dimension))?;
    Ok(Ok((ModelOutput { name, quantity, kind, factor: factor.unwrap_or(1.0) }, single)))
}

/// Whether an output's shape is fixed to one crystal; an error if it is not that of its kind.
fn check_output(shape: &[Option<i64>], kind: OutputKind, quantity: &str) -> Result<bool, String> {
    use OutputKind::{Energy, EnergyPerAtom, Forces, Magmoms, MeanEigenvalue, Property, Stress};
    let axes: &[Axis] = match kind {
        Energy | EnergyPerAtom | Property => &[Crystals],
        MeanEigenvalue => &[Crystals, Fixed(6)],
        Forces => &[Atoms, Fixed(3)],
        Stress => &[Crystals, Fixed(3), Fixed(3)],
        Magmoms => &[Atoms],
    };
    match (axes, shape) {
        // A scalar is the number of one crystal.
        ([Crystals], []) => Ok(true),
        ([_], [_, Some(1)]) => check_shape(&shape[..1], axes),
        ([Crystals], [_, Some(6)]) if kind == Property => {
            Err(format!("it has six numbers per crystal and no `reduce.{quantity}` says how to make one of them"))
        }
        ([Crystals], [_, _, ..]) => Err(format!("it has {} axes, and is not one number per crystal", shape.len())),
        _ => check_shape(shape, axes).map_err(|reason| format!("it {reason}")),
    }
}

fn no_such_port(table: &'static str, name: &str, ports: &[&ValueInfoProto], metadata: &Metadata) -> ContractError {
    let known = ports.iter().map(|port| port.name().to_owned()).collect();
    ContractError::NoSuchPort { path: metadata.sidecar.clone(), table, name: name.into(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of inputs in the book, against the inputs that are supplied: names, element types and shapes.
    #[test]
    fn the_book_has_the_inputs_of_the_contract() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/models.md")).unwrap();
        let (_, section) = text.split_once("\n## Inputs\n").unwrap();
        let rows = section.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with('|'));
        let cells = |row: &str| row.split('|').skip(1).take(3).map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
        let written: Vec<Vec<String>> = rows.map(cells).collect();
        let extent = |axis: &Axis| match axis {
            Atoms => "n".to_owned(),
            Crystals => "b".to_owned(),
            Edges => "e".to_owned(),
            Triplets => "t".to_owned(),
            Fixed(length) => length.to_string(),
        };
        let supplied = INPUTS.map(|(name, kind, axes)| {
            let shape: Vec<String> = axes.iter().map(extent).collect();
            let dtype = if kind.is_float() { "float32" } else { "int64" };
            vec![format!("`{name}`"), dtype.to_owned(), shape.join(", ")]
        });
        assert_eq!(written, supplied);
    }
}
