//! A pair potential as an ONNX file, in whatever convention, right or broken.

use std::path::Path;

use ndarray::{Array1, arr0};
use temper::crystal::{Element, Lattice, Structure, neighbours};
use temper::graph::onnx::ModelProto;
use temper::graph::{Attributes, Builder, DataType, Dim, Tensor, Value, encode};

/// Angstrom.
const CUTOFF: f64 = 5.0;

/// What the file must say of itself.
pub const METADATA: [(&str, &str); 3] = [("contract", "1"), ("cutoff", "5.0"), ("elements", "1-94")];

/// The sum over edges of `(Z_i + Z_j) / 100 exp(-r) (1 - (r/5)^2)^2` eV, and how a file has it.
#[derive(Clone, Copy)]
pub struct Pair {
    /// Element type.
    pub float: DataType,
    /// The operator that adds up the edges of a crystal.
    pub scatter: &'static str,
    /// Whether it adds at all.
    pub adds: bool,
    /// The file's energy for one eV.
    pub scale: f64,
    /// Angstroms in the file's unit of length.
    pub length: f64,
    /// Whether energies are per atom.
    pub per_atom: bool,
    /// Exported for one crystal: no `batch`.
    pub single: bool,
    /// Crystals that the file was exported for.
    pub crystals: Option<i64>,
    /// Whether the mean of the batch is added to each energy.
    pub leaks: bool,
    /// Whether energies have steps, of which no derivative tells.
    pub rough: bool,
    /// The element that has no number.
    pub nan_at: Option<usize>,
    /// An output `forces`: this times the derivative by the positions.
    pub forces: Option<f64>,
    /// Name of the positions.
    pub positions: &'static str,
    /// Whether positions come as one row of numbers.
    pub flat: bool,
    /// Added to the energy of each atom.
    pub offset: f64,
    /// An output `twice`, the doubled energy of the cell, and one `mixed`, that of the cell and of one atom together.
    pub more: bool,
    /// Whether it is zero beyond its cutoff.
    pub ends: bool,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            float: DataType::F32,
            scatter: "ScatterElements",
            adds: true,
            scale: 1.0,
            length: 1.0,
            per_atom: false,
            single: false,
            crystals: None,
            leaks: false,
            rough: false,
            nan_at: None,
            forces: None,
            positions: "positions",
            flat: false,
            offset: 0.0,
            more: false,
            ends: false,
        }
    }
}

impl Pair {
    /// Writes the file, with metadata.
    pub fn write(&self, path: &Path, metadata: &[(&str, &str)]) {
        std::fs::write(path, encode(&self.model(metadata))).unwrap();
    }

    /// The model, with metadata.
    pub fn model(&self, metadata: &[(&str, &str)]) -> ModelProto {
        let mut b = Builder::new();
        let n = b.symbol("n");
        let three = Dim::Known(3);
        let crystals = match (self.single, self.crystals) {
            (true, _) => Dim::Known(1),
            (_, Some(fixed)) => Dim::Known(fixed),
            _ => b.symbol("b"),
        };
        let numbers = b.input("atomic_numbers", DataType::I64, &[n]);
        let axes: &[Dim] = if self.flat { &[n] } else { &[n, three] };
        let given = b.input(self.positions, self.float, axes);
        let cell = b.input("cell", self.float, &[crystals, three, three]);
        let positions = if self.flat { b.reshape(given, &[-1, 3]) } else { given };
        let batch = if self.single { b.mul_scalar(numbers, 0.0) } else { b.input("batch", DataType::I64, &[n]) };
        let edges = self.edges(&mut b, numbers, positions, cell, batch);
        let level = b.reduce_sum(cell, &[1, 2], false);
        let none = b.zeros_like(level);
        let mut energy = self.summed(&mut b, none, edges);
        if self.offset != 0.0 {
            let ones = b.reduce_sum(positions, &[1], false);
            let offsets = b.filled_like(ones, self.offset);
            energy =
                b.node("ScatterElements", &[energy, batch, offsets], Attributes::none().string("reduction", "add"));
        }
        if self.per_atom {
            let ones = b.reduce_sum(positions, &[1], false);
            let ones = b.filled_like(ones, 1.0);
            let add = Attributes::none().string("reduction", "add");
            let count = b.node("ScatterElements", &[none, batch, ones], add);
            energy = b.div(energy, count);
        }
        if self.leaks {
            let mean = b.node("ReduceMean", &[energy], Attributes::none().int("keepdims", 1));
            let mean = b.mul_scalar(mean, 0.1);
            let own = b.mul_scalar(energy, 0.9);
            energy = b.add(own, mean);
        }
        let forces = self.forces.map(|factor| {
            let slope = b.differentiate(energy, &[given]).unwrap()[0];
            b.mul_scalar(slope, factor)
        });
        b.output("energy", energy);
        if self.more {
            let twice = b.mul_scalar(energy, 2.0);
            b.output("twice", twice);
            let ones = b.reduce_sum(positions, &[1], false);
            let ones = b.filled_like(ones, 1.0);
            let add = Attributes::none().string("reduction", "add");
            let count = b.node("ScatterElements", &[none, batch, ones], add);
            let mean = b.div(energy, count);
            let mixed = b.add(energy, mean);
            b.output("mixed", mixed);
        }
        forces.into_iter().for_each(|forces| b.output("forces", forces));
        let keys: Vec<String> = metadata.iter().map(|(key, _)| format!("temper.{key}")).collect();
        let metadata: Vec<(&str, &str)> =
            keys.iter().zip(metadata).map(|(key, (_, value))| (key.as_str(), *value)).collect();
        b.finish("pair", &metadata).unwrap()
    }

    /// The crystal and the energy of each edge.
    fn edges(&self, b: &mut Builder, numbers: Value, positions: Value, cell: Value, batch: Value) -> [Value; 2] {
        let e = b.symbol("e");
        let edge_index = b.input("edge_index", DataType::I64, &[Dim::Known(2), e]);
        let edge_shift = b.input("edge_shift", self.float, &[e, Dim::Known(3)]);
        let (zero, one) = (b.constant(arr0(0i64)), b.constant(arr0(1i64)));
        let (centre, other) = (b.gather(edge_index, zero, 0), b.gather(edge_index, one, 0));
        let (from, to) = (b.gather(positions, centre, 0), b.gather(positions, other, 0));
        let crystal = b.gather(batch, centre, 0);
        let cells = b.gather(cell, crystal, 0);
        let shift = b.unsqueeze(edge_shift, &[1]);
        let shift = b.matmul(shift, cells);
        let shift = b.squeeze(shift, &[1]);
        let difference = b.sub(to, from);
        let difference = b.add(difference, shift);
        let last = b.ints(&[-1]);
        let length = b.node("ReduceL2", &[difference, last], Attributes::none().int("keepdims", 0));
        let length = b.mul_scalar(length, self.length);
        let negative = b.neg(length);
        let decay = b.exp(negative);
        let fraction = b.mul_scalar(length, 1.0 / CUTOFF);
        let square = b.mul(fraction, fraction);
        let rest = b.neg(square);
        let rest = b.add_scalar(rest, 1.0);
        let rest = if self.ends { b.relu(rest) } else { rest };
        let smooth = b.mul(rest, rest);
        let charges = self.charges(b);
        let charges = b.gather(charges, numbers, 0);
        let (first, second) = (b.gather(charges, centre, 0), b.gather(charges, other, 0));
        let charge = b.add(first, second);
        let energy = b.mul(decay, smooth);
        let mut energy = b.mul(energy, charge);
        if self.rough {
            let steps = b.mul_scalar(length, 20.0);
            let steps = b.node("Floor", &[steps], Attributes::none());
            let steps = b.mul_scalar(steps, 0.05);
            energy = b.add(energy, steps);
        }
        [crystal, b.mul_scalar(energy, self.scale)]
    }

    /// `Z / 100` by atomic number.
    fn charges(&self, b: &mut Builder) -> Value {
        let charge = |z: usize| if self.nan_at == Some(z) { f64::NAN } else { z as f64 / 100.0 };
        let table: Tensor = match self.float {
            DataType::F64 => Array1::from_shape_fn(119, charge).into(),
            _ => Array1::from_shape_fn(119, |z| charge(z) as f32).into(),
        };
        b.constant(table)
    }

    fn summed(&self, b: &mut Builder, none: Value, [crystal, energy]: [Value; 2]) -> Value {
        let how = if self.adds { Attributes::none().string("reduction", "add") } else { Attributes::none() };
        let index = if self.scatter == "ScatterND" { b.unsqueeze(crystal, &[-1]) } else { crystal };
        b.node(self.scatter, &[none, index, energy], how)
    }
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

/// Energy of a crystal, eV: the same sum in double precision, from the distances of the neighbour list.
pub fn energy(structure: &Structure) -> f64 {
    let list = neighbours(structure, CUTOFF, None, 100_000).unwrap();
    let charge = |atom: u32| f64::from(structure.species[atom as usize].number()) / 100.0;
    let edge = |e: usize| {
        let r = list.distance[e];
        (charge(list.centre[e]) + charge(list.neighbour[e])) * (-r).exp() * (1.0 - (r / CUTOFF).powi(2)).powi(2)
    };
    (0..list.len()).map(edge).sum()
}
