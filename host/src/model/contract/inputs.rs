//! The inputs of a file in terms of the contract.

use std::collections::BTreeMap;

use super::ContractError;
use super::aliases;
use super::metadata::Metadata;
use super::ports::{Axis, fit, no_such_port, runtime_inputs, symbols, type_and_shape};
use super::units::{self, Dimension};
use crate::graph::DataType;
use crate::graph::onnx::tensor_proto::DataType as Element;
use crate::graph::onnx::{GraphProto, ValueInfoProto};

use Axis::{Atoms, Crystals, CrystalsAndOne, Edges, Fixed, Species, Triplets};

/// What the host supplies as an input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InputKind {
    /// Z, integer `[n]`.
    AtomicNumbers,
    /// Place of the element in the list of elements, integer `[n]`.
    SpeciesIndex,
    /// 1 in the column of the element, float `[n, s]`.
    SpeciesOneHot,
    /// Cartesian, angstrom, float `[n, 3]`.
    Positions,
    /// Lattice vectors as rows, angstrom, float `[b, 3, 3]`.
    Cell,
    /// Whether the crystal repeats along each vector, which all do, bool `[b, 3]`.
    Pbc,
    /// Crystal of each atom, integer `[n]`.
    Batch,
    /// Atoms of each crystal, integer `[b]`.
    AtomCounts,
    /// First atom of each crystal, and the number of all atoms, integer `[b + 1]`.
    FirstAtoms,
    /// Edges of each crystal, integer `[b]`.
    EdgeCounts,
    /// Centre and neighbour of each edge, integer `[2, e]`.
    EdgeIndex,
    /// Centre of each edge, integer `[e]`.
    EdgeCentre,
    /// Neighbour of each edge, integer `[e]`.
    EdgeNeighbour,
    /// Cell offsets of the neighbour, float `[e, 3]`.
    EdgeShift,
    /// The same in angstrom, Cartesian, float `[e, 3]`.
    EdgeShiftCartesian,
    /// From centre to neighbour, Cartesian, angstrom, float `[e, 3]`.
    EdgeVector,
    /// Length of the edge, angstrom, float `[e]`.
    EdgeLength,
    /// The opposite edge, integer `[e]`.
    EdgeReverse,
    /// Ordered pairs of edges with one centre, integer `[2, t]`.
    TripletIndex,
    /// Fidelity or head, integer `[b]`.
    State,
    /// A constant from the sidecar, in whatever shape.
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
    /// Its axes as the file has them.
    pub axes: Vec<Axis>,
    /// What angstroms are multiplied with to be in the file's unit; 1 where it is no length. Negative for a vector that the file
    /// has in the opposite direction.
    pub factor: f64,
    /// The last axis' length, where the file fixes it.
    pub(in crate::model) declared_width: Option<usize>,
}

/// Every input of the contract: its name, what it is, and its axes.
const INPUTS: [(&str, InputKind, &[Axis]); 20] = [
    ("atomic_numbers", InputKind::AtomicNumbers, &[Atoms]),
    ("species_index", InputKind::SpeciesIndex, &[Atoms]),
    ("species_one_hot", InputKind::SpeciesOneHot, &[Atoms, Species]),
    ("positions", InputKind::Positions, &[Atoms, Fixed(3)]),
    ("cell", InputKind::Cell, &[Crystals, Fixed(3), Fixed(3)]),
    ("pbc", InputKind::Pbc, &[Crystals, Fixed(3)]),
    ("batch", InputKind::Batch, &[Atoms]),
    ("n_atoms", InputKind::AtomCounts, &[Crystals]),
    ("first_atom", InputKind::FirstAtoms, &[CrystalsAndOne]),
    ("n_edges", InputKind::EdgeCounts, &[Crystals]),
    ("edge_index", InputKind::EdgeIndex, &[Fixed(2), Edges]),
    ("edge_centre", InputKind::EdgeCentre, &[Edges]),
    ("edge_neighbour", InputKind::EdgeNeighbour, &[Edges]),
    ("edge_shift", InputKind::EdgeShift, &[Edges, Fixed(3)]),
    ("edge_shift_cartesian", InputKind::EdgeShiftCartesian, &[Edges, Fixed(3)]),
    ("edge_vector", InputKind::EdgeVector, &[Edges, Fixed(3)]),
    ("edge_length", InputKind::EdgeLength, &[Edges]),
    ("edge_reverse", InputKind::EdgeReverse, &[Edges]),
    ("triplet_index", InputKind::TripletIndex, &[Fixed(2), Triplets]),
    ("state", InputKind::State, &[Crystals]),
];

impl ModelInput {
    /// An input that no file declares, float32 or int64.
    pub(in crate::model) fn added(name: &str, kind: InputKind, axes: &[Axis], factor: f64) -> Self {
        let data_type = kind.data_types()[0];
        Self { name: name.into(), kind, data_type, axes: axes.to_vec(), factor, declared_width: None }
    }
}

impl InputKind {
    /// Whether it is measured in the file's unit of length.
    pub fn is_length(self) -> bool {
        use InputKind::{Cell, EdgeLength, EdgeShiftCartesian, EdgeVector, Positions};
        matches!(self, Positions | Cell | EdgeShiftCartesian | EdgeVector | EdgeLength)
    }

    /// The element types that it may have, the contract's own first.
    fn data_types(self) -> &'static [DataType] {
        use DataType::{Bool, F32, F64, I32, I64};
        match self {
            Self::Positions | Self::Cell | Self::EdgeShiftCartesian | Self::EdgeVector | Self::EdgeLength => {
                &[F32, F64]
            }
            Self::EdgeShift => &[F32, F64, I64, I32],
            Self::SpeciesOneHot => &[F32, F64, I64, I32, Bool],
            Self::Pbc => &[Bool, I64, I32, F32, F64],
            Self::AtomCounts | Self::EdgeCounts | Self::State => &[I64, I32, F32, F64],
            Self::Constant(_) => &[F32, F64, I64, I32, Bool],
            _ => &[I64, I32],
        }
    }

    /// Whether a minus in front of its name turns its direction around.
    fn has_direction(self) -> bool {
        matches!(self, Self::EdgeShift | Self::EdgeShiftCartesian | Self::EdgeVector)
    }

    /// Whether the host needs neighbour lists for it.
    pub fn needs_edges(self) -> bool {
        use InputKind::{EdgeCentre, EdgeCounts, EdgeIndex, EdgeLength, EdgeNeighbour, EdgeReverse, EdgeShift};
        matches!(self, EdgeIndex | EdgeCentre | EdgeNeighbour | EdgeShift | EdgeReverse | EdgeLength | EdgeCounts)
            || matches!(self, Self::EdgeShiftCartesian | Self::EdgeVector | Self::TripletIndex)
    }

    /// Whether it tells which atoms belong to which crystal.
    pub fn tells_crystals_apart(self) -> bool {
        matches!(self, Self::Batch | Self::AtomCounts | Self::FirstAtoms)
    }

    /// Whether it depends on the order of the elements that the file declares.
    pub fn needs_elements(self) -> bool {
        matches!(self, Self::SpeciesIndex | Self::SpeciesOneHot)
    }
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
    let named = named_axes(&ports, metadata);
    let input = |port: &&ValueInfoProto| input(port, metadata, &named, &mut one_at_a_time);
    let inputs = ports.iter().map(input).collect::<Result<_, _>>()?;
    Ok((inputs, one_at_a_time))
}

fn contract_name<'a>(port: &'a ValueInfoProto, metadata: &'a Metadata) -> &'a str {
    metadata.inputs.get(port.name()).map_or(port.name(), String::as_str)
}

/// The input of a name in the contract, and 1, or -1 for a minus in front of it.
fn known_input(name: &str) -> Option<(InputKind, &'static [Axis], f64)> {
    let (bare, sign) = name.strip_prefix('-').map_or((name, 1.0), |bare| (bare, -1.0));
    let (_, kind, axes) = INPUTS.iter().find(|(known, ..)| *known == bare)?;
    (sign > 0.0 || kind.has_direction()).then_some((*kind, *axes, sign))
}

/// What the names of free axes count, from the inputs that are known, or would be by another name.
fn named_axes<'a>(ports: &[&'a ValueInfoProto], metadata: &Metadata) -> BTreeMap<&'a str, Axis> {
    let mut named = BTreeMap::new();
    for port in ports {
        let name = contract_name(port, metadata);
        let settled = || known_input(aliases::settled(&aliases::inputs(name, &input_names()))?);
        let Some((_, axes, _)) = known_input(name).or_else(settled) else { continue };
        let Some((_, Some(shape))) = type_and_shape(port) else { continue };
        let Ok((axes, _)) = fit(&shape, axes) else { continue };
        for (symbol, axis) in symbols(port).into_iter().zip(axes).filter(|(symbol, _)| !symbol.is_empty()) {
            named.insert(symbol, axis);
        }
    }
    named
}

fn input(
    port: &ValueInfoProto,
    metadata: &Metadata,
    named: &BTreeMap<&str, Axis>,
    one_at_a_time: &mut bool,
) -> Result<ModelInput, ContractError> {
    let name = port.name().to_owned();
    let refused =
        |problem: String| ContractError::Input { sidecar: metadata.sidecar.clone(), name: name.clone(), problem };
    let Some((element, shape)) = type_and_shape(port) else {
        return Err(refused("is not a tensor".into()));
    };
    let known_as = contract_name(port, metadata);
    let pinned = metadata.constants.get(&name).or_else(|| metadata.constants.get(known_as));
    let (kind, axes, sign) = match (pinned, known_input(known_as)) {
        (Some(value), _) => (InputKind::Constant(*value), &[Crystals][..], 1.0),
        (None, Some(known)) => known,
        (None, None) => return Err(ContractError::UnknownInput { sidecar: metadata.sidecar.clone(), name }),
    };
    let declared_width = shape.as_ref().and_then(|shape| usize::try_from((*shape.last()?)?).ok());
    let fitted = match (kind, shape) {
        (InputKind::Constant(_), Some(shape)) => constant_axes(&shape, &symbols(port), named),
        (_, Some(shape)) => fit(&shape, axes),
        (_, None) => Ok((axes.to_vec(), false)),
    };
    let (axes, single) = fitted.map_err(refused)?;
    *one_at_a_time |= single;
    let data_type = data_type(element, kind).map_err(refused)?;
    let length = if kind.is_length() { 1.0 / angstroms(metadata)? } else { 1.0 };
    Ok(ModelInput { name, kind, data_type, axes, factor: sign * length, declared_width })
}

/// The axes of a constant: as many as the file declares, each free one as long as the input that has an axis of the same name,
/// or else one of crystals.
fn constant_axes(
    shape: &[Option<i64>],
    symbols: &[&str],
    named: &BTreeMap<&str, Axis>,
) -> Result<(Vec<Axis>, bool), String> {
    let axis = |(place, length): (usize, &Option<i64>)| match (length, symbols.get(place)) {
        (Some(length), _) if place > 0 || [1, 3].contains(length) => Ok(Fixed(*length)),
        (Some(length), _) => Err(format!("was exported for {length} crystals only; export it with a free axis 0")),
        (None, Some(symbol)) if named.contains_key(symbol) => Ok(named[symbol]),
        (None, _) if place == 0 => Ok(Crystals),
        (None, _) => Err(format!("has a free axis {place}, of which nothing says how long it is")),
    };
    let axes: Vec<Axis> = shape.iter().enumerate().map(axis).collect::<Result<_, _>>()?;
    let single = axes.first() == Some(&Fixed(1));
    Ok((axes, single))
}

/// The file's unit of positions and cell, in angstrom. Either key states that of both.
fn angstroms(metadata: &Metadata) -> Result<f64, ContractError> {
    let expected = units::names(Dimension::Length);
    let unit = |key| metadata.parsed(key, &expected, |unit| units::factor(unit, Dimension::Length));
    match (unit("unit.positions")?, unit("unit.cell")?) {
        (Some(positions), Some(cell)) if positions != cell => {
            Err(metadata.refuse("unit.cell", "the unit of the positions"))
        }
        (positions, cell) => Ok(positions.or(cell).unwrap_or(1.0)),
    }
}

/// The names of the contract's inputs.
pub(super) fn input_names() -> [&'static str; INPUTS.len()] {
    INPUTS.map(|(name, ..)| name)
}

/// The inputs of the contract that a port of this type and shape could be, with a minus in front where the direction may be the
/// opposite one; what other inputs say of the axes' names counts.
pub(super) fn candidates(port: &ValueInfoProto, graph: &GraphProto, metadata: &Metadata) -> Vec<String> {
    let Some((element, shape)) = type_and_shape(port) else { return Vec::new() };
    let named = named_axes(&runtime_inputs(graph), metadata);
    let own = symbols(port);
    let fits = |(_, kind, axes): &&(&str, InputKind, &[Axis])| {
        let Some(shape) = &shape else { return data_type(element, *kind).is_ok() };
        let Ok((axes, _)) = fit(shape, axes) else { return false };
        let agree = |(symbol, axis): (&&str, &Axis)| named.get(*symbol).is_none_or(|known| known == axis);
        own.iter().zip(&axes).all(agree) && data_type(element, *kind).is_ok()
    };
    let found = INPUTS.iter().filter(fits);
    let signs = |kind: InputKind| if kind.has_direction() { &["", "-"][..] } else { &[""] };
    found.flat_map(|(name, kind, _)| signs(*kind).iter().map(move |sign| format!("{sign}{name}"))).collect()
}

fn data_type(element: i32, kind: InputKind) -> Result<DataType, String> {
    let found = match Element::try_from(element) {
        Ok(Element::Float) => DataType::F32,
        Ok(Element::Double) => DataType::F64,
        Ok(Element::Int64) => DataType::I64,
        Ok(Element::Int32) => DataType::I32,
        Ok(Element::Bool) => DataType::Bool,
        Ok(other) => {
            return Err(format!(
                "has the element type {}, which Temper does not supply",
                other.as_str_name().to_lowercase()
            ));
        }
        Err(_) => return Err(format!("has the unknown element type {element}")),
    };
    match kind.data_types() {
        known if known.contains(&found) => Ok(found),
        known => Err(format!("has the element type {found} instead of {}", known[0])),
    }
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
            CrystalsAndOne => "b + 1".to_owned(),
            Edges => "e".to_owned(),
            Triplets => "t".to_owned(),
            Species => "s".to_owned(),
            Fixed(length) => length.to_string(),
        };
        let supplied = INPUTS.map(|(name, kind, axes)| {
            let shape: Vec<String> = axes.iter().map(extent).collect();
            vec![format!("`{name}`"), kind.data_types()[0].to_string(), shape.join(", ")]
        });
        assert_eq!(written, supplied);
    }
}
