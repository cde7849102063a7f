//! Opens a file of structures and iterates over its rows.

use super::format::{Format, is_gzip, stem, stem_among_others};
use super::paths::files_at;
use super::record::{RawRecord, Record};
use super::source::Source;
use super::{cif, csv_table, extxyz, json_lines, poscar};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// The path that stands for standard input.
const STANDARD_INPUT: &str = "-";

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
    /// A folder or a pattern without files of structures.
    #[error("{}: no files of structures; known are {}", path.display(), Format::NAMES)]
    NoFiles {
        /// The folder or pattern.
        path: PathBuf,
    },
    /// Standard input, which has no name to tell its format.
    #[error("the format of standard input is not known: one of {} is needed", Format::SHORT_NAMES)]
    NoFormat,
    /// A CSV whose header cannot be used.
    #[error("{}: {what}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

/// The rows of a file or of several, read as they are asked for. After an error there are no more.
pub struct Records {
    /// Files to come.
    files: VecDeque<PathBuf>,
    format: Option<Format>,
    is_one: bool,
    file: Option<OpenFile>,
}

/// A file that is being read.
struct OpenFile {
    path: PathBuf,
    stem: String,
    rows: RawRecords,
    count: usize,
}

/// The rows of one format, before those without a name are numbered.
pub(super) type RawRecords = Box<dyn Iterator<Item = io::Result<RawRecord>> + Send>;

/// Opens structures: a file whose format follows from its name ([`Format::of`]), a folder of such files, or a pattern such as
/// `runs/*/CONTCAR`.
///
/// # Errors
/// [`ReadError`], here when the first file cannot be opened, and as the last item when one cannot be read to its end.
/// A row that makes no structure is no error here: see [`Record::structure`].
pub fn read_structures(path: &Path) -> Result<Records, ReadError> {
    read_structures_as(path, None)
}

/// As [`read_structures`], in a format whatever the name says; `-` is standard input.
///
/// # Errors
/// As [`read_structures`], and [`ReadError::NoFormat`] for standard input without a format.
pub fn read_structures_as(path: &Path, format: Option<Format>) -> Result<Records, ReadError> {
    let files = match path == Path::new(STANDARD_INPUT) {
        true if format.is_none() => return Err(ReadError::NoFormat),
        true => vec![path.to_owned()],
        false => {
            files_at(path, |file| Format::of(file).is_some_and(|format| format != Format::Csv || has_structures(file)))?
        }
    };
    let mut records = Records { is_one: files.len() == 1, files: files.into(), format, file: None };
    records.open_next()?;
    Ok(records)
}

/// Whether a CSV is a table of structures: beside them in a folder there may be others.
fn has_structures(path: &Path) -> bool {
    open(path).is_ok_and(|source| csv_table::rows(source).is_ok())
}

impl Records {
    /// False at the end of all files.
    fn open_next(&mut self) -> Result<bool, ReadError> {
        self.file = None;
        let Some(path) = self.files.pop_front() else { return Ok(false) };
        let format = self.format.or_else(|| Format::of(&path));
        let format = format.ok_or_else(|| ReadError::UnknownFormat { path: path.clone() })?;
        let source = open(&path).map_err(|source| ReadError::Io { path: path.clone(), source })?;
        let rows = rows(source, format).map_err(|error| match error {
            OpenError::Io(source) => ReadError::Io { path: path.clone(), source },
            OpenError::Header(what) => ReadError::Header { path: path.clone(), what },
        })?;
        let stem = if self.is_one { stem(&path) } else { stem_among_others(&path) };
        self.file = Some(OpenFile { path, stem, rows, count: 0 });
        Ok(true)
    }

    /// The file that the last record came from.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }
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

pub(super) fn open(path: &Path) -> io::Result<Source> {
    if path == Path::new(STANDARD_INPUT) {
        return Source::new(Box::new(BufReader::new(io::stdin())));
    }
    let file = BufReader::new(File::open(path)?);
    if is_gzip(path) {
        return Source::new(Box::new(BufReader::new(flate2::bufread::MultiGzDecoder::new(file))));
    }
    Source::new(Box::new(file))
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let file = self.file.as_mut()?;
            match file.rows.next() {
                Some(Ok(row)) => {
                    file.count += 1;
                    let RawRecord { id, line, structure, extra, warnings } = row;
                    let id = id.unwrap_or_else(|| format!("{}-{}", file.stem, file.count));
                    return Some(Ok(Record { id, line, structure, orbits: None, extra, warnings }));
                }
                Some(Err(source)) => {
                    let path = file.path.clone();
                    self.file = None;
                    return Some(Err(ReadError::Io { path, source }));
                }
                None => match self.open_next() {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}
