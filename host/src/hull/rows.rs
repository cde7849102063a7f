//! The rows of a file of entries, as they are handed on by whoever reads it.

use std::fmt;

use super::Entry;

/// Takes the rows of a file one by one: the number of the row, and its entry or why it is none.
pub(super) type Sink<'a> = &'a mut dyn FnMut(u64, Result<Entry, String>);

/// Rows that are no entries: all are counted, the first are named.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rejected {
    /// The first 1000.
    pub first: Vec<RejectedRow>,
    /// All.
    pub count: usize,
}

impl Rejected {
    pub(super) fn push(&mut self, row: u64, reason: String) {
        self.count += 1;
        if self.first.len() < MOST_NAMED {
            self.first.push(RejectedRow { row, reason });
        }
    }
}

/// Rejected rows that are held.
pub(super) const MOST_NAMED: usize = 1000;

/// A row that is no entry.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedRow {
    /// Line of a table (the column names are line 1), or number of the entry in JSON, from 1.
    pub row: u64,
    /// Why.
    pub reason: String,
}

impl fmt::Display for RejectedRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "row {}: {}", self.row, self.reason)
    }
}
