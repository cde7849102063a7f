//! Entries from tables and from pymatgen's JSON, plain or compressed (gzip, bzip2).
//!
//! The kind of a file is recognised by its content, not by its name. JSON is streamed: the structure in a
//! ComputedStructureEntry is skipped and never held in memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use super::bounded::Bounded;
use super::json::read_json;
use super::rows::{Rejected, RejectedRow, Row, RunTypes, Sink};
use super::{Entry, HullError};
use crate::crystal::Composition;

/// Entries of a file, with the rows that were none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadEntries {
    /// The entries, in the file's order.
    pub entries: Vec<Entry>,
    /// Rows that could not be used; never dropped silently.
    pub rejected: Rejected,
    /// How the energies were computed, where the file says so.
    pub run_types: RunTypes,
}

/// Reads entries from
/// * a table (CSV) with the columns `formula` and `energy_per_atom` (eV/atom), and `id` if it has one; other columns are ignored;
/// * pymatgen JSON: ComputedEntry or ComputedStructureEntry dictionaries, one after the other as JSON lines have them, in a list,
///   as the values of an object (as elemental references come), or under `entries`, `entry`, `all_entries` (as in the dictionary
///   of a PhaseDiagram) or `data` (as in an answer of the Materials Project's API). A list may as well hold records with such
///   dictionaries under `entry` or `entries`: rows of a pandas table, thermo documents. The energy is (`energy` + the sum of
///   `energy_adjustments`, or else `correction`) / number of atoms; a record without `energy` may have `energy_per_atom`, and then
///   `formula` or `formula_pretty` in place of `composition`.
///
/// # Errors
/// [`HullError`] `Read`, `Column` or `Json` when the file as a whole is unusable, `NoEntries` when every row of it is. Single
/// bad rows are reported in [`ReadEntries::rejected`].
pub fn read_entries(path: &Path) -> Result<ReadEntries, HullError> {
    let mut found = ReadEntries::default();
    read_rows(path, &mut |number, row| match row {
        Ok(Row { entry, run_type }) => {
            found.entries.push(entry);
            found.run_types.add(run_type);
        }
        Err(reason) => found.rejected.push(number, reason),
    })?;
    if found.entries.is_empty() {
        return Err(no_entries(path, &found.rejected));
    }
    Ok(found)
}

/// Reads a file as [`read_entries`] does, holding one row at a time.
pub(super) fn read_rows(path: &Path, sink: Sink<'_>) -> Result<(), HullError> {
    match format_of(path)? {
        Format::Hull => {
            let hull = super::Hull::load(path)?;
            (1..)
                .zip(hull.entries())
                .for_each(|(row, entry)| sink(row, Ok(Row { entry: entry.clone(), run_type: None })));
            Ok(())
        }
        Format::Json => read_json(Bounded::new(open(path)?), sink).map_err(|source| match source.is_io() {
            true => HullError::read(path, source.into()),
            false => HullError::Json { path: path.into(), source },
        }),
        Format::Table => read_table(path, sink),
    }
}

pub(super) fn no_entries(path: &Path, rejected: &Rejected) -> HullError {
    HullError::NoEntries { path: path.into(), first: rejected.first.first().map(RejectedRow::to_string) }
}

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Hull,
    Json,
    Table,
}

pub(super) fn format_of(path: &Path) -> Result<Format, HullError> {
    let mut beginning = Vec::new();
    open(path)?.take(64).read_to_end(&mut beginning).map_err(|e| HullError::read(path, e))?;
    let first = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(match first {
        _ if super::file::is_hull(&beginning) => Format::Hull,
        Some(b'[' | b'{') => Format::Json,
        _ => Format::Table,
    })
}

/// An opened file. A concrete `BufReader` outside: JSON is taken from it byte by byte.
pub(super) type Opened = BufReader<Box<dyn Read>>;

/// What some programs put before the text of a file that is UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Opens a file, decompressing gzip and bzip2, behind its byte-order mark if it has one.
pub(super) fn open(path: &Path) -> Result<Opened, HullError> {
    let open = || {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path)?);
        let reader: Box<dyn Read> = match file.fill_buf()? {
            [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            [b'B', b'Z', b'h', ..] => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            _ => Box::new(file),
        };
        let mut reader = BufReader::with_capacity(1 << 16, reader);
        if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
            reader.consume(BYTE_ORDER_MARK.len());
        }
        Ok(reader)
    };
    open().map_err(|e| HullError::read(path, e))
}

/// Places of the columns of a table of formulas and energies.
pub(super) struct Columns {
    formula: usize,
    energy: usize,
    id: Option<usize>,
    /// How many the table has.
    count: usize,
}

impl Columns {
    pub fn find(names: &csv::ByteRecord, path: &Path) -> Result<Self, HullError> {
        let place = |name: &str| names.iter().position(|found| found.trim_ascii() == name.as_bytes());
        let column = |name: &'static str| {
            place(name).ok_or_else(|| {
                let found: Vec<_> = names.iter().take(20).map(|name| String::from_utf8_lossy(name)).collect();
                HullError::Column { path: path.into(), column: name, found: found.join(", ") }
            })
        };
        Ok(Self {
            formula: column("formula")?,
            energy: column("energy_per_atom")?,
            id: place("id"),
            count: names.len(),
        })
    }

    /// Composition and energy (eV/atom) of a row, or why it has none.
    pub fn read(&self, row: &csv::ByteRecord) -> Result<(Composition, f64), String> {
        // A decimal comma, or one in a text without quotes, shifts what follows.
        if row.iter().skip(self.count).any(|surplus| !surplus.trim_ascii().is_empty()) {
            return Err(format!("it has {} columns, and the table has {}", row.len(), self.count));
        }
        let formula = field(row, self.formula, "formula")?;
        let energy = field(row, self.energy, "energy_per_atom")?;
        let composition = formula.parse::<Composition>().map_err(|e| e.to_string())?;
        let energy: f64 = energy.parse().map_err(|_| format!("energy_per_atom `{energy}` is not a number"))?;
        super::entry::check_energy(energy).map_err(|e| e.to_string())?;
        Ok((composition, energy))
    }

    fn entry(&self, row: &csv::ByteRecord) -> Result<Entry, String> {
        let (composition, energy) = self.read(row)?;
        let id = self.id.map_or(Ok(""), |place| field(row, place, "id"))?;
        Entry::new(composition, energy, id).map_err(|e| e.to_string())
    }
}

fn field<'a>(row: &'a csv::ByteRecord, place: usize, name: &str) -> Result<&'a str, String> {
    let bytes = row.get(place).ok_or_else(|| format!("it has {} columns and no {name}", row.len()))?;
    std::str::from_utf8(bytes.trim_ascii()).map_err(|_| format!("{name} is not UTF-8"))
}

/// A table, each row within bounds.
pub(super) struct TableReader(csv::Reader<Bounded<Opened>>);

impl TableReader {
    /// A reader that lets rows of any number of columns through, to be judged one by one.
    pub fn open(path: &Path) -> Result<Self, HullError> {
        Ok(Self(csv::ReaderBuilder::new().flexible(true).from_reader(Bounded::new(open(path)?))))
    }

    /// The names of the columns.
    pub fn names(&mut self, path: &Path) -> Result<csv::ByteRecord, HullError> {
        Ok(self.0.byte_headers().map_err(|e| HullError::read(path, e.into()))?.clone())
    }

    /// Reads the next row; false at the end.
    pub fn next(&mut self, row: &mut csv::ByteRecord, path: &Path) -> Result<bool, HullError> {
        self.0.get_ref().allowance().renew();
        self.0.read_byte_record(row).map_err(|e| HullError::read(path, e.into()))
    }
}

fn read_table(path: &Path, sink: Sink<'_>) -> Result<(), HullError> {
    let mut reader = TableReader::open(path)?;
    let columns = Columns::find(&reader.names(path)?, path)?;
    let mut row = csv::ByteRecord::new();
    while reader.next(&mut row, path)? {
        let entry = columns.entry(&row).map(|entry| Row { entry, run_type: None });
        sink(row.position().map_or(0, csv::Position::line), entry);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::rows::MOST_NAMED;
    use super::*;
    use std::io::Write;

    fn read(content: &[u8]) -> Result<ReadEntries, HullError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(content).unwrap();
        read_entries(file.path())
    }

    #[test]
    fn columns_that_are_shifted_are_no_energies() {
        let table = b"id,formula,energy_per_atom\n1,Li,-1.9,\n2,O2,-4.9, ,\n3,Li2O,-4,766667\n4,Na2,Cl,-1\n";
        let found = read(table).unwrap();
        assert_eq!(summary(&found), [("Li".into(), -1.9), ("O2".into(), -4.9)]);
        let reasons: Vec<String> = found.rejected.first.iter().map(ToString::to_string).collect();
        assert_eq!(
            reasons,
            ["row 4: it has 4 columns, and the table has 3", "row 5: it has 4 columns, and the table has 3"]
        );
    }

    #[test]
    fn a_formula_does_where_the_energy_is_per_atom() {
        let rows = br#"[{"formula": "Li2O", "energy_per_atom": -4.75}, {"formula_pretty": "Li", "energy_per_atom": -1.9, "formula": null},
            {"formula": "Li2O", "energy": -14.25}, {"formula": 3, "energy_per_atom": 0}, {"formula": "Xx", "energy_per_atom": 0}]"#;
        let found = read(rows).unwrap();
        assert_eq!(summary(&found), [("Li2O".into(), -4.75), ("Li".into(), -1.9)]);
        let reasons: Vec<String> = found.rejected.first.iter().map(ToString::to_string).collect();
        assert_eq!(reasons[0], "row 3: it has no `composition`, and `energy` is that of all its atoms");
        assert_eq!(reasons[1], "row 4: it has no `composition`");
        assert!(reasons[2].contains("`Xx`"), "{}", reasons[2]);
        let lines =
            b"{\"formula\": \"Li\", \"energy_per_atom\": -1.9}\n{\"formula\": \"O2\", \"energy_per_atom\": -4.9}\n";
        assert_eq!(summary(&read(lines).unwrap()).len(), 2);
    }

    fn summary(read: &ReadEntries) -> Vec<(String, f64)> {
        read.entries.iter().map(|e| (e.composition().reduced_formula(), e.energy_per_atom())).collect()
    }

    #[test]
    fn tables_are_read_and_bad_rows_reported() {
        let table = "id,energy_per_atom,formula,more\na,-1.5,Fe2O3,x\nb,nan,FeO,x\nc,-1,Xx,x\nd,-1\n\"e\",-2e0, Fe ,x\nf,1e300,Fe,x\ng,,Fe,x\n";
        let found = read(table.as_bytes()).unwrap();
        assert_eq!(summary(&found), [("Fe2O3".into(), -1.5), ("Fe".into(), -2.0)]);
        assert_eq!(found.entries[1].id(), "e");
        let rejected: Vec<_> = found.rejected.first.iter().map(ToString::to_string).collect();
        assert_eq!(
            rejected,
            [
                "row 3: the energy NaN eV/atom is not a number between -1e7 and 1e7",
                "row 4: `Xx` in `Xx` is not an element",
                "row 5: it has 2 columns and no formula",
                "row 7: the energy 1e300 eV/atom is not a number between -1e7 and 1e7",
                "row 8: energy_per_atom `` is not a number",
            ]
        );
    }

    #[test]
    fn unusable_files_are_errors() {
        assert!(matches!(read(b"formula,energy\nFe,1\n"), Err(HullError::Column { column: "energy_per_atom", .. })));
        assert!(matches!(read(b""), Err(HullError::Column { .. })));
        assert!(matches!(read(b"formula,energy_per_atom\nFe,x\n"), Err(HullError::NoEntries { first: Some(_), .. })));
        assert!(matches!(read(b"[]"), Err(HullError::NoEntries { .. })));
        assert!(matches!(read(b"[{\"energy\": 1"), Err(HullError::Json { .. })));
        assert!(matches!(read(b"[]x"), Err(HullError::Json { .. })));
        assert!(matches!(read(b"{\"entries\": 3}"), Err(HullError::NoEntries { first: Some(_), .. })));
        assert!(matches!(read_entries(Path::new("/nonexistent/x.csv")), Err(HullError::Read { .. })));
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(b"formula,energy_per_atom\nFe,1\nO,2\n").unwrap();
        let zipped = zipped.finish().unwrap();
        assert_eq!(read(&zipped).unwrap().entries.len(), 2);
        assert!(matches!(read(&zipped[..zipped.len() - 10]), Err(HullError::Read { .. })));
    }

    /// Each is some kilobytes of gzip, and gigabytes if it were held.
    #[test]
    fn a_row_without_an_end_is_refused() {
        let zipped = |beginning: &str, piece: &str| {
            let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            zipped.write_all(beginning.as_bytes()).unwrap();
            (0..64).for_each(|_| zipped.write_all(piece.repeat((1 << 20) / piece.len()).as_bytes()).unwrap());
            zipped.finish().unwrap()
        };
        let table = "formula,energy_per_atom\nFe,-1\n";
        let entry = r#"[{"composition": {"Fe": 1}, "energy": -8.0}, {"#;
        for (beginning, piece) in [
            (table, "x"),
            (table, "x,"),
            (&format!("{table}\"")[..], "Fe\n"),
            (&format!("{entry}\"parameters\": ["), "0,"),
            (&format!("{entry}\"entry_id\": \""), "x"),
            (&format!("{entry}\""), "x"),
            (&format!("{entry}\"composition\": {{"), "\"Fe\":1,"),
            ("[\"", "x"),
        ] {
            let said = read(&zipped(beginning, piece)).unwrap_err().to_string();
            assert!(said.ends_with("a row of more than 1 MiB"), "{beginning}: {said}");
        }
        // What is passed over may be as long as it likes.
        let mut whole = r#"{"facets": ["#.to_owned() + &"0,".repeat(2 << 20);
        whole += &format!("0], \"all_entries\": {entry}\"structure\": \"{}\", ", "x".repeat(4 << 20));
        whole += r#""composition": "O2", "energy": -8}]}"#;
        assert_eq!(read(whole.as_bytes()).unwrap().entries.len(), 2);
    }

    #[test]
    fn json_of_every_shape_is_read() {
        let iron = r#"{"composition": {"Fe3+": 2.0, "O2-": 3}, "energy": -10.0, "correction": -5.0, "entry_id": "mp-1",
            "structure": {"sites": [[1, {"composition": 3}]]}, "energy_adjustments": [{"value": -5.0}]}"#;
        let oxygen = r#"{"composition": "O2", "energy": -8, "correction": null, "entry_id": 5}"#;
        let expected = [("Fe2O3".to_string(), -3.0), ("O2".to_string(), -4.0)];
        for document in [
            format!("[{iron}, {oxygen}]"),
            format!("{{\"@module\": \"x\", \"entries\": [{iron}, {oxygen}], \"meta\": {{\"n\": [1]}}}}"),
            format!("{{\"Fe\": {iron}, \"O\": {oxygen}}}"),
            format!("{{\"material_id\": {{\"0\": \"a\"}}, \"entry\": {{\"0\": {iron}, \"1\": {oxygen}}}}}"),
            format!("{iron}\n{oxygen}\n"),
            format!("{{\"entry\": {iron}}}\n{{\"entry\": {oxygen}, \"composition\": {{\"O\": 1}}}}"),
            format!("[{{\"entry\": {iron}}}, {{\"material_id\": \"x\", \"entry\": {oxygen}}}]"),
            format!(
                "{{\"data\": [{{\"entries\": {{\"GGA\": {iron}}}}}, {{\"entries\": [{oxygen}]}}], \"meta\": {{}}}}"
            ),
            format!(
                "{{\"computed_data\": {{\"all_entries\": []}}, \"all_entries\": [{iron}, {oxygen}], \"elements\": [{{}}]}}"
            ),
            format!("\u{feff}[{iron}, {oxygen}]"),
        ] {
            let found = read(document.as_bytes()).unwrap();
            assert_eq!(summary(&found), expected, "{document}");
            assert_eq!((found.entries[0].id(), found.entries[1].id()), ("mp-1", "5"));
            assert_eq!(found.rejected.count, 0);
        }
        let mut packed = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        packed.write_all(format!("[{iron}, {oxygen}]").as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        assert_eq!(summary(&read(&packed).unwrap()), expected);
        assert!(matches!(read(&packed[..packed.len() / 2]), Err(HullError::Json { .. } | HullError::Read { .. })));
    }

    #[test]
    fn an_energy_per_atom_and_a_document_without_entries_are_taken_too() {
        let document = r#"[{"material_id": "mp-1", "composition": {"Fe": 4}, "entries": null, "energy_per_atom": -8.5},
            {"composition": {"Fe2+,spin=4": 2, "D": 2}, "energy": -4.0, "energy_adjustments": [{"value": -4.0}]}]"#;
        let found = read(document.as_bytes()).unwrap();
        assert_eq!(summary(&found), [("Fe".into(), -8.5), ("FeH".into(), -2.0)]);
        assert_eq!(found.entries[0].id(), "mp-1");
    }

    #[test]
    fn many_bad_rows_are_counted_and_the_first_named() {
        let table = format!("formula,energy_per_atom\nFe,1\n{}", "Xx,1\n".repeat(3 * MOST_NAMED));
        let rejected = read(table.as_bytes()).unwrap().rejected;
        assert_eq!((rejected.count, rejected.first.len()), (3 * MOST_NAMED, MOST_NAMED));
    }

    #[test]
    fn bad_json_entries_are_reported() {
        let document = r#"[{"composition": {"Fe": 1}, "energy": -8.0}, 3, [1], {"energy": 1, "entry_id": "mp-2"},
            {"composition": {"Fe": 1}, "energy": "x"}, {"composition": {"Fe": -1}, "energy": 1},
            {"composition": {"Fe": 1}, "energy": 1, "energy_adjustments": [{}]},
            {"composition": {"Fe": 1}, "energy": NaN, "data": {"gap": -Infinity}}, {"composition": {"Fe": NaN}, "energy": 1}]"#;
        let found = read(document.as_bytes()).unwrap();
        assert_eq!(found.entries.len(), 1);
        let rejected: Vec<_> = found.rejected.first.iter().map(ToString::to_string).collect();
        assert_eq!(
            rejected,
            [
                "row 2: it is not a ComputedEntry dictionary",
                "row 3: it is not a ComputedEntry dictionary",
                "row 4: it has no `composition` (mp-2)",
                "row 5: `energy` is \"x\", not a number",
                "row 6: the amount -1.0 of Fe is not between 0 and 1e9",
                "row 7: the energy adjustment without a name has no number as its value",
                "row 8: `energy` is \"NaN\", not a number",
                "row 9: the amount of Fe is not a number",
            ]
        );
    }
}
