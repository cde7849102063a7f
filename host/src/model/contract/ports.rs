//! Element types and shapes of inputs and outputs, as files declare them, against those of the contract.

use std::collections::HashSet;

use super::ContractError;
use super::metadata::Metadata;
use crate::graph::DataType;
use crate::graph::onnx::tensor_proto::DataType as Element;
use crate::graph::onnx::{GraphProto, ValueInfoProto, tensor_shape_proto, type_proto};

/// What the length of an axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// The atoms of the batch, n.
    Atoms,
    /// The crystals of the batch, b.
    Crystals,
    /// One more than the crystals.
    CrystalsAndOne,
    /// The edges of the batch, e.
    Edges,
    /// The triplets of the batch, t.
    Triplets,
    /// The elements that the file declares, s.
    Species,
    /// Always so many.
    Fixed(i64),
}

use Axis::{Atoms, Crystals, CrystalsAndOne, Edges, Fixed, Species, Triplets};

/// Length of each axis, `None` where it is free; `None` in all if the file states no shape.
pub(super) type Shape = Option<Vec<Option<i64>>>;

/// The element type as ONNX numbers it, and the shape; `None` for what is no tensor.
pub(super) fn type_and_shape(port: &ValueInfoProto) -> Option<(i32, Shape)> {
    let Some(type_proto::Value::TensorType(tensor)) = port.r#type.as_ref()?.value.as_ref() else { return None };
    let length = |dim: &tensor_shape_proto::Dimension| match dim.value {
        Some(tensor_shape_proto::dimension::Value::DimValue(length)) => Some(length),
        _ => None,
    };
    let shape = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(length).collect());
    Some((tensor.elem_type(), shape))
}

/// The names of a port's free axes; empty where an axis is fixed or has no name.
pub(super) fn symbols(port: &ValueInfoProto) -> Vec<&str> {
    let Some(type_proto::Value::TensorType(tensor)) = port.r#type.as_ref().and_then(|kind| kind.value.as_ref()) else {
        return Vec::new();
    };
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dim);
    dims.iter()
        .map(|dim| match &dim.value {
            Some(tensor_shape_proto::dimension::Value::DimParam(name)) => name.as_str(),
            _ => "",
        })
        .collect()
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

/// The axes of a declared shape, given those of the contract, and whether they are those of one crystal. Beside the contract's own,
/// a file may have the two rows of a list as columns; the axis of crystals left out or an axis of length 1 in front, for one
/// crystal; and numbers as columns of width 1.
///
/// # Errors
/// Why no batch has such a shape.
pub(super) fn fit(shape: &[Option<i64>], axes: &[Axis]) -> Result<(Vec<Axis>, bool), String> {
    let plain = |axes: &[Axis]| check_shape(shape, axes).map(|single| (axes.to_vec(), single));
    let (last, first) = (shape.last().copied().flatten(), shape.first().copied().flatten());
    match (axes, shape) {
        ([Fixed(2), list], [long, Some(2)]) if *long != Some(2) => plain(&[*list, Fixed(2)]),
        ([Crystals, rest @ ..], _) if check_shape(shape, rest).is_ok() && shape.iter().all(Option::is_some) => {
            Ok((rest.to_vec(), true))
        }
        ([numbers], [_, _]) if last == Some(1) => plain(&[*numbers, Fixed(1)]),
        _ if shape.len() == axes.len() + 1 && first == Some(1) => {
            plain(&[&[Fixed(1)], axes].concat()).map(|(axes, _)| (axes, true))
        }
        _ => plain(axes),
    }
}

/// Whether the shape is fixed to one crystal; an error if it fits no batch.
pub(super) fn check_shape(shape: &[Option<i64>], axes: &[Axis]) -> Result<bool, String> {
    if shape.len() != axes.len() {
        return Err(format!("has {} axes instead of {}", shape.len(), axes.len()));
    }
    let mut one_at_a_time = false;
    for (place, (length, axis)) in shape.iter().zip(axes).enumerate() {
        let (what, extra) = match axis {
            Fixed(wanted) if length.is_none_or(|length| length == *wanted) => continue,
            Fixed(wanted) => {
                return Err(format!("has length {} on axis {place} instead of {wanted}", length.unwrap_or(0)));
            }
            Crystals if *length == Some(1) => {
                one_at_a_time = true;
                continue;
            }
            CrystalsAndOne if *length == Some(2) => {
                one_at_a_time = true;
                continue;
            }
            // How many there must be is known once the elements are.
            Species => continue,
            Crystals => ("crystals", 0),
            CrystalsAndOne => ("crystals", 1),
            Atoms => ("atoms", 0),
            Edges => ("edges", 0),
            Triplets => ("triplets", 0),
        };
        if let Some(length) = length {
            let count = length - extra;
            return Err(format!("was exported for {count} {what} only; export it with a free axis {place}"));
        }
    }
    Ok(one_at_a_time)
}

/// The sidecar speaks of a port that there is not.
pub(super) fn no_such_port(
    table: &'static str,
    name: &str,
    ports: &[&ValueInfoProto],
    metadata: &Metadata,
) -> ContractError {
    let known = ports.iter().map(|port| port.name().to_owned()).collect();
    ContractError::NoSuchPort { path: metadata.sidecar.clone(), table, name: name.into(), known }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_one_crystal_fit() {
        let free = None;
        let cell = [Crystals, Fixed(3), Fixed(3)];
        let single = |shape: &[Option<i64>], axes: &[Axis]| fit(shape, axes).map(|(axes, single)| (axes.len(), single));
        assert_eq!(single(&[Some(3), Some(3)], &cell), Ok((2, true)));
        assert_eq!(single(&[free, Some(3), Some(3)], &cell), Ok((3, false)));
        assert_eq!(single(&[Some(1), Some(3), Some(3)], &cell), Ok((3, true)));
        assert_eq!(single(&[], &[Crystals]), Ok((0, true)));
        assert_eq!(single(&[free, Some(1)], &[Crystals]), Ok((2, false)));
        assert_eq!(single(&[Some(1), free, Some(3)], &[Atoms, Fixed(3)]), Ok((3, true)));
        assert_eq!(fit(&[free, Some(2)], &[Fixed(2), Edges]), Ok((vec![Edges, Fixed(2)], false)));
        assert_eq!(fit(&[Some(2), free], &[Fixed(2), Edges]), Ok((vec![Fixed(2), Edges], false)));
        assert_eq!(fit(&[Some(2)], &[CrystalsAndOne]), Ok((vec![CrystalsAndOne], true)));
        let wrong = fit(&[free, Some(4)], &[Atoms, Fixed(3)]).unwrap_err();
        assert_eq!(wrong, "has length 4 on axis 1 instead of 3");
        assert_eq!(
            fit(&[Some(5)], &[CrystalsAndOne]).unwrap_err().split(';').next().unwrap(),
            "was exported for 4 crystals only"
        );
    }
}
