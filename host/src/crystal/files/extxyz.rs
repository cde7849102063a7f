//! Extended XYZ, frame by frame (the specification of github.com/libAtoms/extxyz). The keys of the comment line are
//! carried along; of the columns only species and positions are read.

use super::super::{Element, Lattice, Structure};
use super::record::{MAX_ATOMS, RawRecord, RowError, checked, excerpt, number};
use super::source::Source;
use super::species;
use serde_json::{Map, Value};
use std::io::{self, Write};

/// Keys of the comment line that describe the structure itself.
pub(super) const OWN_KEYS: [&str; 4] = ["id", "Lattice", "Properties", "pbc"];

/// Marks a quoted value as JSON; ASE writes and reads it so.
const JSON_MARK: &str = "_JSON ";

/// The frames of a file. After a line that should count atoms and does not, nothing more can be told apart.
pub(super) fn rows(mut source: Source) -> impl Iterator<Item = io::Result<RawRecord>> + Send {
    let mut lost = false;
    std::iter::from_fn(move || {
        if lost {
            return None;
        }
        let count = match first_line(&mut source) {
            Ok(text) => text?,
            Err(error) => return Some(Err(error)),
        };
        let line = source.line();
        let Ok(count) = count.trim().parse::<usize>() else {
            lost = true;
            let what = format!("{} is not a number of atoms; nothing after it is read", excerpt(count.trim()));
            return Some(Ok(row(line, Err(RowError::syntax(line, what)))));
        };
        Some(frame(&mut source, count, line))
    })
}

/// The next line that is not blank, none at the end of the file.
fn first_line(source: &mut Source) -> io::Result<Option<String>> {
    loop {
        source.begin_row();
        let mut text = Vec::new();
        if !source.read_line(&mut text)? {
            return Ok(None);
        }
        if !text.trim_ascii().is_empty() {
            return Ok(Some(String::from_utf8_lossy(&text).into_owned()));
        }
    }
}

fn frame(source: &mut Source, count: usize, line: usize) -> io::Result<RawRecord> {
    let mut comment = Vec::new();
    source.read_line(&mut comment)?;
    let mut atoms = Vec::new();
    for read in 0..count {
        if count > MAX_ATOMS {
            atoms.clear();
            source.begin_row();
        }
        if !source.read_line(&mut atoms)? {
            let what = format!("the file ends after {read} of {count} atoms");
            return Ok(row(line, Err(RowError::syntax(source.line(), what))));
        }
    }
    if count > MAX_ATOMS {
        return Ok(row(line, Err(RowError::TooManyAtoms)));
    }
    let (Ok(comment), Ok(atoms)) = (String::from_utf8(comment), String::from_utf8(atoms)) else {
        return Ok(row(line, Err(RowError::syntax(line, "a frame that is not UTF-8"))));
    };
    let mut keys = match keys(&comment) {
        Ok(keys) => keys,
        Err(what) => return Ok(row(line, Err(RowError::syntax(line + 1, what)))),
    };
    let id = keys.iter().position(|(key, _)| key == "id").map(|at| keys.remove(at).1.text);
    let structure = structure(&keys, &atoms, line);
    let others = keys.into_iter().filter(|(key, _)| !OWN_KEYS.contains(&key.as_str()));
    let extra = others.map(|(key, field)| (key, field.value())).collect();
    Ok(RawRecord { id, extra, ..row(line, structure) })
}

fn row(line: usize, structure: Result<Structure, RowError>) -> RawRecord {
    RawRecord { id: None, line, structure, extra: Map::new() }
}

fn structure(keys: &[(String, Field)], atoms: &str, line: usize) -> Result<Structure, RowError> {
    let key = |name: &str| keys.iter().find(|(key, _)| key == name).map(|(_, field)| field.text.as_str());
    let text =
        key("Lattice").ok_or_else(|| RowError::missing("Lattice in the comment line: not a periodic structure"))?;
    let numbers: Option<Vec<f64>> = text.split_whitespace().map(number).collect();
    let [a0, a1, a2, b0, b1, b2, c0, c1, c2] = numbers
        .and_then(|numbers| <[f64; 9]>::try_from(numbers).ok())
        .ok_or_else(|| RowError::value("Lattice", text, "nine numbers"))?;
    let lattice = Lattice([[a0, a1, a2], [b0, b1, b2], [c0, c1, c2]]);
    if let Some(pbc) = key("pbc").filter(|pbc| !pbc.split_whitespace().all(|word| boolean(word) == Some(true))) {
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
                ("species", "S", 1) => element = Some((width, false)),
                ("Z", "I", 1) => element = element.or(Some((width, true))),
                ("pos", "R", 3) => position = Some(width),
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

/// The text of a value in the comment line.
struct Field {
    text: String,
    quoted: bool,
}

impl Field {
    fn value(self) -> Value {
        if self.quoted {
            let json = self.text.strip_prefix(JSON_MARK).and_then(|json| serde_json::from_str(json).ok());
            return json.unwrap_or(Value::String(self.text));
        }
        let json = serde_json::from_str(&self.text).ok().filter(Value::is_number);
        json.or_else(|| boolean(&self.text).map(Value::Bool))
            .or_else(|| number(&self.text).map(Value::from))
            .unwrap_or(Value::String(self.text))
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text {
        "T" | "True" | "true" | "TRUE" => Some(true),
        "F" | "False" | "false" | "FALSE" => Some(false),
        _ => None,
    }
}

/// The `key=value` pairs of a comment line; a key alone is true.
fn keys(comment: &str) -> Result<Vec<(String, Field)>, String> {
    let mut keys: Vec<(String, Field)> = Vec::new();
    let mut rest = comment.trim();
    while !rest.is_empty() {
        let (key, after) = word(rest, true)?;
        let after = after.trim_start();
        let (field, after) = match after.strip_prefix('=') {
            Some(value) => word(value.trim_start(), false)?,
            None => (Field { text: "T".into(), quoted: false }, after),
        };
        if keys.iter().any(|(other, _)| *other == key.text) {
            return Err(format!("{} is given twice", excerpt(&key.text)));
        }
        keys.push((key.text, field));
        rest = after.trim_start();
    }
    Ok(keys)
}

/// The word at the start, bare or quoted (with `\` before `"` and `\`), and what follows it.
fn word(text: &str, is_key: bool) -> Result<(Field, &str), String> {
    let close = match text.chars().next() {
        Some('"') => '"',
        Some('\'') => '\'',
        Some('{') => '}',
        _ => {
            let end = text.find(|c: char| c.is_whitespace() || (is_key && c == '=')).unwrap_or(text.len());
            return match end {
                0 => Err(format!("no {} in {}", if is_key { "key" } else { "value" }, excerpt(text))),
                _ => Ok((Field { text: text[..end].to_owned(), quoted: false }, &text[end..])),
            };
        }
    };
    let mut word = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => word.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, escaped)) => escaped,
                None => break,
            }),
            c if c == close => return Ok((Field { text: word, quoted: true }, &text[at + c.len_utf8()..])),
            c => word.push(c),
        }
    }
    Err(format!("quote without an end: {}", excerpt(text)))
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
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
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
            (FRAME.replace("flag", "a=1"), "line 2: \"a\" is given twice"),
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
        assert!(rows[0].structure.as_ref().unwrap_err().to_string().contains("the file ends"));
        let rows = read(&format!("{FRAME}two\n{FRAME}"));
        assert_eq!(rows.len(), 2);
        let reason = rows[1].structure.as_ref().unwrap_err().to_string();
        assert_eq!(reason, "line 5: \"two\" is not a number of atoms; nothing after it is read");
        assert!(read(" \n\n").is_empty());
    }
}
