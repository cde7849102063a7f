//! Crystals as tokens, from a file of structures (which are tokenised, unless their tokens stand beside them) or of tokens; and the
//! table of what became of each row.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Map, Value};

use super::structures::Structures;
use super::{Context, Failure, Progress, Table};
use crate::crystal::{
    Description, Format, Record, Structure, TokenRecord, Tokens, files_at, for_each_chunk, read_tokens, tokenise,
    tokens_from_json,
};

/// One crystal of a file.
pub(super) struct TokenRow {
    /// Its identifier.
    pub id: String,
    /// Where it is in the file, from 1: a row of tokens, or as [`Record::line`].
    pub row: usize,
    /// Its tokens, or why it has none.
    pub tokens: Result<Tokens, String>,
    /// What else the row holds, as [`Record::extra`].
    pub extra: Map<String, Value>,
}

/// Of coordinates and lattice vectors that are the same up to rounding, angstrom.
const SAME: f64 = 1e-6;

/// How structures become tokens.
#[derive(Clone, Copy)]
pub(super) struct Tokenising {
    /// Structures with more atoms are refused.
    pub max_atoms: usize,
    /// Tolerance of the symmetry search, angstrom.
    pub symprec: f64,
    /// Of the equivalent descriptions, the one that structures are given; tokens that stand in the file remain what they are.
    pub description: Description,
}

impl Tokenising {
    /// Hands on the rows of a token file (.safetensors) or of a file of structures, in the file's order; of a folder with token
    /// files these, else its structures.
    ///
    /// # Errors
    /// When the file as a whole is unusable, or `take` fails.
    pub(super) fn each_row(
        self,
        context: &Context,
        (path, format): (&Path, Option<Format>),
        progress: &Progress,
        take: &mut dyn FnMut(TokenRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let is_tokens = |file: &Path| file.extension().is_some_and(|extension| extension == "safetensors");
        let (tokens, structures): (Vec<PathBuf>, Vec<PathBuf>) = match path.to_str() {
            Some("-") => (Vec::new(), vec![path.to_owned()]),
            _ if path.is_dir() && files_at(path, is_tokens).is_err() => (Vec::new(), vec![path.to_owned()]),
            _ => files_at(path, is_tokens)?.into_iter().partition(|file| is_tokens(file)),
        };
        for file in tokens {
            let row = |(TokenRecord { id, tokens }, row)| TokenRow {
                id,
                row,
                tokens: tokens.map_err(|e| e.to_string()),
                extra: Map::new(),
            };
            read_tokens(&file)?.into_iter().zip(1..).map(row).try_for_each(&mut *take)?;
        }
        for file in structures {
            for_each_chunk(Structures::open(context, &file, format)?, |chunk: Vec<Record>| {
                progress.advance(chunk.len() as u64);
                let tokens: Vec<_> = chunk.par_iter().map(|record| self.tokens(record)).collect();
                let rows = chunk.into_iter().zip(tokens);
                rows.map(|(Record { id, line: row, extra, .. }, tokens)| TokenRow { id, row, tokens, extra })
                    .try_for_each(&mut *take)
            })?;
        }
        Ok(())
    }

    fn tokens(self, record: &Record) -> Result<Tokens, String> {
        let structure = record.structure.as_ref().map_err(ToString::to_string)?;
        if structure.len() > self.max_atoms {
            return Err(format!("{} atoms, more than {}", structure.len(), self.max_atoms));
        }
        match own_tokens(record, structure) {
            Some(tokens) => Ok(tokens),
            None => {
                let found = tokenise(structure, self.symprec).map_err(|error| error.to_string())?;
                Ok(self.description.of(&found).unwrap_or(found))
            }
        }
    }
}

/// The tokens that stand beside a structure, if they are those of this very structure: as `temper sample` drew them. A structure that
/// was relaxed since may still have them.
fn own_tokens(record: &Record, structure: &Structure) -> Option<Tokens> {
    let tokens = tokens_from_json(record.extra.get("tokens")?)?;
    let made = tokens.to_structure().ok()?;
    let near = |a: [f64; 3], b: [f64; 3]| (0..3).all(|i| (a[i] - b[i]).abs() < SAME);
    let wrapped = |a: [f64; 3], b: [f64; 3]| (0..3).all(|i| (a[i] - b[i] - (a[i] - b[i]).round()).abs() < SAME);
    let same = made.species == structure.species
        && made.lattice.0.iter().zip(structure.lattice.0).all(|(a, b)| near(*a, b))
        && made.frac.iter().zip(&structure.frac).all(|(a, b)| wrapped(*a, *b));
    same.then_some(tokens)
}

/// Columns `file, row, id, status`: `ok`, or why a row was left out.
pub(super) struct StatusTable(Table);

impl TokenRow {
    /// Why it has no tokens.
    pub(super) fn reason(&self) -> Option<&str> {
        self.tokens.as_ref().err().map(String::as_str)
    }
}

impl StatusTable {
    /// Begins the table.
    ///
    /// # Errors
    /// As [`Table::create`].
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        Table::create(path, &["file", "row", "id", "status"]).map(Self)
    }

    /// Adds a row of a file, with the reason if it was left out.
    ///
    /// # Errors
    /// As [`Table::row`].
    pub(super) fn add(&mut self, file: &Path, row: usize, id: &str, reason: Option<&str>) -> Result<(), Failure> {
        self.0.row(&[file.display().to_string().as_str(), &row.to_string(), id, reason.unwrap_or("ok")])
    }

    /// Puts the table in its place.
    ///
    /// # Errors
    /// As [`Table::finish`].
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.0.finish()
    }
}
