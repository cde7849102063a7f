//! Structures that a subcommand reads, with the warnings of their files.

use std::path::Path;

use super::{Context, Failure};
use crate::crystal::{Format, ReadError, Record, Records, read_structures_as};

/// Warnings that are said in full.
const SHOWN: usize = 5;

/// Rows as [`Records`] has them; on the way the warnings of each row are said, the first few in full.
pub(super) struct Structures<'a> {
    context: &'a Context,
    records: Records,
    warnings: usize,
}

impl<'a> Structures<'a> {
    /// Opens a file, a folder, a pattern, or standard input (`-`) in a format.
    ///
    /// # Errors
    /// As [`read_structures_as`], and when ranks see other files.
    pub fn open(context: &'a Context, path: &Path, format: Option<Format>) -> Result<Self, Failure> {
        if path == Path::new("-") && context.ranks.size() > 1 {
            return Err(Failure::user("one process alone can read standard input")
                .hint("write the structures into a file for several ranks"));
        }
        let records = read_structures_as(path, format)?;
        context.same_files_on_all_ranks(path)?;
        Ok(Self { context, records, warnings: 0 })
    }

    fn warn(&mut self, record: &Record) {
        for warning in &record.warnings {
            self.warnings += 1;
            if self.warnings <= SHOWN {
                let file = self.records.file().map_or_else(String::new, |file| file.display().to_string());
                let Record { line, id, .. } = record;
                self.context.say(&format!("warning: {file}: {id} (row {line}): {warning}"));
            }
        }
    }
}

impl Iterator for Structures<'_> {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.records.next();
        match &next {
            Some(Ok(record)) => self.warn(record),
            None if self.warnings > SHOWN => {
                self.context.say(&format!("warning: {} more structures contradict their files", self.warnings - SHOWN));
                self.warnings = 0;
            }
            _ => {}
        }
        next
    }
}

/// The format of an option `--format`.
///
/// # Errors
/// A sentence with the names that are known.
pub(super) fn format_named(name: &str) -> Result<Format, String> {
    Format::named(name).ok_or_else(|| format!("formats are {}", Format::SHORT_NAMES))
}
