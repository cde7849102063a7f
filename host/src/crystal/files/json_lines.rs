//! JSON lines: one object `{id, lattice, species, frac_coords}` per line. `lattice` has three rows of three numbers
//! (angstrom), `species` symbols or atomic numbers; other keys are carried along.

use super::super::{Element, Lattice, QuoteNonFinite, Structure};
use super::record::{RawRecord, RowError, checked};
use super::source::Source;
use super::species;
use serde_json::{Map, Value, json};
use std::io::{self, Write};

/// Keys that describe the structure itself.
pub(super) const OWN_KEYS: [&str; 4] = ["id", "lattice", "species", "frac_coords"];

/// The lines of a file that are not blank.
pub(super) fn rows(mut source: Source) -> impl Iterator<Item = io::Result<RawRecord>> + Send {
    let mut text = Vec::new();
    std::iter::from_fn(move || {
        loop {
            text.clear();
            source.begin_row();
            match source.read_line(&mut text) {
                Ok(true) if text.trim_ascii().is_empty() => {}
                Ok(true) => return Some(Ok(row(&text, source.line()))),
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    })
}

fn row(text: &[u8], line: usize) -> RawRecord {
    let mut object: Map<String, Value> = match object(text) {
        Ok(object) => object,
        Err(error) => {
            let structure = Err(RowError::syntax(line, format!("not a JSON object: {error}")));
            return RawRecord { id: None, line, structure, extra: Map::new(), warnings: Vec::new() };
        }
    };
    let id = object.shift_remove("id");
    let structure = structure_of(&mut object);
    let (id, structure) = match id {
        Some(Value::String(id)) => (Some(id), structure),
        Some(Value::Number(id)) => (Some(id.to_string()), structure),
        None | Some(Value::Null) => (None, structure),
        Some(other) => (None, Err(RowError::value("id", &other.to_string(), "a string or a number"))),
    };
    RawRecord { id, line, structure, extra: object, warnings: Vec::new() }
}

/// A line as an object. `NaN` and infinities, as Python writes them, become texts: they are no concern of keys that nobody reads.
pub(super) fn object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice(text).or_else(|error| serde_json::from_reader(QuoteNonFinite::new(text)).map_err(|_| error))
}

/// The structure that an object describes; takes its keys out.
pub(super) fn structure_of(object: &mut Map<String, Value>) -> Result<Structure, RowError> {
    let [lattice, symbols, frac] = ["lattice", "species", "frac_coords"].map(|key| object.shift_remove(key));
    let list = |value: Option<Value>, key: &str| match value {
        Some(Value::Array(values)) => Ok(values),
        Some(other) => Err(RowError::value(key, &other.to_string(), "an array")),
        None => Err(RowError::missing(format!("key {key:?}"))),
    };
    let triples = |value, key| -> Result<Vec<[f64; 3]>, RowError> {
        list(value, key)?.iter().enumerate().map(|(row, value)| triple(value, key, row)).collect()
    };
    let vectors = triples(lattice, "lattice")?;
    let vectors = <[[f64; 3]; 3]>::try_from(vectors)
        .map_err(|vectors| RowError::value("lattice", &format!("{} rows", vectors.len()), "three rows"))?;
    let species = list(symbols, "species")?.iter().map(element).collect::<Result<_, _>>()?;
    checked(Lattice(vectors), species, triples(frac, "frac_coords")?)
}

fn triple(value: &Value, key: &str, row: usize) -> Result<[f64; 3], RowError> {
    let numbers = value.as_array().and_then(|values| values.iter().map(Value::as_f64).collect::<Option<Vec<_>>>());
    let triple = numbers.and_then(|numbers| <[f64; 3]>::try_from(numbers).ok());
    triple.ok_or_else(|| RowError::value(format!("row {} of {key}", row + 1), &value.to_string(), "three numbers"))
}

fn element(value: &Value) -> Result<Element, RowError> {
    match value {
        Value::String(symbol) => species::from_symbol(symbol),
        other => species::from_number(&other.to_string()),
    }
}

/// Writes one line; every number is read back to the same bits.
pub(super) fn write(
    out: &mut dyn Write,
    id: &str,
    structure: &Structure,
    extra: &Map<String, Value>,
) -> io::Result<()> {
    let symbols: Vec<&str> = structure.species.iter().map(|element| element.symbol()).collect();
    let mut object = Map::new();
    let own = [json!(id), json!(structure.lattice.0), json!(symbols), json!(structure.frac)];
    object.extend(OWN_KEYS.map(str::to_owned).into_iter().zip(own));
    object.extend(extra.clone());
    serde_json::to_writer(&mut *out, &object)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"a","lattice":[[4,0,0],[0,4,0],[0,0,4]],"species":["Cs",17],"frac_coords":[[0,0,0],[0.5,0.5,0.5]],"gap":[1.5,null]}"#;

    #[test]
    fn a_line_with_other_keys() {
        let row = row(LINE.as_bytes(), 3);
        let structure = row.structure.unwrap();
        assert_eq!(structure.species.iter().map(|e| e.symbol()).collect::<Vec<_>>(), ["Cs", "Cl"]);
        assert_eq!((row.id.as_deref(), row.line), (Some("a"), 3));
        assert_eq!(serde_json::to_string(&row.extra).unwrap(), r#"{"gap":[1.5,null]}"#);
        // As Python writes what is no number.
        let python = super::row(LINE.replace("null", "NaN, -Infinity, \"NaN\"").as_bytes(), 3);
        assert_eq!(python.structure.unwrap(), structure);
        assert_eq!(serde_json::to_string(&python.extra).unwrap(), r#"{"gap":[1.5,"NaN","-Infinity","NaN"]}"#);
        assert_eq!(super::row(LINE.replace("\"a\"", "7").as_bytes(), 1).id.as_deref(), Some("7"));
    }

    #[test]
    fn bad_lines_say_why() {
        for (from, to, reason) in [
            ("17", "0", "unknown element \"0\""),
            ("17", "119", "unknown element \"119\""),
            ("17", "1.5", "unknown element \"1.5\""),
            ("\"Cs\"", "\"Xx\"", "unknown element \"Xx\""),
            ("[\"Cs\",17]", "[]", "0 species but 2 coordinates"),
            ("[0,4,0],", "", "lattice is \"2 rows\", not three rows"),
            ("[0,4,0]", "[0,0,0]", "the cell is flat: volume 0.000e0 A^3"),
            ("[0,4,0]", "[0,1e9,0]", "a lattice vector of 1.000e9 A is longer than 100000 A"),
            ("0.5]]", "\"x\"]]", "row 2 of frac_coords is \"[0.5,0.5,\\\"x\\\"]\", not three numbers"),
            ("[0.5,0.5,0.5]", "[1,0,0]", "atoms Cs1 and Cl2 overlap: 0.0000 A apart"),
            ("0.5]]", "NaN]]", "row 2 of frac_coords is \"[0.5,0.5,\\\"NaN\\\"]\", not three numbers"),
            ("frac_coords", "coords", "no key \"frac_coords\""),
            ("\"a\"", "[1]", "id is \"[1]\", not a string or a number"),
        ] {
            assert_eq!(row(LINE.replace(from, to).as_bytes(), 1).structure.unwrap_err().to_string(), reason);
        }
        for text in ["[1]", "{\"id\":", "{} {}", "\u{7f}", "{\"lattice\":NaNa}", &LINE.replace("0.5]]", "1e999]]")] {
            assert!(
                row(text.as_bytes(), 7).structure.unwrap_err().to_string().starts_with("line 7: not a JSON object")
            );
        }
    }
}
