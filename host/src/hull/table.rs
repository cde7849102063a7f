//! Tables of energies above hull.

use std::io::Write;
use std::path::Path;

use rayon::prelude::*;

use super::read::{Columns, Format, TableReader, format_of, read_rows};
use super::rows::Row;
use super::{Hull, HullError};

/// Rows that are held in memory at a time, and their bytes.
const CHUNK: usize = 8192;
const CHUNK_BYTES: usize = 16 << 20;

/// Columns that are added.
const ADDED: [&str; 3] = ["e_above_hull", "decomposition", "status"];

/// How the rows of a table fared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuerySummary {
    /// Rows read.
    pub rows: usize,
    /// Rows answered; the others carry their reason in the column `status`.
    pub answered: usize,
}

/// Answers a table (CSV, perhaps compressed) with the columns `formula` and `energy_per_atom` (eV/atom): every column of it
/// is passed on, and `e_above_hull` (eV/atom), `decomposition` (`formula:fraction of atoms;...`) and `status` (`ok` or the
/// reason why not) come last; where the table has columns of these names already, the new ones replace them. Of the other files
/// that [`super::read_entries`] reads, the columns `id`, `formula` and `energy_per_atom` come first.
///
/// # Errors
/// [`HullError`] `Read`, `Column`, `Json` or `Write` (with `output_path` as the name); a bad row is a status.
pub fn query_file(
    hull: &Hull,
    input: &Path,
    output: impl Write,
    output_path: &Path,
) -> Result<QuerySummary, HullError> {
    match format_of(input)? {
        Format::Table => query_table(hull, input, output, output_path),
        Format::Json | Format::Hull => query_entries(hull, input, output, output_path),
    }
}

/// Answers entries that are no table, one row for each in their order.
fn query_entries(hull: &Hull, input: &Path, output: impl Write, output_path: &Path) -> Result<QuerySummary, HullError> {
    let mut writer = csv::WriterBuilder::new().from_writer(output);
    let failed = |error: csv::Error| HullError::write(output_path, error.into());
    writer.write_record(["id", "formula", "energy_per_atom"].iter().chain(&ADDED)).map_err(failed)?;
    let mut summary = QuerySummary::default();
    let mut written = Ok(());
    read_rows(input, &mut |_, row| {
        let (known, answer) = answer_entry(hull, row);
        summary.rows += 1;
        summary.answered += usize::from(answer.is_ok());
        let [above, decomposition, status] = match answer {
            Ok([above, decomposition]) => [above, decomposition, "ok".to_owned()],
            Err(reason) => [String::new(), String::new(), reason],
        };
        if written.is_ok() {
            written = writer.write_record(known.iter().chain([&above, &decomposition, &status])).map_err(failed);
        }
    })?;
    written?;
    writer.flush().map_err(|e| HullError::write(output_path, e))?;
    Ok(summary)
}

/// Id, formula and energy per atom of an entry as far as they are known, and its answer as [`answer`] gives it.
fn answer_entry(hull: &Hull, row: Result<Row, String>) -> ([String; 3], Result<[String; 2], String>) {
    match row {
        Ok(Row { entry, .. }) => {
            let energy = entry.energy_per_atom();
            let above = hull.query(entry.composition(), energy).map_err(|error| error.to_string());
            let texts = above.map(|above| [above.e_above_hull.to_string(), above.decomposition_text()]);
            ([entry.id().to_owned(), entry.composition().reduced_formula(), energy.to_string()], texts)
        }
        Err(reason) => (Default::default(), Err(reason)),
    }
}

/// Answers a table.
fn query_table(hull: &Hull, input: &Path, output: impl Write, output_path: &Path) -> Result<QuerySummary, HullError> {
    let mut reader = TableReader::open(input)?;
    let names = reader.names(input)?;
    let columns = Columns::find(&names, input)?;
    let passed: Vec<usize> = (0..names.len()).filter(|i| ADDED.iter().all(|a| a.as_bytes() != &names[*i])).collect();
    let pass =
        |row: &csv::ByteRecord| passed.iter().map(|i| row.get(*i).unwrap_or_default().to_vec()).collect::<Vec<_>>();
    let mut writer = csv::WriterBuilder::new().from_writer(output);
    let mut write = |row: Vec<Vec<u8>>, added: [&str; 3]| {
        let added = added.map(|text| text.as_bytes().to_vec());
        writer
            .write_byte_record(&row.into_iter().chain(added).collect())
            .map_err(|e| HullError::write(output_path, e.into()))
    };
    write(pass(&names), ADDED)?;
    let mut summary = QuerySummary::default();
    loop {
        let chunk = next_chunk(&mut reader, input)?;
        if chunk.is_empty() {
            break;
        }
        let answers: Vec<_> = chunk.par_iter().map(|row| answer(hull, &columns, row)).collect();
        for (row, answer) in chunk.iter().zip(answers) {
            summary.rows += 1;
            match answer {
                Ok([above, decomposition]) => {
                    summary.answered += 1;
                    write(pass(row), [&above, &decomposition, "ok"])?;
                }
                Err(reason) => write(pass(row), ["", "", &reason])?,
            }
        }
    }
    writer.flush().map_err(|e| HullError::write(output_path, e))?;
    Ok(summary)
}

/// The next rows; none at the end.
fn next_chunk(reader: &mut TableReader, input: &Path) -> Result<Vec<csv::ByteRecord>, HullError> {
    let (mut chunk, mut bytes, mut row) = (Vec::new(), 0, csv::ByteRecord::new());
    while chunk.len() < CHUNK && bytes < CHUNK_BYTES && reader.next(&mut row, input)? {
        bytes += row.as_slice().len();
        chunk.push(std::mem::take(&mut row));
    }
    Ok(chunk)
}

/// Energy above hull and decomposition of a row, as texts; or why there are none.
fn answer(hull: &Hull, columns: &Columns, row: &csv::ByteRecord) -> Result<[String; 2], String> {
    let (composition, energy) = columns.read(row)?;
    let above = hull.query(&composition, energy).map_err(|e| e.to_string())?;
    Ok([above.e_above_hull.to_string(), above.decomposition_text()])
}

#[cfg(test)]
mod tests {
    use super::super::query::tests::{entry, hull_of};
    use super::*;

    #[test]
    fn rows_are_answered_or_say_why_not() {
        let hull = hull_of(vec![entry("Na", 0.0), entry("Cl2", 0.0), entry("NaCl", -2.0)]);
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("in.csv");
        let table = "name,formula,status,energy_per_atom\n\"a,b\",Na2Cl2,old,-2.5\nc,NaBr,old,-1\nd,Na3Cl,old,x\ne\n";
        std::fs::write(&input, table).unwrap();
        let mut out = Vec::new();
        let summary = query_file(&hull, &input, &mut out, Path::new("out.csv")).unwrap();
        assert_eq!(summary, QuerySummary { rows: 4, answered: 1 });
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "name,formula,energy_per_atom,e_above_hull,decomposition,status\n\
             \"a,b\",Na2Cl2,-2.5,-0.5,NaCl:1.00000000,ok\n\
             c,NaBr,-1,,,\"the hull has no reference energy for Br, which NaBr contains\"\n\
             d,Na3Cl,x,,,energy_per_atom `x` is not a number\n\
             e,,,,,it has 1 columns and no formula\n"
        );
    }

    #[test]
    fn entries_of_every_shape_are_answered() {
        let hull = hull_of(vec![entry("Na", 0.0), entry("Cl2", 0.0), entry("NaCl", -2.0)]);
        let folder = tempfile::tempdir().unwrap();
        let (json, built) = (folder.path().join("in.json"), folder.path().join("x.hull"));
        let rows = r#"[{"composition": {"Na": 2, "Cl": 2}, "energy": -10.0, "correction": 0.0, "entry_id": "a"},
            {"composition": {"Na": 1, "Br": 1}, "energy": -2.0}, {"composition": {"Na": 1}, "energy": NaN}]"#;
        std::fs::write(&json, rows).unwrap();
        let answers = |input: &Path| {
            let mut out = Vec::new();
            let summary = query_file(&hull, input, &mut out, Path::new("out.csv")).unwrap();
            (summary, String::from_utf8(out).unwrap())
        };
        let (summary, text) = answers(&json);
        assert_eq!(summary, QuerySummary { rows: 3, answered: 1 });
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "id,formula,energy_per_atom,e_above_hull,decomposition,status");
        assert_eq!(lines[1], "a,NaCl,-2.5,-0.5,NaCl:1.00000000,ok");
        assert!(
            lines[2].ends_with(",NaBr,-1,,,\"the hull has no reference energy for Br, which NaBr contains\""),
            "{text}"
        );
        assert!(lines[3].starts_with(",,,,,") && lines[3].contains("NaN"), "{text}");
        hull.save(&built).unwrap();
        let (summary, text) = answers(&built);
        assert_eq!(summary, QuerySummary { rows: 3, answered: 3 });
        assert!(text.lines().skip(1).all(|line| line.split(',').nth(3) == Some("0")), "{text}");
    }
}
