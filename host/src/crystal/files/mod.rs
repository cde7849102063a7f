//! Structures in and out of text files: CIF, POSCAR, extended XYZ, CSV with a `cif` column, and JSON lines, each also as `.gz`.
//! Files are worked row by row and never held whole: a row that makes no structure becomes an error of that row, and
//! only a file that cannot be read is an error of the whole. Refused: partial occupancy, non-periodic cells,
//! symmetry that has to be guessed.

mod cif;
mod csv_table;
mod extxyz;
mod extxyz_comment;
mod format;
mod json_lines;
mod pairs;
mod paths;
mod poscar;
mod read;
mod record;
mod source;
mod species;
mod write;

pub use format::Format;
pub use pairs::{PairError, PairRecord, read_pairs};
pub use paths::files_at;
pub use read::{ReadError, Records, read_structures, read_structures_as};
pub use record::{MAX_ATOMS, MAX_VECTOR, Record, RecordWarning, RowError};
pub use write::{StructureWriter, WriteError, write_structures};

#[cfg(test)]
mod tests;
