//! Opens a file of structures and iterates over its rows.

use super::super::Structure;
use super::format::{Format, is_gzip, stem};
use super::record::{Record, RowError};
use super::{cif, csv_table, extxyz, json_lines, poscar};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Bytes that one row may have.
const MAX_ROW: usize = 64 << 20;

/// Why a file of structures cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A name that stands for no format.
    #[error("{}: unknown file format; the known formats are {}", path.display(), Format::NAMES)]
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
    rows: Option<Rows>,
    count: usize,
}

/// Rows of one format, before they are numbered.
pub(super) type Rows = Box<dyn Iterator<Item = io::Result<Row>> + Send>;

/// A row as its format gives it.
pub(super) struct Row {
    pub id: Option<String>,
    pub line: usize,
    pub structure: Result<Structure, RowError>,
    pub extra: serde_json::Map<String, serde_json::Value>,
}

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
pub(super) fn rows(source: Source, format: Format) -> Result<Rows, OpenError> {
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
                let id = row.id.unwrap_or_else(|| format!("{}-{}", self.stem, self.count));
                Some(Ok(Record { id, line: row.line, structure: row.structure, extra: row.extra }))
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

/// Text that is read row by row, each row within [`MAX_ROW`], with the number of the line.
pub(super) struct Source {
    inner: Box<dyn BufRead + Send>,
    left: usize,
    line: usize,
}

impl Source {
    /// Skips a byte order mark.
    pub fn new(mut inner: Box<dyn BufRead + Send>) -> io::Result<Self> {
        if inner.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            inner.consume(3);
        }
        Ok(Self { inner, left: MAX_ROW, line: 0 })
    }

    /// A new row begins.
    pub fn begin_row(&mut self) {
        self.left = MAX_ROW;
    }

    /// Number of the line read last, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// Appends the next line, with its end, to `text`; false at the end of the file.
    pub fn read_line(&mut self, text: &mut Vec<u8>) -> io::Result<bool> {
        let read = self.read_until(b'\n', text)?;
        self.line += usize::from(read > 0);
        Ok(read > 0)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let length = available.len().min(buffer.len());
        buffer[..length].copy_from_slice(&available[..length]);
        self.consume(length);
        Ok(length)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.left == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row of more than 64 MiB"));
        }
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}
