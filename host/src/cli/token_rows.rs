//! Crystals as tokens, from a file of structures (which are tokenised) or of tokens; and the table of what became of
//! each row.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::structures::Structures;
use super::{Context, Failure, Progress, Table};
use crate::crystal::{Format, Record, TokenRecord, Tokens, files_at, for_each_chunk, read_tokens, tokenise};

/// One crystal of a file.
pub(super) struct TokenRow {
    /// Its identifier.
    pub id: String,
    /// Where it is in the file, from 1: a row of tokens, or as [`Record::line`].
    pub row: usize,
    /// Its tokens, or why it has none.
    pub tokens: Result<Tokens, String>,
}

/// How structures become tokens.
#[derive(Clone, Copy)]
pub(super) struct Tokenising {
    /// Structures with more atoms are refused.
    pub max_atoms: usize,
    /// Tolerance of the symmetry search, angstrom.
    pub symprec: f64,
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
            let row =
                |(TokenRecord { id, tokens }, row)| TokenRow { id, row, tokens: tokens.map_err(|e| e.to_string()) };
            read_tokens(&file)?.into_iter().zip(1..).map(row).try_for_each(&mut *take)?;
        }
        for file in structures {
            for_each_chunk(Structures::open(context, &file, format)?, |chunk: Vec<Record>| {
                progress.advance(chunk.len() as u64);
                let tokens: Vec<_> = chunk.par_iter().map(|record| self.tokens(record)).collect();
                let rows = chunk.into_iter().zip(tokens);
                rows.map(|(record, tokens)| TokenRow { id: record.id, row: record.line, tokens })
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
        tokenise(structure, self.symprec).map_err(|error| error.to_string())
    }
}

/// Columns `file, row, id, status`: `ok`, or why a row was left out.
pub(super) struct StatusTable(Table);

impl StatusTable {
    /// Begins the table.
    ///
    /// # Errors
    /// As [`Table::create`].
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        Table::create(path, &["file", "row", "id", "status"]).map(Self)
    }

    /// Adds a row of a file.
    ///
    /// # Errors
    /// As [`Table::row`].
    pub(super) fn add(&mut self, file: &Path, row: &TokenRow) -> Result<(), Failure> {
        let status = row.tokens.as_ref().err().map_or("ok", String::as_str);
        self.0.row(&[&file.display().to_string(), &row.row.to_string(), &row.id, status])
    }

    /// Puts the table in its place.
    ///
    /// # Errors
    /// As [`Table::finish`].
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.0.finish()
    }
}
