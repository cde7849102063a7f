//! What can go wrong with hulls and their files.

use std::path::{Path, PathBuf};

use super::EntryError;
use crate::crystal::Element;

/// Why there is no hull, or no answer from it.
#[derive(Debug, thiserror::Error)]
pub enum HullError {
    /// A file that cannot be read, or whose compressed data is cut short.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A table without a needed column.
    #[error("{} has no column `{column}` (its columns: {found})", path.display())]
    Column {
        /// The table.
        path: PathBuf,
        /// What is missing.
        column: &'static str,
        /// What is there.
        found: String,
    },
    /// Text that is not JSON; a truncated file ends here too.
    #[error("{} is not complete JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Reason, line and column.
        source: serde_json::Error,
    },
    /// A hull file that is truncated, altered or of another version.
    #[error("{} is not a usable hull file: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A hull on another scale than the one that it is to become part of.
    #[error("the energies of {} are on the scale {found}, those of the hull to build on {expected}", path.display())]
    EnergyReference {
        /// The hull that is added.
        path: PathBuf,
        /// Its energy reference.
        found: String,
        /// That of the others.
        expected: String,
    },
    /// Nothing to build a hull from.
    #[error("{} contains no usable entry{}", path.display(), first.as_ref().map_or(String::new(), |f| format!(" ({f})")))]
    NoEntries {
        /// The file.
        path: PathBuf,
        /// The first row that was refused, with the reason.
        first: Option<String>,
    },
    /// The composition has elements of which the hull holds no elemental phase.
    #[error("the hull has no reference energy for {}, which {formula} contains", list(elements))]
    MissingReference {
        /// Elements without a reference.
        elements: Vec<Element>,
        /// What was asked.
        formula: String,
    },
    /// An energy that is no number.
    #[error(transparent)]
    Energy(#[from] EntryError),
    /// The linear program did not end: numbers beyond what floating point resolves.
    #[error("no decomposition found for {formula}: its amounts or the entries' are numerically degenerate")]
    NoSolution {
        /// What was asked.
        formula: String,
    },
}

impl HullError {
    pub(super) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read { path: path.into(), source }
    }

    pub(super) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::Write { path: path.into(), source }
    }

    pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), reason: reason.into() }
    }
}

fn list(elements: &[Element]) -> String {
    elements.iter().map(|e| e.symbol()).collect::<Vec<_>>().join(", ")
}
