//! When two structures are the same crystal: the semantics of pymatgen's `StructureMatcher` (S. P. Ong et al., Comput. Mater.
//! Sci. 68, 314 (2013)), with its tolerances and its defaults. Knows no model and writes no file.
//!
//! Both structures are reduced first ([`reduce`](StructureMatcher::reduce): Niggli cell of a primitive cell), once for any number
//! of comparisons. Then every basis of the first lattice that resembles the second one's is tried, with every translation that
//! puts an atom of the rarest element onto one of its kind. Distances between paired atoms are in units of the average free
//! length per atom, (V / N)^(1/3).

mod assignment;
mod distinct;
mod index;
mod mapping;
mod matcher;
mod niggli;
mod primitive;
mod record;
mod reduce;

#[cfg(test)]
mod tests;

pub use distinct::DistinctStructures;
pub use index::{IndexError, StructureIndex, StructureIndexBuilder};
pub use matcher::{Displacement, StructureMatcher};
pub use reduce::{ReduceError, ReducedStructure};
