//! Forces and stress for a potential that gives only energies.

use super::builder::{Builder, Value};
use super::import::Half;
use super::onnx::ModelProto;
use super::{Attributes, DataType, GraphError};

/// Where a file keeps what makes it a potential of the ONNX contract, under the names that the file itself uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Potential<'a> {
    /// Input: Cartesian positions, angstrom, `[n, 3]`.
    pub positions: &'a str,
    /// Input: lattice vectors as rows, angstrom, `[b, 3, 3]`.
    pub cell: &'a str,
    /// Input: crystal of each atom, `[n]`; absent in files for one crystal at a time.
    pub batch: Option<&'a str>,
    /// Output: energies, `[b]`.
    pub energy: &'a str,
    /// Whether the energies are per atom.
    pub per_atom: bool,
    /// What the energies are multiplied with to be in eV.
    pub to_electronvolt: f64,
    /// Names of the outputs that are added: forces and stress.
    pub added: [&'a str; 2],
}

/// The model with forces (eV/A, `[n, 3]`) and stress (eV/A^3, `[b, 3, 3]`, ASE's sign) besides its own outputs.
///
/// Positions and cell follow a strain as `r (1 + strain)`, so the derivative by it is `sum r_i (x) dE/dr_i + cell^T dE/dcell`
/// (Knuth et al., Comput. Phys. Commun. 190 (2015) 33, section 2). It is made symmetric, and divided by the volume.
///
/// # Errors
/// [`GraphError::Potential`] when inputs and outputs are not as stated, [`GraphError::NoDerivative`] naming the node
/// when an operator on the way has no rule, and whatever else is wrong with the graph.
pub fn add_forces_and_stress(model: &ModelProto, potential: &Potential<'_>) -> Result<ModelProto, GraphError> {
    let mut b = Builder::import(model, Half::Widen)?;
    let input = |name: &str| {
        let found = b.inputs().iter().copied().find(|v| b.name(*v) == name);
        found.ok_or_else(|| refused(format!("it has no input `{name}`")))
    };
    let (positions, cell) = (input(potential.positions)?, input(potential.cell)?);
    let batch = potential.batch.map(input).transpose()?;
    let energy = b.outputs().iter().copied().find(|v| b.name(*v) == potential.energy);
    let energy = energy.ok_or_else(|| refused(format!("it has no output `{}`", potential.energy)))?;
    if let Some(there) = potential.added.into_iter().find(|name| b.find(name).is_some()) {
        return Err(refused(format!("it already has a `{there}`")));
    }
    let rows = crystal_of_each(&mut b, positions, batch);
    let seed = if potential.per_atom {
        atoms_of_each(&mut b, energy, positions, cell, rows)
    } else {
        b.filled_like(energy, 1.0)
    };
    let seed = b.mul_scalar(seed, potential.to_electronvolt);
    let grads = b.differentiate_from(&[(energy, seed)], &[positions, cell])?;
    let (by_positions, by_cell) = (grads[0], grads[1]);
    let forces = b.neg(by_positions);
    let stress = stress(&mut b, [positions, by_positions], [cell, by_cell], rows);
    b.output(potential.added[0], forces);
    b.output(potential.added[1], stress);
    let name = model.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
    let units = potential.added.map(|output| format!("temper.unit.{output}"));
    b.finish(&name, &[(&units[0], "eV/A"), (&units[1], "eV/A^3")])
}

fn refused(reason: String) -> GraphError {
    GraphError::Potential { reason }
}

/// The crystal of each atom, `[n, 1]`; without a `batch` there is one crystal only.
fn crystal_of_each(b: &mut Builder, positions: Value, batch: Option<Value>) -> Value {
    let batch = match batch {
        Some(batch) => b.cast(batch, DataType::I64),
        None => {
            let sums = b.reduce_sum(positions, &[-1], false);
            let zeros = b.zeros_like(sums);
            b.cast(zeros, DataType::I64)
        }
    };
    b.unsqueeze(batch, &[-1])
}

/// The number of atoms of each crystal, of the energy's type and shape; `rows` holds the crystal of each atom, `[n, 1]`.
fn atoms_of_each(b: &mut Builder, energy: Value, positions: Value, cell: Value, rows: Value) -> Value {
    let (ones, none) = (b.reduce_sum(positions, &[-1], false), b.reduce_sum(cell, &[1, 2], false));
    let (ones, none) = (b.filled_like(ones, 1.0), b.zeros_like(none));
    let ones = b.cast_like(ones, none);
    let count = b.node("ScatterND", &[none, rows, ones], Attributes::none().string("reduction", "add"));
    let count = b.cast_like(count, energy);
    let shape = b.node("Shape", &[energy], Attributes::none());
    b.node("Reshape", &[count, shape], Attributes::none())
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
    let volume = volume(b, cell[0]);
    let volume = b.unsqueeze(volume, &[1, 2]);
    let twice_volume = b.mul_scalar(volume, 2.0);
    b.div(sum, twice_volume)
}

/// Volumes of cells `[b, 3, 3]`, `|a . (b x c)|`: ONNX Runtime has the operator `Det` for float32 only.
fn volume(b: &mut Builder, cell: Value) -> Value {
    let rows = b.split(cell, 1, &[1, 1, 1]);
    let mut turned = |vector: Value, order: &[i64]| {
        let order = b.ints(order);
        b.gather(vector, order, 2)
    };
    let (b1, b2) = (turned(rows[1], &[1, 2, 0]), turned(rows[1], &[2, 0, 1]));
    let (c1, c2) = (turned(rows[2], &[1, 2, 0]), turned(rows[2], &[2, 0, 1]));
    let (plus, minus) = (b.mul(b1, c2), b.mul(b2, c1));
    let normal = b.sub(plus, minus);
    let product = b.mul(rows[0], normal);
    let signed = b.reduce_sum(product, &[1, 2], false);
    b.abs(signed)
}
