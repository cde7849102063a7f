//! Known structures on disk, found by composition and compared by structure.
//!
//! A file is a header, the records in the order in which they were added, and a table of (hash of the reduced composition, offset
//! of the record) ascending in both. Only the table is held in memory, 16 bytes a structure; records are read when their composition is asked for.
//! All numbers are little-endian.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::matcher::StructureMatcher;
use super::record::{Record, RecordError};
use super::reduce::ReducedStructure;
use crate::atomic::WholeFile;

const MAGIC: &[u8; 8] = b"TMPRIDX\x01";

/// Bytes before the first record: the magic, and a byte that says whether the structures are primitive.
const HEADER: u64 = 9;

/// Bytes after the table: the number of structures, and a checksum of header and table.
const FOOTER: u64 = 8 + 32;

/// Bytes of a line of the table.
const LINE: u64 = 16;

/// An index, opened.
#[derive(Debug)]
pub struct StructureIndex {
    path: PathBuf,
    file: File,
    matcher: StructureMatcher,
    /// Hash of the reduced composition, offset of the record; ascending.
    table: Vec<(u64, u64)>,
    /// Where the records end.
    end: u64,
}

/// An index in the making.
pub struct StructureIndexBuilder {
    path: PathBuf,
    file: WholeFile,
    primitive: bool,
    table: Vec<(u64, u64)>,
    end: u64,
}

/// Why an index cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The system's reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file is not an index, or one that a later release wrote.
    #[error("{}: not a structure index of version 1", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The file is cut short, or bytes have changed.
    #[error("{}: the structure index is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not agree.
        reason: String,
    },
    /// The index was built for other structures than the matcher compares.
    #[error("{}: the index holds {}, the matcher compares {}", path.display(), cells(*.primitive), cells(!*.primitive))]
    Primitive {
        /// The file.
        path: PathBuf,
        /// Whether the index holds primitive cells.
        primitive: bool,
    },
}

impl StructureIndex {
    /// Opens an index that was built with the matcher's kind of cells.
    ///
    /// # Errors
    /// Any [`IndexError`].
    pub fn open(path: &Path, matcher: StructureMatcher) -> Result<Self, IndexError> {
        let failed = |source| IndexError::Io { path: path.into(), source };
        let damaged = |reason: &str| IndexError::Damaged { path: path.into(), reason: reason.into() };
        let file = File::open(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let mut header = [0; HEADER as usize];
        let known = size >= HEADER && file.read_exact_at(&mut header, 0).is_ok() && header.starts_with(MAGIC);
        if !known {
            return Err(IndexError::Format { path: path.into() });
        }
        let mut footer = [0; FOOTER as usize];
        let footer_at =
            size.checked_sub(FOOTER).filter(|at| *at >= HEADER).ok_or_else(|| damaged("it is cut short"))?;
        file.read_exact_at(&mut footer, footer_at).map_err(failed)?;
        let count = number(&footer);
        let table_at = count.checked_mul(LINE).and_then(|bytes| footer_at.checked_sub(bytes));
        let end = table_at.filter(|at| *at >= HEADER).ok_or_else(|| damaged("it is cut short"))?;
        let mut bytes = vec![0; (footer_at - end) as usize];
        file.read_exact_at(&mut bytes, end).map_err(failed)?;
        if checksum(&header, &bytes) != footer[8..] {
            return Err(damaged("its checksum is another"));
        }
        let primitive = header[8] == 1;
        if primitive != matcher.primitive {
            return Err(IndexError::Primitive { path: path.into(), primitive });
        }
        let table = bytes.chunks_exact(LINE as usize).map(|line| (number(line), number(&line[8..]))).collect();
        Ok(Self { path: path.into(), file, matcher, table, end })
    }

    /// How many structures it holds.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The id of the first structure, in the order of adding, that is the same crystal.
    ///
    /// # Errors
    /// [`IndexError::Io`], [`IndexError::Damaged`].
    pub fn find(&self, structure: &ReducedStructure) -> Result<Option<String>, IndexError> {
        Ok(self.find_structure(structure)?.map(|(id, _)| id))
    }

    /// As [`StructureIndex::find`], with the structure as the index holds it.
    ///
    /// # Errors
    /// [`IndexError::Io`], [`IndexError::Damaged`].
    pub fn find_structure(
        &self,
        structure: &ReducedStructure,
    ) -> Result<Option<(String, ReducedStructure)>, IndexError> {
        let hash = composition_hash(structure);
        let from = self.table.partition_point(|(key, _)| *key < hash);
        for (_, offset) in self.table[from..].iter().take_while(|(key, _)| *key == hash) {
            let Record { id, structure: known } = self.record(*offset)?;
            if self.matcher.fit(&known, structure) {
                return Ok(Some((id, known)));
            }
        }
        Ok(None)
    }

    /// At most `most` structures, evenly spread over the order of adding.
    ///
    /// # Errors
    /// [`IndexError::Io`], [`IndexError::Damaged`], as items.
    pub fn spread(&self, most: usize) -> impl Iterator<Item = Result<ReducedStructure, IndexError>> + '_ {
        let mut offsets: Vec<u64> = self.table.iter().map(|(_, offset)| *offset).collect();
        offsets.sort_unstable();
        let chosen = offsets.len().min(most);
        (0..chosen).map(move |i| Ok(self.record(offsets[i * offsets.len() / chosen])?.structure))
    }

    /// Every structure, in the order of adding.
    pub(super) fn records(&self) -> impl Iterator<Item = Result<Record, IndexError>> + '_ {
        let mut reader = BufReader::new(Section { file: &self.file, at: HEADER, end: self.end });
        (0..self.table.len()).map(move |_| Record::read(&mut reader).map_err(|e| self.failed(e)))
    }

    fn record(&self, offset: u64) -> Result<Record, IndexError> {
        let section = Section { file: &self.file, at: offset, end: self.end };
        Record::read(&mut BufReader::with_capacity(1024, section)).map_err(|e| self.failed(e))
    }

    fn failed(&self, error: RecordError) -> IndexError {
        match error {
            RecordError::Io(source) => IndexError::Io { path: self.path.clone(), source },
            RecordError::Damaged(reason) => IndexError::Damaged { path: self.path.clone(), reason: reason.into() },
        }
    }
}

impl StructureIndexBuilder {
    /// Begins an index for a matcher's kind of cells; it stands at `path` once it is finished.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn create(path: &Path, matcher: &StructureMatcher) -> Result<Self, IndexError> {
        let failed = |source| IndexError::Io { path: path.into(), source };
        let mut file = WholeFile::create(path).map_err(failed)?;
        let primitive = matcher.primitive;
        file.write_all(&header(primitive)).map_err(failed)?;
        Ok(Self { path: path.into(), file, primitive, table: Vec::new(), end: HEADER })
    }

    /// Adds every structure of an index.
    ///
    /// # Errors
    /// Any [`IndexError`].
    pub fn extend(&mut self, index: &StructureIndex) -> Result<(), IndexError> {
        index.records().try_for_each(|record| {
            let Record { id, structure } = record?;
            self.add(&id, &structure)
        })
    }

    /// Adds a structure under an id, which is cut to 4,096 bytes.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn add(&mut self, id: &str, structure: &ReducedStructure) -> Result<(), IndexError> {
        let bytes = Record::encode(id, structure);
        self.table.push((composition_hash(structure), self.end));
        self.end += bytes.len() as u64;
        self.write(&bytes)
    }

    /// How many structures it holds.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Writes the table and puts the file in its place.
    ///
    /// # Errors
    /// [`IndexError::Io`].
    pub fn finish(mut self) -> Result<(), IndexError> {
        self.table.sort_unstable();
        let lines =
            self.table.iter().flat_map(|(hash, offset)| hash.to_le_bytes().into_iter().chain(offset.to_le_bytes()));
        let mut bytes: Vec<u8> = lines.collect();
        let sum = checksum(&header(self.primitive), &bytes);
        bytes.extend((self.table.len() as u64).to_le_bytes());
        bytes.extend(sum);
        self.write(&bytes)?;
        let Self { path, file, .. } = self;
        file.finish().map_err(|source| IndexError::Io { path, source })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.file.write_all(bytes).map_err(|source| IndexError::Io { path: self.path.clone(), source })
    }
}

/// A part of a file, read without moving the file's own position, so that threads can share it.
struct Section<'a> {
    file: &'a File,
    at: u64,
    end: u64,
}

impl Read for Section<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(bytes.len());
        let read = self.file.read_at(&mut bytes[..left], self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

/// The first eight bytes of the SHA-256 of the reduced composition: atomic numbers and amounts.
fn composition_hash(structure: &ReducedStructure) -> u64 {
    let mut hash = Sha256::new();
    for (element, amount) in structure.reduced_composition() {
        hash.update([element.number()]);
        hash.update((amount as u64).to_le_bytes());
    }
    number(&hash.finalize())
}

fn header(primitive: bool) -> [u8; HEADER as usize] {
    let mut header = [0; HEADER as usize];
    header[..8].copy_from_slice(MAGIC);
    header[8] = u8::from(primitive);
    header
}

fn checksum(header: &[u8], table: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(header).chain_update(table).finalize().into()
}

/// The first eight bytes as a number.
fn number(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
}

fn cells(primitive: bool) -> &'static str {
    if primitive { "primitive cells" } else { "cells as they are" }
}
