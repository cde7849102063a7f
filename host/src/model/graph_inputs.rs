//! Crystals as graphs of atoms and their neighbours, and these as the arrays of the contract.

use ndarray::{Array, Array1, Array2, Array3, ArrayD, Dimension, IxDyn};

use super::{Contract, EvaluationError, InputKind, ModelInput};
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
}

/// The tensor of one input for a batch; `state` is fed where a state is declared.
pub(super) fn tensor(input: &ModelInput, crystals: &[AtomGraph], state: i64) -> Tensor {
    let b = crystals.len();
    let n = crystals.iter().map(AtomGraph::atoms).sum();
    let e = crystals.iter().map(|c| c.neighbours.len()).sum();
    let t = crystals.iter().map(|c| c.neighbours.triplets.len()).sum();
    let lists = || with_offsets(crystals).map(|(c, atom, edge)| (&c.neighbours, atom, edge));
    match input.kind {
        InputKind::AtomicNumbers => {
            integers(input, Array1::from_iter(crystals.iter().flat_map(|c| c.numbers.iter().copied())))
        }
        InputKind::Positions => {
            let numbers = crystals.iter().flat_map(|c| c.positions.iter().flatten().map(|x| x * input.factor));
            floats(input, shaped(n, 3, numbers))
        }
        InputKind::Cell => {
            let cell = |(i, j, k): (usize, usize, usize)| crystals[i].cell.0[j][k] * input.factor;
            floats(input, Array3::from_shape_fn((b, 3, 3), cell))
        }
        InputKind::Batch => {
            let crystal = |(i, c): (usize, &AtomGraph)| std::iter::repeat_n(i as i64, c.atoms());
            integers(input, Array1::from_iter(crystals.iter().enumerate().flat_map(crystal)))
        }
        InputKind::EdgeIndex => {
            let centres = lists().flat_map(|(l, atom, _)| l.centre.iter().map(move |i| atom + i64::from(*i)));
            let others = lists().flat_map(|(l, atom, _)| l.neighbour.iter().map(move |j| atom + i64::from(*j)));
            integers(input, shaped(2, e, centres.chain(others)))
        }
        InputKind::EdgeShift => {
            let shifts = lists().flat_map(|(l, ..)| l.shift.iter().flatten().map(|x| f64::from(*x)));
            floats(input, shaped(e, 3, shifts))
        }
        InputKind::EdgeReverse => {
            let reverse = lists().flat_map(|(l, _, edge)| l.reverse.iter().map(move |r| edge + i64::from(*r)));
            integers(input, Array1::from_iter(reverse))
        }
        InputKind::TripletIndex => {
            let side = |k: usize| {
                lists().flat_map(move |(l, _, edge)| l.triplets.iter().map(move |pair| edge + i64::from(pair[k])))
            };
            integers(input, shaped(2, t, side(0).chain(side(1))))
        }
        InputKind::State => integers(input, Array1::from_elem(b, state)),
        InputKind::Constant(value) => constant(input, value, b),
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

/// `rows` x `columns` values in row-major order.
fn shaped<T: Copy + Default>(rows: usize, columns: usize, values: impl Iterator<Item = T>) -> Array2<T> {
    let mut array = Array2::default((rows, columns));
    array.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
    array
}

fn floats<D: Dimension>(input: &ModelInput, values: Array<f64, D>) -> Tensor {
    match input.data_type {
        DataType::F64 => values.into(),
        _ => values.mapv(|x| x as f32).into(),
    }
}

fn integers<D: Dimension>(input: &ModelInput, values: Array<i64, D>) -> Tensor {
    match input.data_type {
        DataType::I32 => values.mapv(|x| x as i32).into(),
        _ => values.into(),
    }
}

fn constant(input: &ModelInput, value: f64, crystals: usize) -> Tensor {
    let shape = vec![crystals; input.rank];
    match input.data_type {
        DataType::F32 | DataType::F64 => floats(input, ArrayD::from_elem(IxDyn(&shape), value)),
        _ => integers(input, ArrayD::from_elem(IxDyn(&shape), value as i64)),
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
        let fed = |kind, data_type| {
            tensor(&ModelInput { name: "x".into(), kind, data_type, rank: 1, factor: 1.0 }, &batch, 7)
        };
        let integer = |kind| fed(kind, DataType::I64).as_i64().unwrap().clone();
        let float = |kind| fed(kind, DataType::F32).as_f32().unwrap().clone();
        let (positions, cell, shift) =
            (float(InputKind::Positions), float(InputKind::Cell), float(InputKind::EdgeShift));
        let (owner, edges, reverse) =
            (integer(InputKind::Batch), integer(InputKind::EdgeIndex), integer(InputKind::EdgeReverse));
        let triplets = integer(InputKind::TripletIndex);
        assert_eq!(owner.iter().copied().collect::<Vec<_>>(), [0, 1, 1]);
        let length = |e: usize| {
            let (i, j) = (edges[[0, e]] as usize, edges[[1, e]] as usize);
            assert_eq!(owner[i], owner[j]);
            let along = |k: usize| (0..3).map(|a| shift[[e, a]] * cell[[owner[i] as usize, a, k]]).sum::<f32>();
            (0..3).map(|k| (positions[[j, k]] + along(k) - positions[[i, k]]).powi(2)).sum::<f32>().sqrt()
        };
        for e in 0..edges.shape()[1] {
            assert!(length(e) > 2.0 && length(e) <= 4.5001);
            let r = reverse[e] as usize;
            assert_eq!((edges[[0, r]], edges[[1, r]]), (edges[[1, e]], edges[[0, e]]));
            assert_eq!(shift[[r, 1]], -shift[[e, 1]]);
        }
        assert!(triplets.shape()[1] > 30);
        for t in 0..triplets.shape()[1] {
            let (e, f) = (triplets[[0, t]] as usize, triplets[[1, t]] as usize);
            assert!(e != f && edges[[0, e]] == edges[[0, f]] && length(e) <= 3.5001 && length(f) <= 3.5001);
        }
        assert_eq!(integer(InputKind::State).as_slice().unwrap(), [7, 7]);
        assert_eq!(float(InputKind::Constant(0.5)).as_slice().unwrap(), [0.5, 0.5]);
        assert_eq!(fed(InputKind::Positions, DataType::F64).shape(), [3, 3]);
    }
}
