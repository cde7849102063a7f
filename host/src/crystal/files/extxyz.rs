//! Extended XYZ, frame by frame (the specification of github.com/libAtoms/extxyz). The keys of the comment line are
//! carried along; of the columns only species and positions are read.

use super::super::{Element, Lattice, Structure};
use super::extxyz_comment::{Field, JSON_MARK, boolean, keys};
use super::record::{MAX_ATOMS, RawRecord, RowError, checked, excerpt, number};
use super::source::Source;
use super::species;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// Keys of the comment line that describe the structure itself.
pub(super) const OWN_KEYS: [&str; 4] = ["id", "Lattice", "Properties", "pbc"];

/// The frames of a file. Where a line that should count atoms does not, what follows up to the next line that does is one
/// row without a structure.
pub(super) fn rows(source: Source) -> impl Iterator<Item = io::Result<RawRecord>> + Send {
    let mut frames = Frames { source, ahead: None };
    std::iter::from_fn(move || frames.next().transpose())
}

/// A file that is read frame by frame, one line ahead.
struct Frames {
    source: Source,
    ahead: Option<Vec<u8>>,
}

impl Frames {
    fn next(&mut self) -> io::Result<Option<RawRecord>> {
        self.source.begin_row();
        let Some(first) = self.next_filled()? else { return Ok(None) };
        let line = self.source.line();
        let first = String::from_utf8_lossy(&first).trim().to_owned();
        match first.parse::<usize>() {
            Ok(count) => self.frame(count, line).map(Some),
            Err(_) => self.skip(&first, line).map(Some),
        }
    }

    /// The next line, with its end.
    fn next_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.take() {
            return Ok(Some(line));
        }
        let mut text = Vec::new();
        Ok(self.source.read_line(&mut text)?.then_some(text))
    }

    /// The next line that is not blank.
    fn next_filled(&mut self) -> io::Result<Option<Vec<u8>>> {
        while let Some(line) = self.next_line()? {
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
            self.source.begin_row();
        }
        Ok(None)
    }

    /// Passes over lines up to the next that counts atoms.
    fn skip(&mut self, first: &str, line: usize) -> io::Result<RawRecord> {
        let mut last = line;
        while let Some(text) = self.next_line()? {
            self.source.begin_row();
            if is_count(&text) {
                self.ahead = Some(text);
                break;
            }
            last = self.source.line();
        }
        let what =
            format!("{} is not a number of atoms; the lines from it to line {last} are not read", excerpt(first));
        Ok(row(line, Err(RowError::syntax(line, what))))
    }

    fn frame(&mut self, count: usize, line: usize) -> io::Result<RawRecord> {
        let comment = self.next_line()?.unwrap_or_default();
        let mut atoms = Vec::new();
        for read in 0..count {
            if count > MAX_ATOMS {
                atoms.clear();
                self.source.begin_row();
            }
            match self.next_line()? {
                Some(text) if !is_count(&text) => atoms.extend(text),
                // No atom is a lone number: the next frame begins.
                next => {
                    let what = match next {
                        Some(_) => format!("the next frame begins after {read} of {count} atoms"),
                        None => format!("the file ends after {read} of {count} atoms"),
                    };
                    self.ahead = next;
                    return Ok(row(line, Err(RowError::syntax(self.source.line(), what))));
                }
            }
        }
        if count > MAX_ATOMS {
            return Ok(row(line, Err(RowError::TooManyAtoms)));
        }
        let next = self.next_filled()?;
        let surplus = next.as_ref().is_some_and(|text| is_like_last(&atoms, text));
        self.ahead = next;
        if surplus {
            let what = format!("more atoms follow than the {count} of line {line}");
            let found = row(line, Err(RowError::syntax(self.source.line(), what)));
            self.skip("", line)?;
            return Ok(found);
        }
        Ok(record(&comment, &atoms, line))
    }
}

/// Whether a line counts atoms.
fn is_count(line: &[u8]) -> bool {
    let text = line.trim_ascii();
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// Whether a line has as many words as the last of the atoms, and the same of them are numbers.
fn is_like_last(atoms: &[u8], line: &[u8]) -> bool {
    let kinds = |line: &[u8]| -> Vec<bool> {
        String::from_utf8_lossy(line).split_whitespace().map(|word| number(word).is_some()).collect()
    };
    let last = atoms.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    kinds(last) == kinds(line)
}

fn record(comment: &[u8], atoms: &[u8], line: usize) -> RawRecord {
    let (Ok(comment), Ok(atoms)) = (str::from_utf8(comment), str::from_utf8(atoms)) else {
        return row(line, Err(RowError::syntax(line, "a frame that is not UTF-8")));
    };
    let mut keys = match keys(comment) {
        Ok(keys) => keys,
        Err(what) => return row(line, Err(RowError::syntax(line + 1, what))),
    };
    let id = keys.iter().position(|(key, _)| key == "id").map(|at| keys.remove(at).1.text);
    let structure = structure(&keys, atoms, line);
    let others = keys.into_iter().filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()));
    let extra = others.map(|(key, field)| (key, field.value())).collect();
    RawRecord { id, extra, ..row(line, structure) }
}

fn row(line: usize, structure: Result<Structure, RowError>) -> RawRecord {
    RawRecord { id: None, line, structure, extra: Map::new(), warnings: Vec::new() }
}

fn structure(keys: &[(String, Field)], atoms: &str, line: usize) -> Result<Structure, RowError> {
    let key = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, field)| field.text.as_str());
    let text =
        key("Lattice").ok_or_else(|| RowError::missing("Lattice in the comment line: not a periodic structure"))?;
    let lattice = lattice(text)?;
    let is_true = |word: &str| word == "1" || boolean(word) == Some(true);
    if let Some(pbc) = key("pbc").filter(|pbc| !parts(pbc).all(is_true)) {
        return Err(RowError::value("pbc", pbc, "T T T: only structures periodic in three directions can be used"));
    }
    let columns = Columns::parse(key("Properties").unwrap_or("species:S:1:pos:R:3"))?;
    let (mut species, mut frac) = (Vec::new(), Vec::new());
    for (index, text) in atoms.lines().enumerate() {
        let error = || RowError::syntax(line + 2 + index, format!("{} is not what Properties says", excerpt(text)));
        let words: Vec<&str> = text.split_whitespace().collect();
        let (element, position) = columns.atom(&words).ok_or_else(error)?;
        species.push(element?);
        frac.push(lattice.fractional(position));
    }
    checked(lattice, species, frac)
}

/// The words of an array, whatever separates them.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || "[],".contains(c)).filter(|part| !part.is_empty())
}

/// Three vectors, one behind the other. Programs disagree on whether the rows of a two-dimensional array are the vectors, so
/// it has to be symmetric.
fn lattice(text: &str) -> Result<Lattice, RowError> {
    let numbers: Option<Vec<f64>> = parts(text).map(number).collect();
    let [a0, a1, a2, b0, b1, b2, c0, c1, c2] = numbers
        .and_then(|numbers| <[f64; 9]>::try_from(numbers).ok())
        .ok_or_else(|| RowError::value("Lattice", text, "nine numbers"))?;
    let is_symmetric = a1 == b0 && a2 == c0 && b2 == c1;
    if text.matches('[').count() > 1 && !is_symmetric {
        return Err(RowError::value(
            "Lattice",
            text,
            "nine numbers in one row: the order of a two-dimensional array is not certain",
        ));
    }
    Ok(Lattice([[a0, a1, a2], [b0, b1, b2], [c0, c1, c2]]))
}

/// Where in a line the element and the position stand.
struct Columns {
    element: usize,
    by_number: bool,
    position: usize,
    width: usize,
}

impl Columns {
    fn parse(properties: &str) -> Result<Self, RowError> {
        let error = || RowError::value("Properties", properties, "a list like species:S:1:pos:R:3");
        let words: Vec<&str> = properties.split(':').collect();
        let (mut element, mut position, mut width) = (None, None, 0);
        for property in words.chunks(3) {
            let [name, kind, count] = property else { return Err(error()) };
            let count: u16 = count.parse().map_err(|_| error())?;
            match (*name, *kind, count) {
                ("species" | "symbols" | "element", "S", 1) => element = Some((width, false)),
                ("Z" | "numbers" | "atomic_numbers", "I", 1) => element = element.or(Some((width, true))),
                ("pos" | "positions", "R", 3) => position = Some(width),
                _ => {}
            }
            width += usize::from(count);
        }
        let ((element, by_number), position) = element.zip(position).ok_or_else(error)?;
        Ok(Self { element, by_number, position, width })
    }

    /// None when the line has not these columns.
    fn atom(&self, words: &[&str]) -> Option<(Result<Element, RowError>, [f64; 3])> {
        let text = Some(*words.get(self.element)?).filter(|_| words.len() == self.width)?;
        let mut position = [0.0; 3];
        for (x, word) in position.iter_mut().zip(words.get(self.position..)?) {
            *x = number(word)?;
        }
        Some((if self.by_number { species::from_number(text) } else { species::from_symbol(text) }, position))
    }
}

/// Writes a frame: positions in angstrom, and `extra` as keys of the comment line. As other programs expect them, `forces`
/// with a vector for each atom become a column, and a `stress` of three vectors becomes nine numbers.
pub(super) fn write(
    out: &mut dyn Write,
    id: &str,
    structure: &Structure,
    extra: &Map<String, Value>,
) -> io::Result<()> {
    let lattice: Vec<String> = structure.lattice.0.iter().flatten().map(f64::to_string).collect();
    let forces = extra.get(FORCES).and_then(|value| vectors(value, structure.len()));
    let column = if forces.is_some() { ":forces:R:3" } else { "" };
    write!(out, "{}\nLattice=\"{}\" Properties=species:S:1:pos:R:3{column}", structure.len(), lattice.join(" "))?;
    write!(out, " pbc=\"T T T\" id={}", quoted(id))?;
    for (key, value) in extra.iter().filter(|(key, _)| forces.is_none() || *key != FORCES) {
        let stress = vectors(value, 3).filter(|_| key == "stress");
        let text = stress.map_or_else(|| field(value), |rows| quoted(&words(rows.as_flattened())));
        write!(out, " {}={text}", quoted(key))?;
    }
    writeln!(out)?;
    for (atom, (element, [x, y, z])) in structure.species.iter().zip(structure.positions()).enumerate() {
        write!(out, "{element} {x} {y} {z}")?;
        if let Some(force) = forces.as_ref().and_then(|forces| forces.get(atom)) {
            write!(out, " {}", words(force))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The key whose vectors stand in a column.
const FORCES: &str = "forces";

/// `count` vectors of three numbers, if the value is that.
fn vectors(value: &Value, count: usize) -> Option<Vec<[f64; 3]>> {
    let rows = value.as_array().filter(|rows| rows.len() == count)?;
    let vector = |row: &Value| -> Option<[f64; 3]> {
        let numbers: Option<Vec<f64>> = row.as_array()?.iter().map(Value::as_f64).collect();
        numbers?.try_into().ok()
    };
    rows.iter().map(vector).collect()
}

fn words(numbers: &[f64]) -> String {
    numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(" ")
}

fn field(value: &Value) -> String {
    match value {
        Value::Bool(true) => "T".into(),
        Value::Bool(false) => "F".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) if !text.starts_with(JSON_MARK) => quoted(text),
        other => quoted(&format!("{JSON_MARK}{other}")),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<RawRecord> {
        let source = Source::new(Box::new(io::Cursor::new(text.as_bytes().to_vec()))).unwrap();
        rows(source).map(Result::unwrap).collect()
    }

    const FRAME: &str = "2\nLattice=\"4 0 0 0 4 0 0 0 4\" Properties=species:S:1:pos:R:3 energy=-3.5 a='b c' flag pbc=\"T T T\"\n\
                         Cs 0 0 0\nCl 2 2 2\n";

    #[test]
    fn frames_with_their_keys() {
        let other =
            "1\nid=\"x \\\"1\\\"\" Lattice=\"0 2 2 2 0 2 2 2 0\" Properties=forces:R:3:Z:I:1:pos:R:3\n0 0 0 29 1 1 1\n";
        let rows = read(&format!("{FRAME}{other}\n\n{FRAME}"));
        assert_eq!(rows.iter().map(|row| row.line).collect::<Vec<_>>(), [1, 5, 10]);
        let first = rows[0].structure.as_ref().unwrap();
        assert_eq!(first.frac, [[0.0; 3], [0.5; 3]]);
        assert_eq!(serde_json::to_string(&rows[0].extra).unwrap(), r#"{"energy":-3.5,"a":"b c","flag":true}"#);
        assert_eq!(rows[1].id.as_deref(), Some("x \"1\""));
        let second = rows[1].structure.as_ref().unwrap();
        assert_eq!((second.species[0].symbol(), second.frac[0]), ("Cu", [0.25; 3]));
        assert!(rows[2].structure.is_ok());
    }

    #[test]
    fn other_spellings_mean_the_same() {
        let expected = read(FRAME).remove(0).structure.unwrap();
        for text in [
            FRAME.replace("\"T T T\"", "\"1 1 1\""),
            FRAME.replace("\"T T T\"", "[T, T, T]"),
            FRAME.replace("4 0 0 0 4 0 0 0 4", "4, 0, 0, 0, 4, 0, 0, 0, 4"),
            FRAME.replace("\"4 0 0 0 4 0 0 0 4\"", "[[4, 0, 0], [0, 4, 0], [0, 0, 4]]"),
            FRAME.replace("flag", "energy=-3.5 virial=[[1.0, 0], [0, 1.0]]"),
            FRAME.replace("species:S:1:pos", "numbers:I:1:positions").replace("Cs ", "55 ").replace("Cl ", "17 "),
            FRAME.replace('\n', "\r\n"),
            FRAME.replace('\n', "\r"),
        ] {
            let rows = read(&text);
            assert_eq!(rows.len(), 1);
            assert_eq!(rows[0].structure.as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn forces_stand_in_a_column_and_a_stress_in_nine_numbers() {
        let structure = read(FRAME).remove(0).structure.unwrap();
        let extra = |forces: &str| -> Map<String, Value> {
            serde_json::from_str(&format!(r#"{{"forces":{forces},"stress":[[1,2,3],[2,4,5],[3,5,6.5]],"e":[[1]]}}"#))
                .unwrap()
        };
        let text = |forces: &str| {
            let mut out = Vec::new();
            write(&mut out, "a", &structure, &extra(forces)).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            text("[[0.5,0,0],[-0.5,0,1e-3]]"),
            "2\nLattice=\"4 0 0 0 4 0 0 0 4\" Properties=species:S:1:pos:R:3:forces:R:3 pbc=\"T T T\" id=\"a\" \
             \"stress\"=\"1 2 3 2 4 5 3 5 6.5\" \"e\"=\"_JSON [[1]]\"\nCs 0 0 0 0.5 0 0\nCl 2 2 2 -0.5 0 0.001\n"
        );
        assert_eq!(read(&text("[[0.5,0,0],[-0.5,0,1e-3]]"))[0].structure.as_ref().unwrap(), &structure);
        // Line ends stay inside their value.
        let mut out = Vec::new();
        let lines: Map<String, Value> = [("x".to_owned(), Value::from("a\r\nb\r"))].into_iter().collect();
        write(&mut out, "\r", &structure, &lines).unwrap();
        let row = read(&String::from_utf8(out).unwrap()).remove(0);
        assert_eq!((row.id.as_deref(), &row.extra["x"]), (Some("\r"), &Value::from("a\r\nb\r")));
        // Of another length they are a key as any other.
        assert!(text("[[0.5,0,0]]").contains("\"forces\"=\"_JSON [[0.5,0,0]]\""));
    }

    #[test]
    fn bad_frames_say_why_and_the_next_is_read() {
        for (bad, reason) in [
            (FRAME.replace("Lattice", "Cell"), "no Lattice in the comment line: not a periodic structure"),
            (
                FRAME.replace("T T T", "T T F"),
                "pbc is \"T T F\", not T T T: only structures periodic in three directions can be used",
            ),
            (FRAME.replace("4 0 0 0 4", "4 0 0 0"), "Lattice is \"4 0 0 0 0 0 0 4\", not nine numbers"),
            (FRAME.replace(":pos", ":x"), "Properties is \"species:S:1:x:R:3\", not a list like species:S:1:pos:R:3"),
            (FRAME.replace("2 2 2\n", "2 2\n"), "line 4: \"Cl 2 2\" is not what Properties says"),
            (FRAME.replace("2 2 2\n", "2 2 inf\n"), "line 4: \"Cl 2 2 inf\" is not what Properties says"),
            (FRAME.replace("Cl", "Cx"), "unknown element \"Cx\""),
            (FRAME.replace("'b c'", "'b c"), "line 2: quote without an end: \"'b c flag pbc=\\\"T T T\\\"\""),
            (FRAME.replace("2\nL", "3\nL"), "line 5: the next frame begins after 2 of 3 atoms"),
            (FRAME.replace("2\nL", "1\nL"), "line 4: more atoms follow than the 1 of line 1"),
            (FRAME.replace("2\nL", "20000\nL"), "line 5: the next frame begins after 2 of 20000 atoms"),
            (
                FRAME.replace("2\nL", "two\nL"),
                "line 1: \"two\" is not a number of atoms; the lines from it to line 4 are not read",
            ),
            (
                FRAME.replace("\"4 0 0 0 4 0 0 0 4\"", "[[4,1,0],[0,4,0],[0,0,4]]"),
                "Lattice is \"[[4,1,0],[0,4,0],[0,0,4]]\", not nine numbers in one row: the order of a two-dimensional array is not certain",
            ),
            (
                FRAME.replace("\"T T T\"", "\"1 1 0\""),
                "pbc is \"1 1 0\", not T T T: only structures periodic in three directions can be used",
            ),
        ] {
            let rows = read(&format!("{bad}{FRAME}"));
            assert_eq!(rows[0].structure.as_ref().unwrap_err().to_string(), reason);
            assert!(rows[1].structure.is_ok(), "{reason}");
        }
    }

    #[test]
    fn ends_and_counts() {
        let rows = read("3\nLattice=\"4 0 0 0 4 0 0 0 4\"\nCs 0 0 0\n");
        assert_eq!(rows[0].structure.as_ref().unwrap_err().to_string(), "line 3: the file ends after 1 of 3 atoms");
        let rows = read(&format!("18446744073709551615\n\n{FRAME}"));
        let reason = rows[0].structure.as_ref().unwrap_err().to_string();
        assert_eq!(reason, "line 3: the next frame begins after 0 of 18446744073709551615 atoms");
        assert!(rows.len() == 2 && rows[1].structure.is_ok());
        let rows = read(&format!("{FRAME}two\n\nNa 1 2\n{FRAME}{FRAME}three"));
        assert_eq!(
            rows.iter().map(|row| (row.line, row.structure.is_ok())).collect::<Vec<_>>(),
            [(1, true), (5, false), (8, true), (12, true), (16, false)]
        );
        let reason = rows[1].structure.as_ref().unwrap_err().to_string();
        assert_eq!(reason, "line 5: \"two\" is not a number of atoms; the lines from it to line 7 are not read");
        assert!(read(" \n\n").is_empty());
    }
}
