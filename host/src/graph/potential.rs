//! Forces and stress for a potential that gives only energies.

use super::builder::{Builder, Value};
use super::onnx::ModelProto;
use super::{Attributes, GraphError};

/// The model with the outputs `forces` (eV/A, `[n, 3]`) and `stress` (eV/A^3, `[b, 3, 3]`, ASE's sign) besides its own.
///
/// The model has the inputs `positions` (`[n, 3]`), `cell` (`[b, 3, 3]`, rows are vectors) and `batch` (`[n]`) and the output
/// `energy` (`[b]`) of the ONNX contract; its metadata tells the energy's unit and whether it is per atom.
///
/// Positions and cell follow a strain as `r (1 + strain)`, so the derivative by it is `sum r_i (x) dE/dr_i + cell^T dE/dcell`
/// (Knuth et al., Comput. Phys. Commun. 190 (2015) 33, section 2). It is made symmetric, and divided by the volume.
///
/// # Errors
/// [`GraphError::Potential`] when inputs, outputs or metadata are not as above, [`GraphError::NoDerivative`] naming the node
/// when an operator on the way has no rule, and whatever else is wrong with the graph.
pub fn add_forces_and_stress(model: &ModelProto) -> Result<ModelProto, GraphError> {
    let mut b = Builder::from_model(model)?;
    let input = |name: &str| {
        let found = b.inputs().iter().copied().find(|v| b.name(*v) == name);
        found.ok_or_else(|| potential(format!("it has no input `{name}`")))
    };
    let (positions, cell, batch) = (input("positions")?, input("cell")?, input("batch")?);
    let output = |name: &str| b.outputs().iter().copied().find(|v| b.name(*v) == name);
    let energy = output("energy").ok_or_else(|| potential("it has no output `energy`".into()))?;
    if let Some(there) = ["forces", "stress"].into_iter().find(|name| b.find(name).is_some()) {
        return Err(potential(format!("it already has a `{there}`")));
    }
    let unit = metadata(model, "temper.unit.energy").unwrap_or("eV");
    let to_electronvolt =
        factor(unit).ok_or_else(|| potential(format!("its energies have the unknown unit {unit}")))?;
    let per_atom = metadata(model, "temper.energy_per_atom") == Some("true");

    let rows = b.unsqueeze(batch, &[-1]);
    let seed = if per_atom { atoms_of_each(&mut b, energy, positions, rows) } else { b.filled_like(energy, 1.0) };
    let seed = b.mul_scalar(seed, to_electronvolt);
    let grads = b.differentiate_from(&[(energy, seed)], &[positions, cell])?;
    let (by_positions, by_cell) = (grads[0], grads[1]);
    let forces = b.neg(by_positions);
    let stress = stress(&mut b, [positions, by_positions], [cell, by_cell], rows);
    b.output("forces", forces);
    b.output("stress", stress);
    let name = model.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
    b.finish(&name, &[("temper.unit.forces", "eV/A"), ("temper.unit.stress", "eV/A^3")])
}

fn potential(reason: String) -> GraphError {
    GraphError::Potential { reason }
}

fn metadata<'a>(model: &'a ModelProto, key: &str) -> Option<&'a str> {
    model.metadata_props.iter().find(|entry| entry.key.as_deref() == Some(key))?.value.as_deref()
}

/// Units of energy in eV (CODATA 2018).
fn factor(unit: &str) -> Option<f64> {
    match unit {
        "eV" => Some(1.0),
        "meV" => Some(1e-3),
        "Ha" => Some(27.211_386_245_988),
        "kJ/mol" => Some(0.010_364_269_656_262),
        "kcal/mol" => Some(0.043_364_104_241_802),
        _ => None,
    }
}

/// The number of atoms of each crystal, of the energy's type and shape.
fn atoms_of_each(b: &mut Builder, energy: Value, positions: Value, rows: Value) -> Value {
    let ones = b.reduce_sum(positions, &[-1], false);
    let (ones, none) = (b.filled_like(ones, 1.0), b.zeros_like(energy));
    let ones = b.cast_like(ones, energy);
    b.node("ScatterND", &[none, rows, ones], Attributes::none().string("reduction", "add"))
}

/// From positions and cell, each with the derivative by it; `rows` holds the crystal of each atom, `[n, 1]`.
fn stress(b: &mut Builder, positions: [Value; 2], cell: [Value; 2], rows: Value) -> Value {
    let (column, row) = (b.unsqueeze(positions[0], &[2]), b.unsqueeze(positions[1], &[1]));
    let of_atoms = b.mul(column, row);
    let turned = b.transpose(cell[0], &[0, 2, 1]);
    let of_cell = b.matmul(turned, cell[1]);
    let virial = b.node("ScatterND", &[of_cell, rows, of_atoms], Attributes::none().string("reduction", "add"));
    let mirrored = b.transpose(virial, &[0, 2, 1]);
    let sum = b.add(virial, mirrored);
    let twice_volume = {
        let signed = b.node("Det", &[cell[0]], Attributes::none());
        let volume = b.abs(signed);
        let volume = b.unsqueeze(volume, &[1, 2]);
        b.mul_scalar(volume, 2.0)
    };
    b.div(sum, twice_volume)
}
