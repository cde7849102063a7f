//! Opens whatever a user names as a hull, and builds hulls from files of entries.
//!
//! A file is read on one thread while another prunes the entries read so far, so that neither waits for the other, and
//! only the phases that may be stable are kept in memory, not the whole file.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};

use super::build::Gathered;
use super::read::{Format, format_of, no_entries, read_rows};
use super::rows::{Rejected, Row, RunTypes};
use super::{BuildReport, Entry, Hull, HullError, HullHeader, Progress};

/// Entries that are handed over at a time.
const CHUNK: usize = 4096;

/// Entries that are held before they are pruned, some 200 bytes each.
const MOST_HELD: usize = 500_000;

/// A hull and how it was come by.
#[derive(Debug)]
pub struct OpenedHull {
    /// The hull.
    pub hull: Hull,
    /// What it was made from.
    pub source: HullSource,
}

/// What a hull was made from.
#[derive(Clone, Debug, PartialEq)]
pub enum HullSource {
    /// A hull file.
    Hull,
    /// A table or JSON file of entries, pruned just now.
    Entries {
        /// Rows that were no entries.
        rejected: Rejected,
        /// How the others were computed.
        run_types: RunTypes,
        /// What became of them.
        report: BuildReport,
    },
}

/// Opens a hull file, or builds a hull from a file of entries (see [`super::read_entries`]); told apart by content. A hull made
/// from entries has no energy reference. While entries are read, `progress` is called with their number and a total of 0.
///
/// # Errors
/// Those of [`Hull::load`], [`super::read_entries`] and [`Hull::build`].
pub fn open_hull(path: &Path, progress: Progress<'_>) -> Result<OpenedHull, HullError> {
    if format_of(path)? == Format::Hull {
        return Ok(OpenedHull { hull: Hull::load(path)?, source: HullSource::Hull });
    }
    let mut gathered = Gathered::default();
    let (rejected, run_types) = gather(path, &mut gathered, progress)?;
    let header = HullHeader { source: path.display().to_string(), ..HullHeader::default() };
    let (hull, report) = gathered.build(header, progress)?;
    Ok(OpenedHull { hull, source: HullSource::Entries { rejected, run_types, report } })
}

/// A hull built from files and saved.
#[derive(Debug)]
pub struct BuiltHull {
    /// The hull.
    pub hull: Hull,
    /// What building made of the entries.
    pub report: BuildReport,
    /// Rows that were no entries, of each file.
    pub rejected: Vec<(PathBuf, Rejected)>,
    /// How the entries were computed.
    pub run_types: RunTypes,
}

/// Reads entries from files, builds one hull of all of them and saves it. `progress` as for [`open_hull`]. Hulls among the files hand
/// on their check crystals, and their energy reference if the header has none.
///
/// # Errors
/// Those of [`super::read_entries`], [`Hull::build`] and [`Hull::save`]; [`HullError::EnergyReference`] where two differ.
pub fn build_file(
    inputs: &[PathBuf],
    mut header: HullHeader,
    output: &Path,
    progress: Progress<'_>,
) -> Result<BuiltHull, HullError> {
    let mut gathered = Gathered::default();
    let (mut rejected, mut run_types) = (Vec::new(), RunTypes::default());
    for input in inputs {
        let (rows, found) = gather(input, &mut gathered, progress)?;
        rejected.push((input.clone(), rows));
        run_types.extend(&found);
        if format_of(input)? == Format::Hull {
            let hull = Hull::load(input)?;
            gathered.know(&hull);
            header.take_over(hull.header(), input)?;
        }
    }
    let (hull, report) = gathered.build(header, progress)?;
    hull.save(output)?;
    Ok(BuiltHull { hull, report, rejected, run_types })
}

/// Adds the entries of a file.
fn gather(path: &Path, gathered: &mut Gathered, progress: Progress<'_>) -> Result<(Rejected, RunTypes), HullError> {
    let before = gathered.given();
    let (rejected, run_types) = std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(8);
        let reader = scope.spawn(move || send_rows(path, &sender));
        for chunk in receiver {
            gathered.extend(chunk, MOST_HELD)?;
            progress(gathered.given(), 0);
        }
        reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    if gathered.given() == before {
        return Err(no_entries(path, &rejected));
    }
    Ok((rejected, run_types))
}

/// Sends the entries of a file in its order and keeps what is none. If nobody receives any more, the rest is read for nothing.
fn send_rows(path: &Path, sender: &SyncSender<Vec<Entry>>) -> Result<(Rejected, RunTypes), HullError> {
    let (mut rejected, mut run_types) = (Rejected::default(), RunTypes::default());
    let mut chunk = Vec::with_capacity(CHUNK);
    read_rows(path, &mut |number, row| match row {
        Ok(Row { entry, run_type }) => {
            chunk.push(entry);
            run_types.add(run_type);
            if chunk.len() == CHUNK {
                let _ = sender.send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK)));
            }
        }
        Err(reason) => rejected.push(number, reason),
    })?;
    let _ = sender.send(chunk);
    Ok((rejected, run_types))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crystal::TEXTBOOK;
    use crate::hull::ReferenceCrystal;

    #[test]
    fn several_files_become_one_hull() {
        let folder = tempfile::tempdir().unwrap();
        let [elements, compounds, output] =
            ["elements.json", "compounds.csv", "both.hull"].map(|n| folder.path().join(n));
        let json =
            r#"{"Na": {"composition": {"Na": 2}, "energy": -2.6}, "Cl": {"composition": {"Cl": 1}, "energy": -1.8}}"#;
        std::fs::write(&elements, json).unwrap();
        std::fs::write(&compounds, "formula,energy_per_atom\nNaCl,-3.4\nNaX,-1\n").unwrap();
        let header = HullHeader { source: "both".into(), ..HullHeader::default() };
        let built = build_file(&[elements, compounds], header, &output, &|_, _| ()).unwrap();
        assert_eq!((built.report.given, built.report.kept), (3, 3));
        assert_eq!(built.rejected.iter().map(|(_, rows)| rows.count).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(open_hull(&output, &|_, _| ()).unwrap().hull.entries(), built.hull.entries());
    }

    #[test]
    fn entries_are_added_to_a_hull_and_its_checks_stay() {
        let folder = tempfile::tempdir().unwrap();
        let [first, more, both, mixed] =
            ["first.csv", "more.csv", "both.hull", "mixed.hull"].map(|name| folder.path().join(name));
        std::fs::write(&first, "formula,energy_per_atom\nNa,-1\nCl,-2\nNaCl,-3\n").unwrap();
        std::fs::write(&more, "formula,energy_per_atom,id\nNaCl,-3.5,mp20:NaCl\nNaCl3,-2.9,mp20:NaCl3\n").unwrap();
        let structure = TEXTBOOK[0].as_published().unwrap();
        let check = ReferenceCrystal { structure, energy_per_atom: -1.5 };
        let known = HullHeader {
            energy_reference: Some("MP2020".into()),
            source: "first".into(),
            reference_crystals: vec![check.clone()],
        };
        let hull = folder.path().join("first.hull");
        build_file(&[first], known, &hull, &|_, _| ()).unwrap();
        let header = || HullHeader { source: "both".into(), ..HullHeader::default() };
        build_file(&[hull.clone(), more.clone()], header(), &both, &|_, _| ()).unwrap();
        let built = Hull::load(&both).unwrap();
        assert_eq!(built.header().reference_crystals, [check]);
        assert_eq!(
            (built.header().energy_reference.as_deref(), built.header().source.as_str()),
            (Some("MP2020"), "both")
        );
        let entries: Vec<_> =
            built.entries().iter().map(|entry| (entry.id().to_owned(), entry.energy_per_atom())).collect();
        assert!(entries.contains(&("mp20:NaCl".to_owned(), -3.5)) && entries.len() == 4, "{entries:?}");
        let pbe = HullHeader { energy_reference: Some("PBE".into()), ..header() };
        let error = build_file(&[hull, more], pbe, &mixed, &|_, _| ()).unwrap_err();
        assert!(
            matches!(&error, HullError::EnergyReference { found, expected, .. } if (found.as_str(), expected.as_str()) == ("MP2020", "PBE")),
            "{error}"
        );
        assert!(!mixed.exists());
    }
}
