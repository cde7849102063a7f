//! One structure of an index as bytes.

use std::io::{self, Read};

use super::reduce::{MOST_ATOMS, ReducedStructure};
use crate::crystal::{Element, Lattice, Structure};

/// Longest id, bytes.
const LONGEST_ID: usize = 4096;

/// A known structure.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) structure: ReducedStructure,
}

/// Why bytes are not a record.
#[derive(Debug)]
pub(super) enum RecordError {
    /// They could not be read.
    Io(io::Error),
    /// They are none.
    Damaged(&'static str),
}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Damaged("a record is cut short"),
            _ => Self::Io(error),
        }
    }
}

impl Record {
    /// The id's length and bytes, the number of atoms, atomic numbers, lattice and fractional coordinates (float64), a checksum.
    pub(super) fn encode(id: &str, structure: &ReducedStructure) -> Vec<u8> {
        let id = &id.as_bytes()[..id.floor_char_boundary(LONGEST_ID)];
        let mut bytes = Vec::with_capacity(12 + id.len() + 72 + 25 * structure.len());
        bytes.extend((id.len() as u32).to_le_bytes());
        bytes.extend(id);
        bytes.extend((structure.len() as u32).to_le_bytes());
        bytes.extend(structure.species.iter().map(|element| element.number()));
        let numbers = structure.lattice.0.iter().chain(&structure.frac).flatten();
        bytes.extend(numbers.flat_map(|x| x.to_le_bytes()));
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Reads one; no memory is taken on the word of a length.
    pub(super) fn read(reader: &mut impl Read) -> Result<Self, RecordError> {
        let mut reader = Summed { reader, sum: crc32fast::Hasher::new() };
        let length = reader.count(LONGEST_ID, "an id is too long")?;
        let id = String::from_utf8(reader.bytes(length)?).map_err(|_| RecordError::Damaged("an id is not a text"))?;
        let atoms = reader.count(MOST_ATOMS, "a structure has too many atoms")?;
        let numbers = reader.bytes(atoms)?;
        let species = numbers.iter().map(|z| Element::from_number(*z)).collect::<Option<Vec<Element>>>();
        let species = species.ok_or(RecordError::Damaged("an atomic number is none"))?;
        let lattice = Lattice([reader.triple()?, reader.triple()?, reader.triple()?]);
        let frac = (0..atoms).map(|_| reader.triple()).collect::<Result<Vec<_>, _>>()?;
        let sum = reader.sum.clone().finalize();
        if u32::from_le_bytes(reader.array()?) != sum {
            return Err(RecordError::Damaged("the checksum of a record is another"));
        }
        Structure::new(lattice, species.clone(), frac.clone())
            .map_err(|_| RecordError::Damaged("a record is no structure"))?;
        Ok(Self { id, structure: ReducedStructure { lattice, species, frac } })
    }
}

/// A reader that sums up what passes.
struct Summed<'a, R> {
    reader: &'a mut R,
    sum: crc32fast::Hasher,
}

impl<R: Read> Summed<'_, R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, RecordError> {
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes)?;
        self.sum.update(&bytes);
        Ok(bytes)
    }

    fn count(&mut self, most: usize, reason: &'static str) -> Result<usize, RecordError> {
        let count = u32::from_le_bytes(self.array()?) as usize;
        if count > most { Err(RecordError::Damaged(reason)) } else { Ok(count) }
    }

    fn triple(&mut self) -> Result<[f64; 3], RecordError> {
        Ok([f64::from_le_bytes(self.array()?), f64::from_le_bytes(self.array()?), f64::from_le_bytes(self.array()?)])
    }
}
