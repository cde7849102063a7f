//! Crystals as numbers: elements, lattices, space groups with their Wyckoff positions, tokens, neighbour lists, and the text
//! formats they come in and go out as. Knows no model, no file of ours, and nothing of training.

mod composition;
mod element;
mod equivalent;
mod files;
mod formula_family;
mod mass;
mod neighbours;
mod non_finite;
#[cfg(test)]
pub(crate) mod npz;
mod operation;
mod orbits;
mod repeats;
mod rows;
mod space_group;
mod standard;
mod structure;
mod symmetry_operations;
#[cfg(test)]
mod testing;
mod textbook;
mod token_file;
mod token_json;
mod tokenise;
mod tokens;
mod wyckoff;

pub use composition::{Composition, CompositionError};
pub use element::{Element, NOBLE_GASES, RADIOACTIVE};
pub use equivalent::{EquivalentError, equivalent_descriptions};
pub use files::{
    Format, MAX_ATOMS, MAX_VECTOR, PairError, PairRecord, ReadError, Record, RecordWarning, Records, RowError,
    StructureWriter, WriteError, files_at, read_pairs, read_structures, read_structures_as, write_structures,
};
pub use formula_family::{FormulaFamily, FormulaFamilyError};
pub use neighbours::{ClosestPair, NeighbourError, Neighbours, closest_pair, neighbours, smallest_distance};
pub use non_finite::QuoteNonFinite;
pub use orbits::Orbits;
pub use repeats::Repeats;
pub use rows::{for_each_chunk, map_ok, try_map_ok};
pub use space_group::{CRYSTAL_SYSTEMS, SpaceGroup, SpaceGroupError};
pub use standard::{Description, standard_description};
pub use structure::{Lattice, OVERLAP, Structure, StructureError};
pub use symmetry_operations::{SymmetryOperation, symmetry_operations};
pub use textbook::{TEXTBOOK, TextbookCrystal};
pub use token_file::{TokenFileError, TokenRecord, TokenRowError, encode_tokens, read_tokens};
pub use token_json::{StoredTokens, tokens_from_json, tokens_json};
pub use tokenise::{SYMPREC, Symmetry, TokeniseError, symmetry, tokenise};
pub use tokens::{Site, TokenError, Tokens};
pub use wyckoff::{Affine, WyckoffPosition, wyckoff_position, wyckoff_positions};
