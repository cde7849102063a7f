//! Pairs of structures: JSON lines with an object `{s1, s2}` per line, each side an object as in a file of structures.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::json_lines::{object, structure_of};
use super::read::{ReadError, open};
use super::record::RowError;
use super::source::Source;
use crate::crystal::Structure;

/// A line of a file of pairs.
#[derive(Debug)]
pub struct PairRecord {
    /// From 1.
    pub line: usize,
    /// Both structures, or why one of them is none: the key (`s1` or `s2`) and the reason.
    pub pair: Result<[Structure; 2], PairError>,
}

/// Why a line makes no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The line is no JSON object.
    #[error("not a JSON object: {0}")]
    Syntax(String),
    /// One side makes no structure.
    #[error("{side}: {source}")]
    Side {
        /// `s1` or `s2`.
        side: &'static str,
        /// The reason.
        source: RowError,
    },
}

/// Reads a file of pairs (`.gz` too) line by line. Blank lines are passed over.
///
/// # Errors
/// [`ReadError::Io`], here when the file cannot be opened, and as the last item when it cannot be read to its end.
pub fn read_pairs(path: &Path) -> Result<impl Iterator<Item = Result<PairRecord, ReadError>>, ReadError> {
    let failed = |path: &PathBuf, source| ReadError::Io { path: path.clone(), source };
    let path = path.to_owned();
    let mut source = Some(open(&path).map_err(|e| failed(&path, e))?);
    Ok(std::iter::from_fn(move || {
        let next = source.as_mut().and_then(|source| next_pair(source).transpose());
        if !matches!(next, Some(Ok(_))) {
            source = None;
        }
        next.map(|record| record.map_err(|e| failed(&path, e)))
    }))
}

fn next_pair(source: &mut Source) -> io::Result<Option<PairRecord>> {
    let mut text = Vec::new();
    loop {
        text.clear();
        source.begin_row();
        if !source.read_line(&mut text)? {
            return Ok(None);
        }
        if !text.trim_ascii().is_empty() {
            return Ok(Some(PairRecord { line: source.line(), pair: pair(&text) }));
        }
    }
}

fn pair(text: &[u8]) -> Result<[Structure; 2], PairError> {
    let mut object: Map<String, Value> = object(text).map_err(|error| PairError::Syntax(error.to_string()))?;
    let mut side = |side: &'static str| {
        let structure = match object.shift_remove(side) {
            Some(Value::Object(mut object)) => structure_of(&mut object),
            Some(other) => Err(RowError::value(side, &other.to_string(), "an object")),
            None => Err(RowError::missing(format!("key {side:?}"))),
        };
        structure.map_err(|source| PairError::Side { side, source })
    };
    Ok([side("s1")?, side("s2")?])
}
