//! The formulas that are known beside a hull: of all entries that it was built from, stable or not.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};

use flate2::Compression;
use flate2::bufread::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::crystal::Composition;

/// Longest formula that is read, bytes.
const LONGEST: usize = 4096;

/// Reduced formulas, spelled as [`Composition::reduced_formula`] does, each once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Formulas(BTreeSet<Box<str>>);

impl Formulas {
    /// Adds the reduced formula of a composition.
    pub fn add(&mut self, composition: &Composition) {
        self.0.insert(composition.reduced_formula().into());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The formulas in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|formula| &**formula)
    }

    /// One a line, ascending, compressed by zlib.
    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        self.iter().try_for_each(|formula| writeln!(encoder, "{formula}"))?;
        encoder.finish()
    }

    /// Reads what [`Formulas::encode`] wrote of `count` formulas; otherwise says what is wrong.
    pub(super) fn decode(bytes: &[u8], count: usize) -> Result<Self, String> {
        let mut lines = BufReader::new(ZlibDecoder::new(bytes));
        let (mut formulas, mut line) = (BTreeSet::<Box<str>>::new(), Vec::new());
        loop {
            line.clear();
            let length = io::Read::take(&mut lines, LONGEST as u64 + 1).read_until(b'\n', &mut line);
            if length.map_err(|e| e.to_string())? == 0 {
                break;
            }
            let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            let formula = text.filter(|text| formulas.last().is_none_or(|last| **last < **text));
            formulas.insert(formula.ok_or_else(|| format!("formula {} is none", formulas.len() + 1))?.into());
            if formulas.len() > count {
                break;
            }
        }
        if formulas.len() != count {
            return Err(format!("its header says {count} formulas, and it holds {} or more", formulas.len()));
        }
        Ok(Self(formulas))
    }
}

/// From reduced formulas as [`Composition::reduced_formula`] spells them.
impl FromIterator<Box<str>> for Formulas {
    fn from_iter<T: IntoIterator<Item = Box<str>>>(formulas: T) -> Self {
        Self(formulas.into_iter().collect())
    }
}

impl Extend<Self> for Formulas {
    fn extend<T: IntoIterator<Item = Self>>(&mut self, others: T) {
        others.into_iter().for_each(|other| self.0.extend(other.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_read_as_they_are_written() {
        let mut formulas = Formulas::default();
        for formula in ["Na4Cl4", "O3Fe2", "NaCl", "Li0.5CoO2"] {
            formulas.add(&formula.parse().unwrap());
        }
        assert_eq!(formulas.iter().collect::<Vec<_>>(), ["Fe2O3", "Li0.5Co1O2", "NaCl"]);
        let bytes = formulas.encode().unwrap();
        assert_eq!(Formulas::decode(&bytes, 3), Ok(formulas));
        for (bytes, count) in [(&bytes[..], 2), (&bytes[..], 4), (&bytes[..bytes.len() / 2], 3), (&[][..], 3)] {
            assert!(Formulas::decode(bytes, count).is_err(), "{count} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn a_stream_without_an_end_is_not_read_on() {
        let packed = |text: &[u8]| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        };
        assert!(Formulas::decode(&packed(&vec![b'A'; 1 << 24]), 1).is_err());
        assert!(Formulas::decode(&packed(b"B\nA\n"), 2).unwrap_err().contains("formula 2"));
        assert!(Formulas::decode(&packed(b"\xff\n"), 1).is_err());
    }
}
