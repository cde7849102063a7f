//! Forces and stress for a potential that gives only energies.

use super::builder::{Builder, Value};
use super::import::Half;
use super::onnx::ModelProto;
use super::{Attributes, DataType, Dim, GraphError};

/// What the names of inputs begin with that a file lacks and the derivatives need: they are added, as float32 or int64.
const ADDED: &str = "temper/";

/// Where a file keeps what makes it a potential of the ONNX contract, under the names that the file itself uses, or under names
/// that begin with `temper/` for inputs that it lacks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Potential<'a> {
    /// Input: Cartesian positions, angstrom, `[n, 3]`.
    pub positions: &'a str,
    /// Input: lattice vectors as rows, angstrom, `[b, 3, 3]`.
    pub cell: &'a str,
    /// Input: crystal of each atom, `[n]`; absent in files for one crystal at a time.
    pub batch: Option<&'a str>,
    /// Inputs that are made of positions and cell outside of the graph.
    pub edges: Option<EdgeGeometry<'a>>,
    /// Output: energies, `[b]`.
    pub energy: &'a str,
    /// Whether the energies are per atom.
    pub per_atom: bool,
    /// What the energies are multiplied with to be in eV.
    pub to_electronvolt: f64,
    /// Names of the outputs that are added: forces and stress.
    pub added: [&'a str; 2],
}

/// What a file takes of the geometry of its edges. With a vector comes 1, or -1 where it points the other way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdgeGeometry<'a> {
    /// Input: atom from which each edge starts, `[e]`.
    pub centre: &'a str,
    /// Input: atom at which it ends, `[e]`.
    pub neighbour: &'a str,
    /// Input: from centre to neighbour, angstrom, `[e, 3]`.
    pub vector: Option<(&'a str, f64)>,
    /// Input: Cartesian offset of the neighbour's cell, angstrom, `[e, 3]`.
    pub shift: Option<(&'a str, f64)>,
    /// Input: length, angstrom, `[e]`, and the input of the vectors that it is the length of.
    pub length: Option<(&'a str, &'a str)>,
}

/// The model with forces (eV/A, `[n, 3]`) and stress (eV/A^3, `[b, 3, 3]`, ASE's sign) besides its own outputs.
///
/// Positions and cell follow a strain as `r (1 + strain)`, so the derivative by it is `sum r_i (x) dE/dr_i + cell^T dE/dcell`
/// (Knuth et al., Comput. Phys. Commun. 190 (2015) 33, section 2), and each vector of an edge adds the like of an atom. It is made
/// symmetric, and divided by the volume. The derivative by an edge's vector belongs to its neighbour, and negated to its centre.
///
/// # Errors
/// [`GraphError::Potential`] when inputs and outputs are not as stated, [`GraphError::NoDerivative`] naming the node
/// when an operator on the way has no rule, and whatever else is wrong with the graph.
pub fn add_forces_and_stress(model: &ModelProto, potential: &Potential<'_>) -> Result<ModelProto, GraphError> {
    let mut b = Builder::import(model, Half::Widen)?;
    let geometry = Geometry::of(&mut b, potential)?;
    let energy = b.outputs().iter().copied().find(|v| b.name(*v) == potential.energy);
    let energy = energy.ok_or_else(|| refused(format!("it has no output `{}`", potential.energy)))?;
    if let Some(there) = potential.added.into_iter().find(|name| b.find(name).is_some()) {
        return Err(refused(format!("it already has a `{there}`")));
    }
    let [positions, cell] = [(geometry.positions, 2, [-1, 3].as_slice()), (geometry.cell, 3, &[-1, 3, 3])]
        .map(|(value, rank, shape)| of_rank(&mut b, value, rank, shape));
    let rows = crystal_of_each(&mut b, positions, geometry.batch);
    let seed = if potential.per_atom {
        atoms_of_each(&mut b, energy, positions, cell, rows)
    } else {
        b.filled_like(energy, 1.0)
    };
    let seed = b.mul_scalar(seed, potential.to_electronvolt);
    let grads = b.differentiate_from(&[(energy, seed)], &geometry.variables())?;
    let by_positions = of_rank(&mut b, grads[0], 2, &[-1, 3]);
    let by_cell = of_rank(&mut b, grads[1], 3, &[-1, 3, 3]);
    let mut response =
        Response { by_positions, virial: virial(&mut b, [positions, by_positions], [cell, by_cell], rows) };
    if let Some(edges) = &geometry.edges {
        edges.add_to(&mut b, &mut response, &grads[2..], rows);
    }
    let forces = b.neg(response.by_positions);
    let stress = stress(&mut b, response.virial, cell);
    b.output(potential.added[0], forces);
    b.output(potential.added[1], stress);
    let name = model.graph.as_ref().and_then(|graph| graph.name.clone()).unwrap_or_default();
    let units = potential.added.map(|output| format!("temper.unit.{output}"));
    b.finish(&name, &[(&units[0], "eV/A"), (&units[1], "eV/A^3")])
}

/// The inputs that the energy depends on, and those that say how.
struct Geometry {
    positions: Value,
    cell: Value,
    batch: Option<Value>,
    edges: Option<Edges>,
}

struct Edges {
    centre: Value,
    neighbour: Value,
    vector: Option<(Value, f64)>,
    shift: Option<(Value, f64)>,
    length: Option<(Value, Value)>,
}

/// The derivative by the positions, and by the strain, before both are turned into forces and stress.
struct Response {
    by_positions: Value,
    virial: Value,
}

impl Geometry {
    fn of(b: &mut Builder, potential: &Potential<'_>) -> Result<Self, GraphError> {
        let three = Dim::Known(3);
        let [n, m, e] = ["n", "b", "e"].map(|name| b.symbol(name));
        let mut input = |name: &str, data_type: DataType, shape: &[Dim]| {
            let there = b.inputs().iter().copied().find(|v| b.name(*v) == name);
            match there {
                Some(input) => Ok(input),
                None if b.find(name).is_some() => Err(refused(format!("`{name}` is no input"))),
                None if name.starts_with(ADDED) => Ok(b.input(name, data_type, shape)),
                None => Err(refused(format!("it has no input `{name}`"))),
            }
        };
        let positions = input(potential.positions, DataType::F32, &[n, three])?;
        let cell = input(potential.cell, DataType::F32, &[m, three, three])?;
        let batch = potential.batch.map(|name| input(name, DataType::I64, &[n])).transpose()?;
        let Some(edges) = potential.edges else { return Ok(Self { positions, cell, batch, edges: None }) };
        let mut vector = |name: &str| input(name, DataType::F32, &[e, three]);
        let [along, shift] = [edges.vector, edges.shift]
            .map(|port| port.map(|(name, sign)| vector(name).map(|value| (value, sign))).transpose());
        let of_length = edges.length.map(|(_, name)| vector(name)).transpose()?;
        let length = edges.length.map(|(name, _)| input(name, DataType::F32, &[e])).transpose()?;
        let edges = Edges {
            centre: input(edges.centre, DataType::I64, &[e])?,
            neighbour: input(edges.neighbour, DataType::I64, &[e])?,
            vector: along?,
            shift: shift?,
            length: length.zip(of_length),
        };
        Ok(Self { positions, cell, batch, edges: Some(edges) })
    }

    /// What the energy is differentiated by: positions, cell, and the edges' vectors, shifts and lengths where there are any.
    fn variables(&self) -> Vec<Value> {
        let edges = self.edges.iter().flat_map(|edges| {
            let directed = [edges.vector, edges.shift].map(|port| port.map(|(value, _)| value));
            directed.into_iter().chain([edges.length.map(|(length, _)| length)]).flatten()
        });
        [self.positions, self.cell].into_iter().chain(edges).collect()
    }
}

impl Edges {
    /// Adds what comes through the edges, given the derivatives by their vectors, shifts and lengths.
    fn add_to(&self, b: &mut Builder, response: &mut Response, grads: &[Value], rows: Value) {
        let mut grads = grads.iter().copied();
        let by_vector = self.vector.and_then(|(vector, sign)| grads.next().map(|grad| (vector, grad, sign)));
        let by_shift = self.shift.and_then(|(shift, _)| grads.next().map(|grad| (shift, grad)));
        let by_length = self.length.and_then(|(length, vector)| grads.next().map(|grad| (length, vector, grad)));
        let [centre, neighbour] = [self.centre, self.neighbour].map(|atoms| {
            let flat = of_rank(b, atoms, 1, &[-1]);
            let whole = b.cast(flat, DataType::I64);
            b.unsqueeze(whole, &[-1])
        });
        let crystal = b.node("GatherND", &[rows, centre], Attributes::none());
        if let Some((vector, grad, sign)) = by_vector {
            response.add_virial(b, vector, grad, crystal);
            let grad = b.mul_scalar(grad, sign);
            response.add_forces(b, centre, neighbour, grad);
        }
        if let Some((shift, grad)) = by_shift {
            response.add_virial(b, shift, grad, crystal);
        }
        if let Some((length, vector, grad)) = by_length {
            let [length, grad] = [length, grad].map(|numbers| of_rank(b, numbers, 2, &[-1, 1]));
            let vector = b.cast_like(vector, grad);
            let per_length = b.div(grad, length);
            let grad = b.mul(vector, per_length);
            response.add_virial(b, vector, grad, crystal);
            response.add_forces(b, centre, neighbour, grad);
        }
    }
}

impl Response {
    /// The derivative by a vector from centre to neighbour.
    fn add_forces(&mut self, b: &mut Builder, centre: Value, neighbour: Value, grad: Value) {
        let grad = b.cast_like(grad, self.by_positions);
        let back = b.neg(grad);
        for (atoms, grad) in [(centre, back), (neighbour, grad)] {
            self.by_positions = added_at(b, self.by_positions, atoms, grad);
        }
    }

    /// A vector that follows a strain as positions do, and the derivative by it.
    fn add_virial(&mut self, b: &mut Builder, vector: Value, grad: Value, crystal: Value) {
        let part = outer(b, vector, grad);
        let part = b.cast_like(part, self.virial);
        self.virial = added_at(b, self.virial, crystal, part);
    }
}

/// A value of this rank; one of another rank has extra axes of length 1, or lacks that of crystals.
fn of_rank(b: &mut Builder, value: Value, rank: usize, shape: &[i64]) -> Value {
    match b.shape(value) {
        Some(known) if known.len() != rank => b.reshape(value, shape),
        _ => value,
    }
}

/// The products of each row's components, `[rows, 3, 3]`.
fn outer(b: &mut Builder, first: Value, second: Value) -> Value {
    let (column, row) = (b.unsqueeze(first, &[2]), b.unsqueeze(second, &[1]));
    b.mul(column, row)
}

/// `to` with rows added at indices `[rows, 1]`.
fn added_at(b: &mut Builder, to: Value, at: Value, rows: Value) -> Value {
    b.node("ScatterND", &[to, at, rows], Attributes::none().string("reduction", "add"))
}

fn refused(reason: String) -> GraphError {
    GraphError::Potential { reason }
}

/// The crystal of each atom, `[n, 1]`; without a `batch` there is one crystal only.
fn crystal_of_each(b: &mut Builder, positions: Value, batch: Option<Value>) -> Value {
    let batch = match batch {
        Some(batch) => {
            let flat = of_rank(b, batch, 1, &[-1]);
            b.cast(flat, DataType::I64)
        }
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

/// The derivative by the strain, from positions and cell, each with the derivative by it; `rows` holds the crystal of each atom,
/// `[n, 1]`.
fn virial(b: &mut Builder, positions: [Value; 2], cell: [Value; 2], rows: Value) -> Value {
    let of_atoms = outer(b, positions[0], positions[1]);
    let turned = b.transpose(cell[0], &[0, 2, 1]);
    let of_cell = b.matmul(turned, cell[1]);
    let of_atoms = b.cast_like(of_atoms, of_cell);
    added_at(b, of_cell, rows, of_atoms)
}

/// The symmetric part of a virial over the volume.
fn stress(b: &mut Builder, virial: Value, cell: Value) -> Value {
    let mirrored = b.transpose(virial, &[0, 2, 1]);
    let sum = b.add(virial, mirrored);
    let volume = volume(b, cell);
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
