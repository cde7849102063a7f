//! The known compositions, against which novelty is judged.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::crystal::{Composition, ReadError, read_structures};
use crate::hull::{Formulas, Hull, HullError, read_entries};

/// Most compositions that are held in memory: a gigabyte, and ten times what any database of crystals has.
const MOST: usize = 10_000_000;

/// Reduced compositions, each once.
#[derive(Debug, Default)]
pub struct KnownCompositions {
    formulas: HashSet<Box<str>>,
    rows: usize,
    rejected: usize,
    first: Option<String>,
    /// Whether they come from a built hull that holds stable phases only.
    of_hull: bool,
}

/// Why a file gives no known compositions.
#[derive(Debug, thiserror::Error)]
pub enum KnownError {
    /// The system's reason.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The file of structures cannot be read.
    #[error(transparent)]
    Structures(#[from] ReadError),
    /// The hull or the file of entries cannot be read.
    #[error(transparent)]
    Entries(#[from] HullError),
    /// No row of the file is a composition.
    #[error("{}: none of {rows} rows is a composition{}", path.display(), first.as_ref().map_or_else(String::new, |f| format!(" ({f})")))]
    Nothing {
        /// The file.
        path: PathBuf,
        /// Rows in all.
        rows: usize,
        /// What is wrong with the first.
        first: Option<String>,
    },
    /// More than memory should hold.
    #[error("{}: more than {MOST} different compositions", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
    },
}

impl KnownCompositions {
    /// Reads a text file (`.txt`) of one formula per line, a table with a column `formula`, a file of structures, or a hull
    /// or its entries (`.hull`, `.json`); text and structures also with `.gz`. Rows that are none are counted: see
    /// [`KnownCompositions::warning`].
    ///
    /// # Errors
    /// Any [`KnownError`].
    pub fn read(path: &Path) -> Result<Self, KnownError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let stem = name.strip_suffix(".gz").or(name.strip_suffix(".bz2")).unwrap_or(&name);
        let mut known = Self::default();
        if stem.ends_with(".txt") {
            known.add_lines(path)?;
        } else if stem.ends_with(".hull") || stem.ends_with(".json") {
            let entries = read_entries(path)?;
            if stem.ends_with(".hull") {
                known.add_hull(path)?;
            }
            entries.entries.iter().try_for_each(|entry| known.add(path, 0, Ok(entry.composition().clone())))?;
            let unnamed = entries.rejected.count - entries.rejected.first.len();
            entries.rejected.first.iter().for_each(|row| known.reject(row.to_string()));
            (known.rows, known.rejected) = (known.rows + unnamed, known.rejected + unnamed);
        } else if !(stem.ends_with(".csv") && known.add_table(path)?) {
            known.add_structures(path)?;
        }
        if known.formulas.is_empty() {
            return Err(KnownError::Nothing { path: path.into(), rows: known.rows, first: known.first });
        }
        Ok(known)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.formulas.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.formulas.is_empty()
    }

    /// All of them, as a hull keeps them.
    pub fn into_formulas(self) -> Formulas {
        self.formulas.into_iter().collect()
    }

    /// Whether a reduced formula, spelled as [`Composition::reduced_formula`] does, is known.
    pub fn contains(&self, reduced_formula: &str) -> bool {
        self.formulas.contains(reduced_formula)
    }

    /// What a user should know: that rows of the file were left out, or that a hull of version 1 does not hold all that is known.
    pub fn warning(&self) -> Option<String> {
        let rejected = self
            .first
            .as_ref()
            .map(|first| format!("{} of {} rows are not compositions; the first, {first}", self.rejected, self.rows));
        let of_hull = self.of_hull.then(|| {
            "this hull holds stable phases only, so known compounds that are unstable count as novel; build it again to keep the \
             formulas of all entries, add them by `temper hull add-formulas`, or name a list of known formulas"
                .to_owned()
        });
        rejected.or(of_hull)
    }

    fn add(&mut self, path: &Path, line: usize, row: Result<Composition, String>) -> Result<(), KnownError> {
        match row {
            Err(reason) => self.reject(format!("row {line}: {reason}")),
            Ok(composition) => {
                self.rows += 1;
                self.formulas.insert(composition.reduced_formula().into());
            }
        }
        if self.formulas.len() > MOST { Err(KnownError::TooMany { path: path.into() }) } else { Ok(()) }
    }

    /// Takes the formulas that a hull was built from, if its file holds them.
    fn add_hull(&mut self, path: &Path) -> Result<(), KnownError> {
        let hull = Hull::load(path)?;
        let formulas = hull.formulas();
        self.of_hull = formulas.is_none();
        self.formulas.extend(formulas.into_iter().flat_map(Formulas::iter).map(Box::from));
        if self.formulas.len() > MOST { Err(KnownError::TooMany { path: path.into() }) } else { Ok(()) }
    }

    fn reject(&mut self, reason: String) {
        self.rows += 1;
        self.rejected += 1;
        self.first.get_or_insert(reason);
    }

    fn add_lines(&mut self, path: &Path) -> Result<(), KnownError> {
        let failed = |source| KnownError::Io { path: path.into(), source };
        let mut lines = BufReader::new(open(path).map_err(failed)?);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            if lines.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(failed)? == 0 {
                break;
            }
            let text = String::from_utf8_lossy(&line);
            let formula = text.split('#').next().unwrap_or_default().trim();
            if !formula.is_empty() {
                self.add(path, number, formula.parse::<Composition>().map_err(|e| e.to_string()))?;
            }
        }
        Ok(())
    }

    /// Reads a table's column `formula`; false if it has none.
    fn add_table(&mut self, path: &Path) -> Result<bool, KnownError> {
        let failed = |source: csv::Error| KnownError::Io { path: path.into(), source: source.into() };
        let file = open(path).map_err(|source| KnownError::Io { path: path.into(), source })?;
        let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(file);
        let columns = table.byte_headers().map_err(failed)?;
        let Some(column) = columns.iter().position(|name| name.trim_ascii() == b"formula") else { return Ok(false) };
        for (row, record) in table.byte_records().enumerate() {
            let record = record.map_err(failed)?;
            let formula = String::from_utf8_lossy(record.get(column).unwrap_or_default());
            self.add(path, row + 2, formula.trim().parse::<Composition>().map_err(|e| e.to_string()))?;
        }
        Ok(true)
    }

    fn add_structures(&mut self, path: &Path) -> Result<(), KnownError> {
        for record in read_structures(path)? {
            let record = record?;
            let structure = record.structure.as_ref().map_err(ToString::to_string);
            let row = structure.and_then(|s| Composition::of_structure(s).map_err(|e| e.to_string()));
            self.add(path, record.line, row)?;
        }
        Ok(())
    }
}

/// Longest line that is read as one, bytes; what is longer is no formula.
const LONGEST_LINE: u64 = 64 * 1024;

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = BufReader::new(File::open(path)?);
    let packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    Ok(if packed { Box::new(flate2::bufread::MultiGzDecoder::new(file)) } else { Box::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<KnownCompositions, KnownError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        KnownCompositions::read(&path)
    }

    #[test]
    fn formulas_tables_and_structures_are_read() {
        let lines = read("known.txt", "# what we have\nNa4Cl4\nO3Fe2 # hematite\n\nNaCl\nXy\n").unwrap();
        assert!(lines.contains("NaCl") && lines.contains("Fe2O3") && !lines.contains("Fe3O4"));
        assert_eq!(lines.len(), 2);
        assert_eq!(
            lines.warning().unwrap(),
            "1 of 4 rows are not compositions; the first, row 6: `Xy` in `Xy` is not an element"
        );
        let table = read("known.csv", "id,formula\n1,Li2O\n2,LiO0.5\n").unwrap();
        assert!(table.contains("Li2O") && table.warning().is_none());
        let entries = read("known.json", r#"[{"composition": {"Cs": 1, "Cl": 1}, "energy": -6.0}]"#).unwrap();
        assert!(entries.contains("CsCl") && entries.warning().is_none());
        let row =
            r#"{"lattice": [[4,0,0],[0,4,0],[0,0,4]], "species": ["Cs","Cl"], "frac_coords": [[0,0,0],[0.5,0.5,0.5]]}"#;
        assert!(read("known.jsonl", row).unwrap().contains("CsCl"));
    }

    #[test]
    fn a_hull_knows_what_is_unstable_unless_its_file_is_of_version_1() {
        use crate::hull::{Entry, Hull, HullHeader};
        let entry = |formula: &str, energy| Entry::new(formula.parse().unwrap(), energy, "").unwrap();
        let entries = vec![entry("Na", 0.0), entry("Cl2", 0.0), entry("NaCl", -2.0), entry("NaCl3", 0.1)];
        let hull = Hull::build(entries, HullHeader::default(), &|_, _| ()).unwrap().0;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.hull");
        hull.save(&path).unwrap();
        let known = KnownCompositions::read(&path).unwrap();
        assert!(known.contains("NaCl") && known.contains("NaCl3"));
        assert_eq!((known.warning(), known.len()), (None, 4));
        let old = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/hull/version-1.hull");
        let known = KnownCompositions::read(Path::new(old)).unwrap();
        assert!(known.contains("NaCl") && !known.contains("NaCl3"));
        assert!(known.warning().unwrap().starts_with("this hull holds stable phases only"));
    }

    #[test]
    fn files_of_nothing_are_refused() {
        let message = |name: &str, text: &str| read(name, text).unwrap_err().to_string();
        assert!(message("a.txt", "").ends_with("none of 0 rows is a composition"));
        let refused = message("a.csv", "formula\nNaCl!\n");
        assert!(refused.contains("none of 1 rows is a composition (row 2: unexpected `!`"), "{refused}");
        assert!(message("a.csv", "name\nNaCl\n").contains("no column \"cif\""));
        assert!(message("a.docx", "NaCl").contains("a.docx"));
        assert!(KnownCompositions::read(Path::new("/nowhere.txt")).is_err());
    }
}
