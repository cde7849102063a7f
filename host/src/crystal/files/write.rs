//! Writes structures in the format that the file's name indicates.

use super::super::Structure;
use super::format::Format;
use super::record::{Record, RowError};
use super::{cif, csv_table, extxyz, json_lines, poscar};
use crate::atomic::WholeFile;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why structures were not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A name that stands for no format.
    #[error("{}: unknown file format; the known formats are {}", path.display(), Format::NAMES)]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A record that has no structure to write.
    #[error("{id} has no structure to write: {reason}")]
    NoStructure {
        /// Its identifier.
        id: String,
        /// Why.
        reason: RowError,
    },
    /// A format of one structure was asked to hold another number.
    #[error("{}: a POSCAR holds one structure, not {count}", path.display())]
    OneOnly {
        /// The file.
        path: PathBuf,
        /// Number of records.
        count: usize,
    },
    /// An extra value under a name that the format uses itself.
    #[error("{id}: the key {key:?} has a meaning of its own in this format; rename it")]
    ReservedKey {
        /// Identifier of the record.
        id: String,
        /// The name.
        key: String,
    },
    /// The file cannot be created or written.
    #[error("{}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Writing stopped.
    #[error("writing structures: {0}")]
    Io(#[from] io::Error),
}

/// A file of structures in the making; not there before [`StructureWriter::finish`].
pub struct StructureWriter {
    path: PathBuf,
    format: Format,
    columns: Vec<String>,
    file: WholeFile,
    count: usize,
}

impl StructureWriter {
    /// Begins a file whose name decides the format as in [`super::read_structures`]. Of what the records carry besides, CSV has
    /// `columns`, JSON lines and extended XYZ have everything, CIF and POSCAR nothing.
    ///
    /// # Errors
    /// [`WriteError::UnknownFormat`] and [`WriteError::Create`].
    pub fn create(path: &Path, columns: &[&str]) -> Result<Self, WriteError> {
        let format = Format::of(path).ok_or_else(|| WriteError::UnknownFormat { path: path.to_owned() })?;
        let at_path = |source| WriteError::Create { path: path.to_owned(), source };
        let mut file = WholeFile::create(path).map_err(at_path)?;
        if format == Format::Csv {
            csv_table::write_header(&mut file, columns).map_err(at_path)?;
        }
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { path: path.to_owned(), format, columns, file, count: 0 })
    }

    /// Adds a structure and its identifier. A CIF, in a CSV too, states the symmetry that a record knows ([`Record::orbits`]), unless
    /// atoms are closer than 0.5 A: readers would merge them. Only JSON lines and POSCAR keep every bit of the numbers, CIF does not keep the
    /// cell's orientation.
    ///
    /// # Errors
    /// Any [`WriteError`] but those of the name.
    pub fn add(&mut self, record: &Record) -> Result<(), WriteError> {
        let structure = writable(record, self.format)?;
        self.count += 1;
        write_record(&mut self.file, self.format, &self.columns, record, structure).map_err(|error| match error {
            WriteError::Io(source) => WriteError::Create { path: self.path.clone(), source },
            other => other,
        })
    }

    /// Puts the file in its place.
    ///
    /// # Errors
    /// [`WriteError::OneOnly`] and [`WriteError::Create`]; nothing is then there.
    pub fn finish(self) -> Result<(), WriteError> {
        if self.format == Format::Poscar && self.count != 1 {
            return Err(WriteError::OneOnly { path: self.path, count: self.count });
        }
        self.file.finish().map_err(|source| WriteError::Create { path: self.path, source })
    }
}

/// Writes records as [`StructureWriter`] does, with a column of a CSV for every key that any of them carries.
///
/// # Errors
/// Any [`WriteError`]; nothing is then there.
pub fn write_structures(path: &Path, records: &[Record]) -> Result<(), WriteError> {
    let mut writer = StructureWriter::create(path, &keys(records))?;
    records.iter().try_for_each(|record| writer.add(record))?;
    writer.finish()
}

/// Every key that any record carries, in order of appearance.
pub(super) fn keys(records: &[Record]) -> Vec<&str> {
    let mut keys: Vec<&str> = Vec::new();
    for key in records.iter().flat_map(|record| record.extra.keys()) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    keys
}

fn writable(record: &Record, format: Format) -> Result<&Structure, WriteError> {
    let own: &[&str] = match format {
        Format::Cif | Format::Poscar => &[],
        Format::Csv => &csv_table::OWN_KEYS,
        Format::Extxyz => &extxyz::OWN_KEYS,
        Format::JsonLines => &json_lines::OWN_KEYS,
    };
    if let Some(key) = record.extra.keys().find(|key| own.contains(&key.as_str())) {
        return Err(WriteError::ReservedKey { id: record.id.clone(), key: key.clone() });
    }
    match &record.structure {
        Ok(structure) => Ok(structure),
        Err(reason) => Err(WriteError::NoStructure { id: record.id.clone(), reason: reason.clone() }),
    }
}

/// Writes a record that [`writable`] has let through.
pub(super) fn write_record(
    out: &mut dyn Write,
    format: Format,
    columns: &[String],
    record: &Record,
    structure: &Structure,
) -> Result<(), WriteError> {
    match format {
        Format::Cif => Ok(cif::write(out, &record.id, structure, record.orbits.as_ref())?),
        Format::Csv => csv_table::write(out, columns, record, structure),
        Format::Poscar => Ok(poscar::write(out, &record.id, structure)?),
        Format::Extxyz => Ok(extxyz::write(out, &record.id, structure, &record.extra)?),
        Format::JsonLines => Ok(json_lines::write(out, &record.id, structure, &record.extra)?),
    }
}
