//! A potential that is no sum of pairs, as a file that takes the geometry of its edges in one form or another.
//!
//! With `w = (Z_j / 10) exp(-r) (1 - (r/5)^2)^2` the energy is `sum over atoms of (sum of w)^2 + |sum of w v|^2`, v being the vector of
//! the edge; the second term is left out where a file knows only lengths. In float64 here.

use std::path::Path;

use ndarray::{Array1, Array2};
use temper::crystal::{Element, Lattice, Structure, neighbours};
use temper::graph::onnx::ModelProto;
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, Value, encode};

/// Angstrom.
const CUTOFF: f64 = 5.0;

/// The atomic numbers of the elements that files know, in the order of their columns.
pub const ELEMENTS: [usize; 6] = [17, 12, 16, 14, 13, 11];

/// What a file takes of its edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Edges {
    /// Positions, cell and offsets in cells.
    Shift,
    /// Positions and Cartesian offsets.
    Cartesian,
    /// Vectors alone.
    Vector,
    /// Positions and Cartesian offsets for the weights, vectors for their directions.
    Both,
    /// Lengths alone.
    Length,
}

/// How a file says which element an atom is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Species {
    Numbers,
    Index,
    OneHot,
}

/// How a file has its inputs and outputs.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub edges: Edges,
    pub species: Species,
    /// Names of the inputs: those of the contract, and others.
    pub names: &'static [(&'static str, &'static str)],
    /// -1 where shifts and vectors point the other way.
    pub sign: f64,
    /// Centre and neighbour as two inputs.
    pub separate: bool,
    /// For one crystal: `cell [3, 3]`, `pbc [3]`, a scalar energy, positions `[1, n, 3]`, no batch.
    pub single: bool,
    /// Counts of atoms in place of a batch.
    pub counts: bool,
    /// A charge of each crystal `[b, 1]` and an energy `[b, 1]`.
    pub columns: bool,
    pub float: DataType,
}

impl Default for Field {
    fn default() -> Self {
        Self {
            edges: Edges::Shift,
            species: Species::Numbers,
            names: &[],
            sign: 1.0,
            separate: false,
            single: false,
            counts: false,
            columns: false,
            float: DataType::F32,
        }
    }
}

impl Field {
    /// Writes the file, with metadata.
    pub fn write(&self, path: &Path, metadata: &[(&str, &str)]) {
        std::fs::write(path, encode(&self.model(metadata))).unwrap();
    }

    fn name(&self, contract: &'static str) -> &'static str {
        self.names.iter().find(|(known, _)| *known == contract).map_or(contract, |(_, name)| *name)
    }

    fn model(&self, metadata: &[(&str, &str)]) -> ModelProto {
        let mut b = Builder::new();
        let [n, m, e] = ["n", "b", "e"].map(|name| b.symbol(name));
        let three = Dim::Known(3);
        let charges = self.charges(&mut b, n);
        let batch = self.batch(&mut b, n, m, charges);
        let [centre, neighbour] = self.ends(&mut b, e);
        let (mut positions, mut cell) = (None, None);
        if matches!(self.edges, Edges::Shift | Edges::Cartesian | Edges::Both) {
            let shape: &[Dim] = if self.single { &[Dim::Known(1), n, three] } else { &[n, three] };
            let given = b.input(self.name("positions"), self.float, shape);
            positions = Some(if self.single { b.reshape(given, &[-1, 3]) } else { given });
        }
        if self.edges == Edges::Shift {
            let shape: &[Dim] = if self.single { &[three, three] } else { &[m, three, three] };
            let given = b.input(self.name("cell"), self.float, shape);
            cell = Some(if self.single { b.unsqueeze(given, &[0]) } else { given });
        }
        let vector = |b: &mut Builder, name: &'static str| {
            let given = b.input(self.name(name), self.float, &[e, three]);
            if self.sign < 0.0 { b.neg(given) } else { given }
        };
        let along = match (self.edges, positions) {
            (Edges::Vector | Edges::Both, _) => Some(vector(&mut b, "edge_vector")),
            (Edges::Shift, Some(positions)) => {
                let shift = vector(&mut b, "edge_shift");
                let crystal = b.gather(batch, centre, 0);
                let cells = cell.map(|cell| b.gather(cell, crystal, 0)).unwrap();
                let shift = b.unsqueeze(shift, &[1]);
                let shift = b.matmul(shift, cells);
                let shift = b.squeeze(shift, &[1]);
                Some(difference(&mut b, positions, [centre, neighbour], shift))
            }
            (Edges::Cartesian, Some(positions)) => {
                let shift = vector(&mut b, "edge_shift_cartesian");
                Some(difference(&mut b, positions, [centre, neighbour], shift))
            }
            _ => None,
        };
        let measured = match (self.edges, positions) {
            (Edges::Both, Some(positions)) => {
                let shift = vector(&mut b, "edge_shift_cartesian");
                Some(difference(&mut b, positions, [centre, neighbour], shift))
            }
            _ => along,
        };
        let length = match measured {
            Some(vector) => {
                let last = b.ints(&[-1]);
                b.node("ReduceL2", &[vector, last], Attributes::none().int("keepdims", 0))
            }
            None => {
                let given = b.input(self.name("edge_length"), self.float, &[e, Dim::Known(1)]);
                b.squeeze(given, &[1])
            }
        };
        let energies = atoms(&mut b, charges, [centre, neighbour], length, along);
        let energy = self.totals(&mut b, energies, batch, m);
        b.output("energy", energy);
        let keys: Vec<String> = metadata.iter().map(|(key, _)| format!("temper.{key}")).collect();
        let metadata: Vec<(&str, &str)> =
            keys.iter().zip(metadata).map(|(key, (_, value))| (key.as_str(), *value)).collect();
        b.finish("field", &metadata).unwrap()
    }

    /// `Z / 10` of each atom.
    fn charges(&self, b: &mut Builder, n: Dim) -> Value {
        let constant = |values: Vec<f64>| -> Tensor {
            match self.float {
                DataType::F64 => Array1::from_vec(values).into(),
                _ => Array1::from_vec(values).mapv(|x| x as f32).into(),
            }
        };
        let listed: Vec<f64> = ELEMENTS.iter().map(|z| *z as f64 / 10.0).collect();
        match self.species {
            Species::Numbers => {
                let numbers = b.input(self.name("atomic_numbers"), DataType::I64, &[n]);
                let table = b.constant(constant((0..119).map(|z| f64::from(z) / 10.0).collect()));
                b.gather(table, numbers, 0)
            }
            Species::Index => {
                let places = b.input(self.name("species_index"), DataType::I64, &[n]);
                let table = b.constant(constant(listed));
                b.gather(table, places, 0)
            }
            Species::OneHot => {
                let columns = Dim::Known(ELEMENTS.len() as i64);
                let given = b.input(self.name("species_one_hot"), self.float, &[n, columns]);
                let table = b.constant(constant(listed));
                let table = b.unsqueeze(table, &[1]);
                let found = b.matmul(given, table);
                b.squeeze(found, &[1])
            }
        }
    }

    /// The crystal of each atom.
    fn batch(&self, b: &mut Builder, n: Dim, m: Dim, charges: Value) -> Value {
        if self.counts {
            // How many crystals end before the atom.
            let counts = b.input(self.name("n_atoms"), DataType::I64, &[m]);
            let zero = b.constant(ndarray::arr0(0i64));
            let ends = b.node("CumSum", &[counts, zero], Attributes::none());
            let count = b.count(charges);
            let places = b.positions(count);
            let (places, ends) = (b.unsqueeze(places, &[1]), b.unsqueeze(ends, &[0]));
            let after = b.node("GreaterOrEqual", &[places, ends], Attributes::none());
            let after = b.cast(after, DataType::I64);
            return b.reduce_sum(after, &[1], false);
        }
        if self.single {
            let zero = b.zeros_like(charges);
            return b.cast(zero, DataType::I64);
        }
        b.input(self.name("batch"), DataType::I64, &[n])
    }

    fn ends(&self, b: &mut Builder, e: Dim) -> [Value; 2] {
        if self.separate {
            return ["edge_centre", "edge_neighbour"].map(|name| b.input(self.name(name), DataType::I64, &[e]));
        }
        let index = b.input(self.name("edge_index"), DataType::I64, &[Dim::Known(2), e]);
        [0i64, 1].map(|row| {
            let row = b.constant(ndarray::arr0(row));
            b.gather(index, row, 0)
        })
    }

    fn totals(&self, b: &mut Builder, energies: Value, batch: Value, m: Dim) -> Value {
        if self.single {
            let pbc = b.input(self.name("pbc"), DataType::Bool, &[Dim::Known(3)]);
            let pbc = b.cast(pbc, self.float);
            let all = b.node("ReduceMin", &[pbc], Attributes::none().int("keepdims", 0));
            let sum = b.sum_all(energies);
            return b.mul(sum, all);
        }
        let charge = self.columns.then(|| b.input(self.name("charge"), self.float, &[m, Dim::Known(1)]));
        let none = match charge {
            Some(charge) => b.squeeze(charge, &[1]),
            None => {
                let last = b.node("ReduceMax", &[batch], Attributes::none().int("keepdims", 0));
                let one = b.constant(ndarray::arr0(1i64));
                let crystals = b.add(last, one);
                let crystals = b.unsqueeze(crystals, &[0]);
                let zero = b.constant(Array1::<i64>::zeros(1));
                let none = b.node("Expand", &[zero, crystals], Attributes::none());
                b.cast(none, self.float)
            }
        };
        let add = Attributes::none().string("reduction", "add");
        let energy = b.node("ScatterElements", &[none, batch, energies], add);
        let energy = b.assume_shape(energy, &[m]);
        if self.columns { b.unsqueeze(energy, &[1]) } else { energy }
    }
}

/// `positions[j] + shift - positions[i]`.
fn difference(b: &mut Builder, positions: Value, [centre, neighbour]: [Value; 2], shift: Value) -> Value {
    let (from, to) = (b.gather(positions, centre, 0), b.gather(positions, neighbour, 0));
    let difference = b.sub(to, from);
    b.add(difference, shift)
}

/// The energy of each atom.
fn atoms(b: &mut Builder, charges: Value, ends: [Value; 2], length: Value, along: Option<Value>) -> Value {
    let [centre, neighbour] = ends;
    let negative = b.neg(length);
    let decay = b.exp(negative);
    let fraction = b.mul_scalar(length, 1.0 / CUTOFF);
    let square = b.mul(fraction, fraction);
    let rest = b.neg(square);
    let rest = b.add_scalar(rest, 1.0);
    let rest = b.relu(rest);
    let smooth = b.mul(rest, rest);
    let of_neighbour = b.gather(charges, neighbour, 0);
    let weight = b.mul(decay, smooth);
    let weight = b.mul(weight, of_neighbour);
    let add = || Attributes::none().string("reduction", "add");
    let none = b.zeros_like(charges);
    let density = b.node("ScatterElements", &[none, centre, weight], add());
    let energy = b.mul(density, density);
    let Some(along) = along else { return energy };
    let column = b.unsqueeze(weight, &[1]);
    let weighted = b.mul(along, column);
    let zero = b.unsqueeze(none, &[1]);
    let zero = b.concat(&[zero, zero, zero], 1);
    let rows = b.unsqueeze(centre, &[1]);
    let field = b.node("ScatterND", &[zero, rows, weighted], add());
    let field = b.mul(field, field);
    let field = b.reduce_sum(field, &[1], false);
    b.add(energy, field)
}

/// Three crystals of low symmetry, of elements from sodium to chlorine.
pub fn crystals() -> Vec<Structure> {
    let crystal = |cell, atoms: &[(u8, [f64; 3])]| {
        let species = atoms.iter().map(|(z, _)| Element::from_number(*z).unwrap()).collect();
        Structure::new(Lattice(cell), species, atoms.iter().map(|(_, r)| *r).collect()).unwrap()
    };
    vec![
        crystal([[4.1, 0.2, 0.0], [0.0, 3.9, 0.3], [0.1, 0.0, 4.3]], &[(11, [0.1, 0.0, 0.2]), (17, [0.55, 0.4, 0.61])]),
        crystal([[2.9, 0.0, 0.0], [0.4, 3.0, 0.0], [0.0, 0.3, 2.8]], &[(13, [0.3, 0.2, 0.1])]),
        crystal(
            [[5.0, 0.0, 0.4], [1.1, 4.6, 0.0], [0.0, -0.7, 5.2]],
            &[(12, [0.0, 0.1, 0.0]), (16, [0.5, 0.5, 0.45]), (14, [0.52, 0.0, 0.5])],
        ),
    ]
}

/// Energy of a crystal, eV, in double precision. `lengths` leaves the second term out.
pub fn energy(structure: &Structure, lengths: bool) -> f64 {
    let list = neighbours(structure, CUTOFF, None, 100_000).unwrap();
    let positions = structure.positions();
    let mut sums = Array2::<f64>::zeros((structure.len(), 4));
    for e in 0..list.len() {
        let (i, j) = (list.centre[e] as usize, list.neighbour[e] as usize);
        let shift = structure.lattice.cartesian(list.shift[e].map(f64::from));
        let r = list.distance[e];
        let charge = f64::from(structure.species[j].number()) / 10.0;
        let weight = charge * (-r).exp() * (1.0 - (r / CUTOFF).powi(2)).powi(2);
        sums[[i, 0]] += weight;
        for k in 0..3 {
            sums[[i, k + 1]] += weight * (positions[j][k] + shift[k] - positions[i][k]);
        }
    }
    let columns = if lengths { 1 } else { 4 };
    sums.rows().into_iter().map(|row| row.iter().take(columns).map(|x| x * x).sum::<f64>()).sum()
}
