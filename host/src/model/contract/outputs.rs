//! The outputs of a file in terms of the contract.

use super::ContractError;
use super::metadata::Metadata;
use super::ports::{Axis, fit, no_such_port, type_and_shape};
use super::units::{self, Dimension};
use crate::graph::onnx::tensor_proto::DataType as Element;
use crate::graph::onnx::{GraphProto, ValueInfoProto};

use Axis::{Atoms, Crystals, Fixed};

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
    /// The unit of a property after that, in whatever words, where the file states one.
    pub unit: Option<String>,
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
    let kind = match (quantity.as_str(), reduce) {
        (_, Some(kind)) => kind,
        ("energy", _) if energy_is_per_atom(metadata)? => OutputKind::EnergyPerAtom,
        ("energy", _) => OutputKind::Energy,
        ("forces", _) => OutputKind::Forces,
        ("stress", _) => OutputKind::Stress,
        ("magmoms", _) => OutputKind::Magmoms,
        _ => OutputKind::Property,
    };
    let single = match shape.map_or(Ok(false), |shape| check_output(&shape, kind, &quantity)) {
        Ok(single) => single,
        Err(reason) => return Ok(Err(reason)),
    };
    let (factor, unit) = unit(&quantity, kind, metadata)?;
    Ok(Ok((ModelOutput { name, quantity, kind, factor, unit }, single)))
}

/// What the numbers of an output are multiplied with, and the unit of a property in words.
fn unit(quantity: &str, kind: OutputKind, metadata: &Metadata) -> Result<(f64, Option<String>), ContractError> {
    let key = format!("unit.{quantity}");
    let dimension = match kind {
        OutputKind::Energy | OutputKind::EnergyPerAtom => Dimension::Energy,
        OutputKind::Forces => Dimension::Force,
        OutputKind::Stress => Dimension::Pressure,
        OutputKind::Magmoms | OutputKind::Property | OutputKind::MeanEigenvalue => {
            let found = metadata.get(&key).map(|text| units::property(text.trim()));
            return Ok(found.map_or((1.0, None), |(factor, unit)| (factor, Some(unit))));
        }
    };
    let known = |unit: &str| {
        units::factor(unit, dimension).or_else(|| match kind {
            OutputKind::EnergyPerAtom => units::energy_per_atom(unit),
            _ => None,
        })
    };
    let factor = metadata.parsed(&key, &units::names(dimension), known)?;
    Ok((factor.unwrap_or(1.0), None))
}

/// Whether the energy is one per atom, as its own key or its unit says.
fn energy_is_per_atom(metadata: &Metadata) -> Result<bool, ContractError> {
    let said = metadata.parsed("energy_per_atom", "true or false", |text| text.parse::<bool>().ok())?;
    let unit = metadata.get("unit.energy").and_then(|unit| units::energy_per_atom(unit.trim()));
    match (said, unit) {
        (Some(false), Some(_)) => {
            Err(metadata.refuse("energy_per_atom", "true, since the unit of the energy is one per atom"))
        }
        (said, unit) => Ok(unit.is_some() || said == Some(true)),
    }
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
        ([Crystals], [_, Some(6)]) if kind == Property => {
            Err(format!("it has six numbers per crystal and no `reduce.{quantity}` says how to make one of them"))
        }
        ([Crystals], [_, other, ..]) if shape.len() > 2 || *other != Some(1) => {
            Err(format!("it has {} axes, and is not one number per crystal", shape.len()))
        }
        _ => fit(shape, axes).map(|(_, single)| single).map_err(|reason| format!("it {reason}")),
    }
}
