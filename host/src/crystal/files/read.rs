//! Opening a file of structures and walking through its rows.

use super::format::{Format, is_gzip, stem};
use super::record::{RawRecord, Record};
use super::source::Source;
use super::{cif, csv_table, extxyz, json_lines, poscar};
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Why a file of structures cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A name that stands for no format.
    #[error("{}: unknown file format; known are {}", path.display(), Format::NAMES)]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened, or reading stopped (a truncated `.gz` file, a row beyond 64 MiB).
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A CSV whose header cannot be used.
    #[error("{}: {what}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The rows of a file, read as they are asked for. After an error there are no more.
pub struct Records {
    path: PathBuf,
    stem: String,
    rows: Option<RawRecords>,
    count: usize,
}

/// The rows of one format, before those without a name are numbered.
pub(super) type RawRecords = Box<dyn Iterator<Item = io::Result<RawRecord>> + Send>;

/// Opens a file of structures; its format follows from its name ([`Format::of`]).
///
/// # Errors
/// [`ReadError`], here when the file cannot be opened, and as the last item when it cannot be read to its end.
/// A row that makes no structure is no error here: see [`Record::structure`].
pub fn read_structures(path: &Path) -> Result<Records, ReadError> {
    let format = Format::of(path).ok_or_else(|| ReadError::UnknownFormat { path: path.to_owned() })?;
    let source = open(path).map_err(|source| ReadError::Io { path: path.to_owned(), source })?;
    let rows = rows(source, format).map_err(|error| match error {
        OpenError::Io(source) => ReadError::Io { path: path.to_owned(), source },
        OpenError::Header(what) => ReadError::Header { path: path.to_owned(), what },
    })?;
    Ok(Records { path: path.to_owned(), stem: stem(path), rows: Some(rows), count: 0 })
}

/// Why a format cannot begin.
pub(super) enum OpenError {
    Io(io::Error),
    Header(String),
}

/// The rows of `source` in a format.
pub(super) fn rows(source: Source, format: Format) -> Result<RawRecords, OpenError> {
    Ok(match format {
        Format::Cif => Box::new(cif::rows(source)),
        Format::Poscar => Box::new(poscar::rows(source)),
        Format::Extxyz => Box::new(extxyz::rows(source)),
        Format::JsonLines => Box::new(json_lines::rows(source)),
        Format::Csv => Box::new(csv_table::rows(source)?),
    })
}

fn open(path: &Path) -> io::Result<Source> {
    let file = BufReader::new(File::open(path)?);
    if is_gzip(path) {
        return Source::new(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))));
    }
    Source::new(Box::new(file))
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.rows.as_mut()?.next() {
            Some(Ok(row)) => {
                self.count += 1;
                let id = row.id.clone().unwrap_or_else(|| format!("{}-{}", self.stem, self.count));
                let RawRecord { line, structure, extra, warnings, .. } = row;
                Some(Ok(Record { id, line, structure, extra, warnings }))
            }
            Some(Err(source)) => {
                self.rows = None;
                Some(Err(ReadError::Io { path: self.path.clone(), source }))
            }
            None => {
                self.rows = None;
                None
            }
        }
    }
}
