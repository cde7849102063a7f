//! Crystals as graphs of atoms and their neighbours, and these as the arrays of the contract.

use ndarray::{ArrayD, IxDyn};

use super::{Axis, Contract, EvaluationError, InputKind, ModelInput};
use crate::crystal::{Lattice, NeighbourError, Neighbours, OVERLAP, Structure, neighbours, smallest_distance};
use crate::graph::{DataType, Tensor};

/// A crystal as a model takes it: right-handed, atoms inside the cell, with its neighbours.
pub(super) struct AtomGraph {
    numbers: Vec<i64>,
    /// Cartesian, angstrom.
    positions: Vec<[f64; 3]>,
    cell: Lattice,
    neighbours: Neighbours,
}

/// The same crystal with atoms inside the cell; a left-handed cell is described by the negative vectors and coordinates,
/// which leaves every atom where it is.
fn right_handed(structure: &Structure) -> Structure {
    let sign = structure.lattice.signed_volume().signum();
    Structure {
        lattice: Lattice(structure.lattice.0.map(|v| v.map(|x| sign * x))),
        species: structure.species.clone(),
        frac: structure.frac.iter().map(|r| r.map(|x| (sign * x).rem_euclid(1.0))).collect(),
    }
}

fn unlisted(error: NeighbourError) -> EvaluationError {
    match error {
        NeighbourError::TooMany { .. } => EvaluationError::TooDense(error.to_string()),
        other => EvaluationError::Failed(other.to_string()),
    }
}

fn no_atom_alone(structure: &Structure, list: &Neighbours, cutoff: f64) -> Result<(), EvaluationError> {
    let mut has_neighbour = vec![false; structure.len()];
    for &centre in &list.centre {
        has_neighbour[centre as usize] = true;
    }
    match has_neighbour.iter().position(|has| !has) {
        Some(atom) => Err(EvaluationError::Isolated { atom: atom + 1, element: structure.species[atom], cutoff }),
        None => Ok(()),
    }
}

impl AtomGraph {
    /// The graph of a crystal for a model; `limit` bounds the edges and the triplets of one crystal. An atom without
    /// neighbours, of which most models make a meaningless number, is an error.
    pub fn new(structure: &Structure, contract: &Contract, limit: usize) -> Result<Self, EvaluationError> {
        let graph = Self::with_isolated_atoms(structure, contract, limit)?;
        match contract.cutoff {
            Some(cutoff) => no_atom_alone(structure, &graph.neighbours, cutoff).map(|()| graph),
            None => Ok(graph),
        }
    }

    /// As [`Self::new`], but atoms may be without neighbours.
    pub fn with_isolated_atoms(
        structure: &Structure,
        contract: &Contract,
        limit: usize,
    ) -> Result<Self, EvaluationError> {
        if let Some(element) = structure.species.iter().find(|element| !contract.knows(**element)) {
            return Err(EvaluationError::Element(*element));
        }
        let structure = right_handed(structure);
        let list = match contract.cutoff {
            Some(cutoff) => neighbours(&structure, cutoff, contract.triplet_cutoff, limit).map_err(unlisted)?,
            None => Neighbours::default(),
        };
        let shortest = list.distance.iter().copied().reduce(f64::min);
        let distance = shortest.unwrap_or_else(|| smallest_distance(&structure));
        if distance < OVERLAP {
            return Err(EvaluationError::TooClose { distance, bound: OVERLAP });
        }
        Ok(Self {
            numbers: structure.species.iter().map(|element| i64::from(element.number())).collect(),
            positions: structure.positions(),
            cell: structure.lattice,
            neighbours: list,
        })
    }

    pub fn atoms(&self) -> usize {
        self.numbers.len()
    }

    /// Replaces every position by NaN; the lists of neighbours stay.
    pub fn poison(&mut self) {
        self.positions.fill([f64::NAN; 3]);
    }

    /// What evaluating it costs, in edges and triplets.
    pub fn cost(&self) -> usize {
        self.neighbours.len() + self.neighbours.triplets.len()
    }

    /// From the centre to the neighbour of each edge, angstrom.
    fn edge_vectors(&self) -> impl Iterator<Item = [f64; 3]> {
        (0..self.neighbours.len()).map(|edge| {
            let (i, j) = (self.neighbours.centre[edge] as usize, self.neighbours.neighbour[edge] as usize);
            let shift = self.shift(edge);
            std::array::from_fn(|k| self.positions[j][k] + shift[k] - self.positions[i][k])
        })
    }

    /// The cell offset of an edge's neighbour, Cartesian, angstrom.
    fn shift(&self, edge: usize) -> [f64; 3] {
        self.cell.cartesian(self.neighbours.shift[edge].map(f64::from))
    }
}

/// Crystals that are evaluated together.
struct Batch<'a> {
    crystals: &'a [AtomGraph],
    contract: &'a Contract,
}

/// The tensor of one input for a batch of crystals.
pub(super) fn tensor(input: &ModelInput, crystals: &[AtomGraph], contract: &Contract) -> Tensor {
    let batch = Batch { crystals, contract };
    let shape: Vec<usize> = input.axes.iter().map(|axis| batch.length(*axis, input)).collect();
    match input.kind {
        InputKind::Constant(value) => floats(input, ArrayD::from_elem(IxDyn(&shape), value)),
        kind => match batch.numbers(kind, input.factor) {
            Numbers::Floats(values) => floats(input, in_rows(values, &shape, is_turned(input))),
            Numbers::Integers(values) => integers(input, in_rows(values, &shape, is_turned(input))),
        },
    }
}

/// Numbers in row-major order of the contract's axes.
enum Numbers {
    Floats(Vec<f64>),
    Integers(Vec<i64>),
}

impl Batch<'_> {
    fn length(&self, axis: Axis, input: &ModelInput) -> usize {
        let sum = |count: fn(&AtomGraph) -> usize| self.crystals.iter().map(count).sum();
        match axis {
            Axis::Atoms => sum(AtomGraph::atoms),
            Axis::Crystals => self.crystals.len(),
            Axis::CrystalsAndOne => self.crystals.len() + 1,
            Axis::Edges => sum(|c| c.neighbours.len()),
            Axis::Triplets => sum(|c| c.neighbours.triplets.len()),
            Axis::Species => input.declared_width.unwrap_or_else(|| self.contract.species()),
            Axis::Fixed(length) => usize::try_from(length).unwrap_or(0),
        }
    }

    /// What the host supplies, lengths times `factor`.
    fn numbers(&self, kind: InputKind, factor: f64) -> Numbers {
        use Numbers::{Floats, Integers};
        let crystals = self.crystals;
        let lists = || with_offsets(crystals).map(|(c, atom, edge)| (&c.neighbours, atom, edge));
        let scaled = |values: &mut dyn Iterator<Item = f64>| Floats(values.map(|x| x * factor).collect());
        let counts = |count: fn(&AtomGraph) -> usize| Integers(crystals.iter().map(|c| count(c) as i64).collect());
        let centres = || lists().flat_map(|(l, atom, _)| l.centre.iter().map(move |i| atom + i64::from(*i)));
        let others = || lists().flat_map(|(l, atom, _)| l.neighbour.iter().map(move |j| atom + i64::from(*j)));
        match kind {
            InputKind::AtomicNumbers => Integers(crystals.iter().flat_map(|c| c.numbers.iter().copied()).collect()),
            InputKind::SpeciesIndex => Integers(self.places().map(|place| place as i64).collect()),
            InputKind::SpeciesOneHot => Floats(self.one_hot()),
            InputKind::Positions => scaled(&mut crystals.iter().flat_map(|c| c.positions.iter().flatten().copied())),
            InputKind::Cell => scaled(&mut crystals.iter().flat_map(|c| c.cell.0.into_iter().flatten())),
            InputKind::Pbc => Integers(vec![1; 3 * crystals.len()]),
            InputKind::Batch => {
                let crystal = |(i, c): (usize, &AtomGraph)| std::iter::repeat_n(i as i64, c.atoms());
                Integers(crystals.iter().enumerate().flat_map(crystal).collect())
            }
            InputKind::AtomCounts => counts(AtomGraph::atoms),
            InputKind::EdgeCounts => counts(|c| c.neighbours.len()),
            InputKind::FirstAtoms => {
                let ends = crystals.iter().scan(0, |atoms, c| {
                    *atoms += c.atoms() as i64;
                    Some(*atoms)
                });
                Integers(std::iter::once(0).chain(ends).collect())
            }
            InputKind::EdgeIndex => Integers(centres().chain(others()).collect()),
            InputKind::EdgeCentre => Integers(centres().collect()),
            InputKind::EdgeNeighbour => Integers(others().collect()),
            InputKind::EdgeShift => {
                scaled(&mut lists().flat_map(|(l, ..)| l.shift.iter().flatten().map(|x| f64::from(*x))))
            }
            InputKind::EdgeShiftCartesian => {
                scaled(&mut crystals.iter().flat_map(|c| (0..c.neighbours.len()).flat_map(|edge| c.shift(edge))))
            }
            InputKind::EdgeVector => scaled(&mut crystals.iter().flat_map(|c| c.edge_vectors().flatten())),
            InputKind::EdgeLength => {
                let length = |v: [f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
                scaled(&mut crystals.iter().flat_map(|c| c.edge_vectors().map(length)))
            }
            InputKind::EdgeReverse => {
                let reverse = lists().flat_map(|(l, _, edge)| l.reverse.iter().map(move |r| edge + i64::from(*r)));
                Integers(reverse.collect())
            }
            InputKind::TripletIndex => {
                let side = |k: usize| {
                    lists().flat_map(move |(l, _, edge)| l.triplets.iter().map(move |pair| edge + i64::from(pair[k])))
                };
                Integers(side(0).chain(side(1)).collect())
            }
            InputKind::State => Integers(vec![self.contract.state; crystals.len()]),
            InputKind::Constant(value) => Floats(vec![value]),
        }
    }

    /// The place of each atom's element in the list of elements.
    fn places(&self) -> impl Iterator<Item = usize> {
        let numbers = self.crystals.iter().flat_map(|c| c.numbers.iter());
        // An element that is not in the list is refused before.
        numbers.map(|number| self.contract.place(*number).unwrap_or(0))
    }

    fn one_hot(&self) -> Vec<f64> {
        let width = self.contract.species();
        self.places().flat_map(|place| (0..width).map(move |column| f64::from(u8::from(column == place)))).collect()
    }
}

/// Each crystal with the number of atoms and of edges before it.
fn with_offsets(crystals: &[AtomGraph]) -> impl Iterator<Item = (&AtomGraph, i64, i64)> {
    crystals.iter().scan((0, 0), |(atoms, edges), crystal| {
        let before = (crystal, *atoms, *edges);
        *atoms += crystal.atoms() as i64;
        *edges += crystal.neighbours.len() as i64;
        Some(before)
    })
}

/// Whether the file has the two rows of a list as columns.
fn is_turned(input: &ModelInput) -> bool {
    matches!(input.axes[..], [Axis::Edges | Axis::Triplets, Axis::Fixed(2)])
}

/// Values in a shape, or in that of two columns from two rows. A shape that does not hold them stays empty, which no session takes.
fn in_rows<T: Clone + Default>(values: Vec<T>, shape: &[usize], turned: bool) -> ArrayD<T> {
    let first = if turned { shape.iter().rev().copied().collect() } else { shape.to_vec() };
    let array = ArrayD::from_shape_vec(IxDyn(&first), values).unwrap_or_else(|_| ArrayD::default(IxDyn(&[0])));
    if turned { array.reversed_axes() } else { array }
}

fn floats(input: &ModelInput, values: ArrayD<f64>) -> Tensor {
    match input.data_type {
        DataType::F64 => values.into(),
        DataType::F32 => values.mapv(|x| x as f32).into(),
        _ => integers(input, values.mapv(|x| x as i64)),
    }
}

fn integers(input: &ModelInput, values: ArrayD<i64>) -> Tensor {
    match input.data_type {
        DataType::I32 => values.mapv(|x| x as i32).into(),
        DataType::F32 => values.mapv(|x| x as f32).into(),
        DataType::F64 => values.mapv(|x| x as f64).into(),
        DataType::Bool => values.mapv(|x| x != 0).into(),
        _ => values.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::Element;

    fn structure(cell: [[f64; 3]; 3], frac: Vec<[f64; 3]>) -> Structure {
        let species = vec![Element::from_symbol("Fe").unwrap(); frac.len()];
        Structure::new(Lattice(cell), species, frac).unwrap()
    }

    #[test]
    fn a_left_handed_cell_is_described_anew_and_no_atom_moves() {
        let cell = [[0.0, 3.0, 0.1], [3.0, 0.0, 0.0], [0.2, 0.0, 4.0]];
        let left = structure(cell, vec![[0.1, 0.2, 0.3], [-0.4, 1.7, 0.5]]);
        assert!(left.lattice.signed_volume() < 0.0);
        let right = right_handed(&left);
        assert!(right.lattice.signed_volume() > 0.0);
        for (before, after) in left.frac.iter().zip(&right.frac) {
            assert!(after.iter().all(|x| (0.0..1.0).contains(x)));
            // In the negative vectors the same place has the negative coordinates, up to whole cells.
            for (x, y) in before.iter().zip(after) {
                assert!(((x + y) - (x + y).round()).abs() < 1e-12);
            }
        }
        let unchanged = structure([[3.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 3.0]], vec![[0.1, 0.2, 0.3]]);
        assert_eq!(right_handed(&unchanged), unchanged);
    }

    /// Every array of a batch, against the definition of its entries.
    #[test]
    fn the_arrays_of_a_batch_follow_the_contract() {
        let chain = structure([[2.5, 0.0, 0.0], [0.0, 2.6, 0.0], [0.3, 0.0, 2.7]], vec![[0.0; 3]]);
        let pair = structure([[4.0, 0.0, 0.0], [0.0, 4.1, 0.0], [0.0, 0.5, 4.2]], vec![[0.0; 3], [0.5, 0.45, 0.4]]);
        let graph = |s: &Structure| AtomGraph {
            numbers: vec![26; s.len()],
            positions: s.positions(),
            cell: s.lattice,
            neighbours: neighbours(s, 4.5, Some(3.5), 10_000).unwrap(),
        };
        let batch = [graph(&chain), graph(&pair)];
        let contract = every_input();
        let fed = |name: &str| {
            let input = contract.inputs.iter().find(|input| input.name == name).unwrap();
            tensor(input, &batch, &contract)
        };
        let integer = |name| fed(name).as_i64().unwrap().clone();
        let float = |name| fed(name).as_f32().unwrap().clone();
        let (positions, cell, shift) = (float("positions"), float("cell"), float("edge_shift"));
        let (owner, edges, reverse) = (integer("batch"), integer("edge_index"), integer("edge_reverse"));
        let triplets = integer("triplet_index");
        assert_eq!(owner.iter().copied().collect::<Vec<_>>(), [0, 1, 1]);
        let along = |e: usize, k: usize| {
            let crystal = owner[edges[[0, e]] as usize] as usize;
            (0..3).map(|a| shift[[e, a]] * cell[[crystal, a, k]]).sum::<f32>()
        };
        let vector = |e: usize| {
            let (i, j) = (edges[[0, e]] as usize, edges[[1, e]] as usize);
            assert_eq!(owner[i], owner[j]);
            [0, 1, 2].map(|k| positions[[j, k]] + along(e, k) - positions[[i, k]])
        };
        let length = |e: usize| vector(e).map(|x| x * x).iter().sum::<f32>().sqrt();
        let (vectors, backwards, cartesian) = (float("edge_vector"), float("backwards"), float("edge_shift_cartesian"));
        let (lengths, columns) = (float("edge_length"), integer("columns"));
        let (centres, others) = (integer("edge_centre"), integer("edge_neighbour"));
        assert_eq!((lengths.shape()[1], columns.shape()[1]), (1, 2));
        for e in 0..edges.shape()[1] {
            assert!(length(e) > 2.0 && length(e) <= 4.5001);
            let r = reverse[e] as usize;
            assert_eq!((edges[[0, r]], edges[[1, r]]), (edges[[1, e]], edges[[0, e]]));
            assert_eq!(shift[[r, 1]], -shift[[e, 1]]);
            assert!((lengths[[e, 0]] - length(e)).abs() < 1e-5);
            assert_eq!([centres[e], others[e]], [edges[[0, e]], edges[[1, e]]]);
            assert_eq!([columns[[e, 0]], columns[[e, 1]]], [edges[[0, e]], edges[[1, e]]]);
            for (k, expected) in vector(e).into_iter().enumerate() {
                assert!((vectors[[e, k]] - expected).abs() < 1e-5 && (backwards[[e, k]] + expected).abs() < 1e-5);
                assert!((cartesian[[e, k]] - along(e, k)).abs() < 1e-5);
            }
        }
        assert!(triplets.shape()[1] > 30);
        for t in 0..triplets.shape()[1] {
            let (e, f) = (triplets[[0, t]] as usize, triplets[[1, t]] as usize);
            assert!(e != f && edges[[0, e]] == edges[[0, f]] && length(e) <= 3.5001 && length(f) <= 3.5001);
        }
        let counts = [batch[0].neighbours.len() as i64, batch[1].neighbours.len() as i64];
        assert_eq!(integer("n_edges").as_slice().unwrap(), counts);
        assert_eq!(integer("n_atoms").as_slice().unwrap(), [1, 2]);
        assert_eq!(integer("first_atom").as_slice().unwrap(), [0, 1, 3]);
        assert_eq!(integer("state").as_slice().unwrap(), [7, 7]);
        // Iron is the second of the elements 1, 26 and 8.
        assert_eq!(integer("species_index").as_slice().unwrap(), [1, 1, 1]);
        assert_eq!(float("species_one_hot").as_slice().unwrap(), [0.0, 1.0, 0.0].repeat(3));
        assert_eq!(fed("pbc"), ArrayD::from_elem(IxDyn(&[2, 3]), true).into());
        assert_eq!(fed("charge").shape(), [2, 1]);
        assert_eq!(float("per_atom").as_slice().unwrap(), [0.5; 3]);
    }

    /// A contract with every input, `edge_vector` a second time turned around, and constants.
    fn every_input() -> Contract {
        const F32: i32 = 1;
        const I64: i32 = 7;
        let inputs = [
            ("atomic_numbers", I64, vec!["n"]),
            ("species_index", I64, vec!["n"]),
            ("species_one_hot", F32, vec!["n", "3"]),
            ("positions", F32, vec!["n", "3"]),
            ("cell", F32, vec!["b", "3", "3"]),
            ("pbc", 9, vec!["b", "3"]),
            ("batch", I64, vec!["n"]),
            ("n_atoms", I64, vec!["b"]),
            ("first_atom", I64, vec!["c"]),
            ("n_edges", I64, vec!["b"]),
            ("edge_index", I64, vec!["2", "e"]),
            ("columns", I64, vec!["e", "2"]),
            ("edge_centre", I64, vec!["e"]),
            ("edge_neighbour", I64, vec!["e"]),
            ("edge_shift", F32, vec!["e", "3"]),
            ("edge_shift_cartesian", F32, vec!["e", "3"]),
            ("edge_vector", F32, vec!["e", "3"]),
            ("backwards", F32, vec!["e", "3"]),
            ("edge_length", F32, vec!["e", "1"]),
            ("edge_reverse", I64, vec!["e"]),
            ("triplet_index", I64, vec!["2", "t"]),
            ("state", I64, vec!["b"]),
            ("charge", F32, vec!["b", "1"]),
            ("per_atom", F32, vec!["n"]),
        ];
        let metadata = [("contract", "1"), ("cutoff", "4.5"), ("triplet_cutoff", "3.5"), ("elements", "1,26,8")];
        let bytes = crate::model::testing::model(&inputs, &[("energy", F32, vec!["b"])], &metadata);
        let folder = tempfile::tempdir().unwrap();
        let sidecar = "state.default = 7\n[inputs]\ncolumns = \"edge_index\"\nbackwards = \"-edge_vector\"\n\
            [constants]\ncharge = 0\nper_atom = 0.5\n";
        std::fs::write(folder.path().join("all.toml"), sidecar).unwrap();
        Contract::of_bytes(&bytes, &folder.path().join("all.onnx")).unwrap()
    }
}
