//! CSV with a `cif` column. The identifier is the column `id` or `material_id`; other columns are carried along as text.

use super::super::Structure;
use super::cif;
use super::read::OpenError;
use super::record::{RawRecord, Record, RowError};
use super::source::Source;
use super::write::WriteError;
use serde_json::{Map, Value};
use std::io::{self, BufRead, Read, Write};

/// Columns that describe the structure itself.
pub(super) const OWN_KEYS: [&str; 2] = ["id", "cif"];

/// The rows below the header.
pub(super) fn rows(source: Source) -> Result<impl Iterator<Item = io::Result<RawRecord>> + Send, OpenError> {
    let source = QuoteWatch { source, state: Quoting::CellStart, is_at_end: false };
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(source);
    let mut record = csv::ByteRecord::new();
    reader.read_byte_record(&mut record).map_err(|error| OpenError::Io(error.into()))?;
    let table = Table::new(&record).map_err(OpenError::Header)?;
    let mut count = 0;
    Ok(std::iter::from_fn(move || {
        reader.get_mut().source.begin_row();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {
                count += 1;
                let mut row = table.row(&record, count);
                if reader.get_ref().is_at_end && reader.get_ref().state == Quoting::Quoted {
                    row.structure = Err(RowError::Unclosed);
                }
                Some(Ok(row))
            }
            Ok(false) => None,
            Err(error) => Some(Err(error.into())),
        }
    }))
}

/// A source that knows whether the bytes so far end inside a quoted cell: a file that was cut there has rows that look whole.
struct QuoteWatch {
    source: Source,
    state: Quoting,
    is_at_end: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Quoting {
    CellStart,
    Plain,
    Quoted,
    /// After a quote in a quoted cell: its end, or the first of two that mean one.
    Closing,
}

impl Quoting {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Quoted, b'"') => Self::Closing,
            (Self::Quoted, _) | (Self::CellStart | Self::Closing, b'"') => Self::Quoted,
            (_, b',' | b'\n' | b'\r') => Self::CellStart,
            _ => Self::Plain,
        }
    }
}

impl Read for QuoteWatch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.is_at_end = length == 0;
        let mut rest = &buffer[..length];
        while let Some((byte, after)) = rest.split_first() {
            (self.state, rest) = (self.state.after(*byte), after);
            if self.state == Quoting::Quoted && rest.skip_until(b'"')? > 0 {
                // Whether the quote was there or the bytes ended shows the last one of them.
                let skipped = &buffer[..length - rest.len()];
                self.state = if skipped.ends_with(b"\"") { Quoting::Closing } else { Quoting::Quoted };
            }
        }
        Ok(length)
    }
}

struct Table {
    columns: Vec<String>,
    cif: usize,
    id: Option<usize>,
}

impl Table {
    fn new(header: &csv::ByteRecord) -> Result<Self, String> {
        let mut columns: Vec<String> = Vec::new();
        for name in header {
            let name = String::from_utf8_lossy(name.trim_ascii()).into_owned();
            let is_known = |name: &String| columns.contains(name);
            if OWN_KEYS.contains(&name.as_str()) && is_known(&name) {
                return Err(format!("the header has column {name:?} twice"));
            }
            // A name that comes again is numbered, as in pandas.
            let numbered = (1..).map(|number| format!("{name}.{number}"));
            let fresh = std::iter::once(name.clone()).chain(numbered).find(|name| !is_known(name));
            columns.extend(fresh);
        }
        let place = |name: &str| columns.iter().position(|column| column == name);
        let cif = place("cif").ok_or_else(|| format!("no column \"cif\"; the header has {columns:?}"))?;
        let id = place("id").or(place("material_id"));
        Ok(Self { cif, id, columns })
    }

    fn row(&self, record: &csv::ByteRecord, line: usize) -> RawRecord {
        let id = self.id.and_then(|column| Some(String::from_utf8_lossy(record.get(column)?).into_owned()));
        let mut row = RawRecord {
            id: id.filter(|id| !id.is_empty()),
            line,
            structure: Err(RowError::missing("cif")),
            extra: Map::new(),
            warnings: Vec::new(),
        };
        if record.len() != self.columns.len() {
            let found = format!("{} cells", record.len());
            row.structure = Err(RowError::Value { what: "the row".into(), found, expected: "as long as the header" });
            return row;
        }
        for (column, (name, cell)) in self.columns.iter().zip(record).enumerate() {
            let Ok(text) = str::from_utf8(cell) else {
                row.structure =
                    Err(RowError::value(format!("column {name:?}"), &String::from_utf8_lossy(cell), "UTF-8"));
                return row;
            };
            if column == self.cif {
                row.structure = cif::parse(text, &mut row.warnings);
            } else if Some(column) != self.id {
                row.extra.insert(name.clone(), Value::String(text.to_owned()));
            }
        }
        row
    }
}

/// Writes the names of the columns: `id`, `cif`, and others.
pub(super) fn write_header(out: &mut dyn Write, others: &[&str]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(OWN_KEYS.iter().chain(others))?;
    writer.flush()
}

/// Writes a row below the header of these other columns.
pub(super) fn write(
    out: &mut dyn Write,
    others: &[String],
    record: &Record,
    structure: &Structure,
) -> Result<(), WriteError> {
    let mut text = Vec::new();
    cif::write(&mut text, &record.id, structure, record.orbits.as_ref())?;
    let mut row = vec![record.id.clone().into_bytes(), text];
    row.extend(others.iter().map(|key| record.extra.get(key).map_or_else(Vec::new, cell)));
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(row).map_err(io::Error::from)?;
    Ok(writer.flush()?)
}

fn cell(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => text.clone().into_bytes(),
        other => other.to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIF: &str = "data_a\n_cell_length_a 4\n_cell_length_b 4\n_cell_length_c 4\nloop_ _atom_site_label _atom_site_fract_x \
                       _atom_site_fract_y _atom_site_fract_z Fe1 0 0 0\n";

    fn read(text: &[u8]) -> Result<Vec<RawRecord>, String> {
        let source = Source::new(Box::new(io::Cursor::new(text.to_vec()))).unwrap();
        match rows(source) {
            Ok(rows) => Ok(rows.map(Result::unwrap).collect()),
            Err(OpenError::Header(what)) => Err(what),
            Err(OpenError::Io(error)) => panic!("{error}"),
        }
    }

    #[test]
    fn rows_with_other_columns() {
        let text = format!(
            "\u{feff}n,material_id,cif\r\n5,mp-1,\"{CIF}\"\r\n6,,\"{CIF}\"\n7,x,nonsense\n8,y\n9,z,\"{CIF}\"\n"
        );
        let rows = read(text.as_bytes()).unwrap();
        let found: Vec<_> = rows.iter().map(|row| (row.id.as_deref(), row.line, row.structure.is_ok())).collect();
        let expected = [
            (Some("mp-1"), 1, true),
            (None, 2, true),
            (Some("x"), 3, false),
            (Some("y"), 4, false),
            (Some("z"), 5, true),
        ];
        assert_eq!(found, expected);
        assert_eq!(rows[0].extra["n"], "5");
        assert_eq!(
            rows[3].structure.as_ref().unwrap_err().to_string(),
            "the row is 2 cells, not as long as the header"
        );
    }

    #[test]
    fn names_that_come_again_are_numbered() {
        let rows = read(format!("note,cif,note,note\n1,\"{CIF}\",2,3\n").as_bytes()).unwrap();
        assert!(rows[0].structure.is_ok());
        let extra = &rows[0].extra;
        assert_eq!((&extra["note"], &extra["note.1"], &extra["note.2"]), (&"1".into(), &"2".into(), &"3".into()));
    }

    #[test]
    fn a_file_that_ends_inside_a_cell_has_no_last_row() {
        let atoms = format!("{CIF}O1 .5 .5 .5\n");
        let whole = format!("id,cif,n\na,\"{CIF}\",1\nb,\"{atoms}\",\"\"\"2\"\n");
        let last = |text: &str| read(text.as_bytes()).unwrap().pop().unwrap().structure.map(|s| s.len());
        assert_eq!(last(&whole), Ok(2));
        assert_eq!(last(&whole[..whole.len() - 1]), Ok(2));
        let (header, cut) = ("id,cif\n", format!("b,\"{atoms}"));
        for end in [cut.len(), cut.len() - "O1 .5 .5 .5\n".len()] {
            assert_eq!(last(&format!("{header}{}", &cut[..end])), Err(RowError::Unclosed));
        }
        assert_eq!(last(&format!("{header}{cut}\"")), Ok(2));
        assert_eq!(last(&format!("{header}a 5\" pipe,\"{CIF}\"")), Ok(1));
    }

    #[test]
    fn headers_that_cannot_be_used() {
        assert_eq!(read(b"id,formula\n").err().unwrap(), "no column \"cif\"; the header has [\"id\", \"formula\"]");
        assert_eq!(read(b"").err().unwrap(), "no column \"cif\"; the header has []");
        assert_eq!(read(b"cif,a,cif\n").err().unwrap(), "the header has column \"cif\" twice");
    }
}
