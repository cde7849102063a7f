//! The rows of a file of entries, as the readers pass them on.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::Entry;

/// An entry of a file, with what the file says of its calculation.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub entry: Entry,
    pub run_type: Option<String>,
}

/// Takes the rows of a file one by one: the number of the row, and its entry or why it is none.
pub(super) type Sink<'a> = &'a mut dyn FnMut(u64, Result<Row, String>);

/// How many entries were computed by which functional, where a file says so (`parameters.run_type`, as pymatgen has it).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunTypes(BTreeMap<String, usize>);

impl RunTypes {
    pub(super) fn add(&mut self, run_type: Option<String>) {
        run_type.into_iter().for_each(|run_type| *self.0.entry(run_type).or_default() += 1);
    }

    pub(super) fn extend(&mut self, other: &Self) {
        other.0.iter().for_each(|(run_type, count)| *self.0.entry(run_type.clone()).or_default() += count);
    }

    /// What a user should know: that the energies are of more than one functional. Energies with and without a Hubbard U go
    /// together once they are corrected, so GGA and GGA+U are one functional, for which PBE is another name.
    pub fn warning(&self) -> Option<String> {
        let functional = |run_type: &String| match run_type.trim_end_matches("+U") {
            "PBE" => "GGA".to_owned(),
            functional => functional.to_uppercase(),
        };
        let functionals: BTreeSet<String> = self.0.keys().map(functional).collect();
        let counts = || self.0.iter().map(|(run_type, count)| format!("{run_type} ({count})")).collect::<Vec<_>>();
        (functionals.len() > 1).then(|| {
            format!(
                "the entries have different run types: {}; a hull needs energies of one method",
                counts().join(", ")
            )
        })
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_types_of_several_functionals_are_named() {
        let warning = |run_types: &[&str]| {
            let mut found = RunTypes::default();
            run_types.iter().for_each(|run_type| found.add(Some((*run_type).to_owned())));
            found.add(None);
            found.warning()
        };
        assert_eq!(warning(&[]), None);
        assert_eq!(warning(&["GGA", "GGA+U", "PBE", "PBE+U", "GGA"]), None);
        assert_eq!(warning(&["R2SCAN", "r2SCAN"]), None);
        assert_eq!(
            warning(&["GGA", "R2SCAN", "GGA"]).unwrap(),
            "the entries have different run types: GGA (2), R2SCAN (1); a hull needs energies of one method"
        );
    }
}
