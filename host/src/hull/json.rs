//! pymatgen's ComputedEntry dictionaries, streamed out of JSON documents.

use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::bounded::{Allowance, Bounded};
use super::rows::{Row, Sink};
use super::{Entry, stated_correction};
use crate::crystal::{Composition, Element, QuoteNonFinite};

/// Reads every entry of a file (its shapes: [`super::read_entries`]). Only a broken document is an error.
pub(super) fn read_json(file: Bounded<impl BufRead>, sink: Sink<'_>) -> Result<(), serde_json::Error> {
    let allowance = file.allowance().clone();
    let mut documents = serde_json::Deserializer::from_reader(QuoteNonFinite::new(file));
    let mut number = 0;
    let mut rows = |row| {
        number += 1;
        sink(number, row);
    };
    loop {
        Node { rows: &mut rows, place: JsonPlace::Document, allowance: &allowance }.deserialize(&mut documents)?;
        // What follows a document may be another one, as in JSON lines.
        if documents.end().is_ok() {
            return Ok(());
        }
    }
}

/// A JSON value, by the place where it stands. Its value is whether it is a list or an object.
struct Node<'a> {
    rows: &'a mut dyn FnMut(Result<Row, String>),
    place: JsonPlace,
    /// Of what is kept.
    allowance: &'a Allowance,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum JsonPlace {
    /// A whole document.
    Document,
    /// What is named as entries: a list, an object whose values are entries, or one entry.
    Entries,
    /// An item of a list of entries: an entry, or a record that holds some.
    Entry,
    /// A value of an object that may be a collection of entries.
    Perhaps,
    /// Under the key `data` of a document: entries if it is a list.
    Data,
}

impl Node<'_> {
    /// A text, number, truth value or null.
    fn scalar<E: Error>(self) -> Result<bool, E> {
        match self.place {
            JsonPlace::Document => return Err(E::custom("neither a list nor an object of ComputedEntry dictionaries")),
            JsonPlace::Entries | JsonPlace::Entry => (self.rows)(Err("it is not a ComputedEntry dictionary".into())),
            JsonPlace::Perhaps | JsonPlace::Data => {}
        }
        Ok(false)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        self.allowance.renew();
        deserializer.deserialize_any(self)
    }
}

/// A value that is passed over, however long it is.
struct Passed<'a>(&'a Allowance);

impl<'de> DeserializeSeed<'de> for Passed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.lift();
        IgnoredAny::deserialize(deserializer)?;
        self.0.renew();
        Ok(())
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComputedEntry dictionaries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        if matches!(self.place, JsonPlace::Entry | JsonPlace::Perhaps) {
            while items.next_element_seed(Passed(self.allowance))?.is_some() {}
            return self.scalar();
        }
        let allowance = self.allowance;
        while items.next_element_seed(Node { rows: &mut *self.rows, place: JsonPlace::Entry, allowance })?.is_some() {}
        Ok(true)
    }

    /// An entry itself, a record with entries under a key of that name, or a collection whose values are entries.
    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let (mut fields, mut values, mut nested) = (Map::new(), Vec::new(), false);
        let allowance = self.allowance;
        while let Some(key) = items.next_key::<String>()? {
            let inside = match (key.as_str(), self.place) {
                ("entries" | "entry" | "all_entries", place) if place != JsonPlace::Data => {
                    nested |=
                        items.next_value_seed(Node { rows: &mut *self.rows, place: JsonPlace::Entries, allowance })?;
                    continue;
                }
                ("data", JsonPlace::Document) => {
                    items.next_value_seed(Node { rows: &mut *self.rows, place: JsonPlace::Data, allowance })?;
                    continue;
                }
                (key, _) if FIELDS.contains(&key) => {
                    fields.insert(key.to_owned(), items.next_value()?);
                    continue;
                }
                (_, JsonPlace::Document) => JsonPlace::Perhaps,
                (_, JsonPlace::Entries) => JsonPlace::Entry,
                _ => {
                    items.next_value_seed(Passed(allowance))?;
                    continue;
                }
            };
            items.next_value_seed(Node { rows: &mut |row| values.push(row), place: inside, allowance })?;
            if values.len() > MOST_VALUES {
                return Err(A::Error::custom(format!(
                    "an object of more than {MOST_VALUES} entries; a list has no limit"
                )));
            }
        }
        let states = |key| fields.contains_key(key);
        let entry =
            self.place == JsonPlace::Entry || ["composition", "energy", "energy_per_atom"].into_iter().any(states);
        match nested {
            true => {}
            false if entry && self.place != JsonPlace::Data => (self.rows)(read_entry(&fields)),
            false => values.into_iter().for_each(self.rows),
        }
        Ok(true)
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        // The API writes null for what was not asked for.
        if self.place == JsonPlace::Entries { Ok(false) } else { self.scalar() }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<bool, E> {
        self.scalar()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<bool, E> {
        self.scalar()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<bool, E> {
        self.scalar()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        self.scalar()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<bool, E> {
        self.scalar()
    }
}

/// Entries that an object may have as its values: they are held until it ends.
const MOST_VALUES: usize = 1_000_000;

/// The keys of an entry that are read.
const FIELDS: [&str; 10] = [
    "composition",
    "formula",
    "formula_pretty",
    "energy",
    "energy_per_atom",
    "correction",
    "energy_adjustments",
    "entry_id",
    "material_id",
    "parameters",
];

fn read_entry(fields: &Map<String, Value>) -> Result<Row, String> {
    let id = match stated(fields, "entry_id").or(stated(fields, "material_id")) {
        None => String::new(),
        Some(Value::String(id)) => id.clone(),
        Some(other) => other.to_string(),
    };
    let name = if id.is_empty() { String::new() } else { format!(" ({})", id.chars().take(60).collect::<String>()) };
    let run_type = stated(fields, "parameters").and_then(|parameters| parameters.get("run_type")?.as_str());
    let run_type = run_type.map(str::to_owned);
    let read = || {
        let composition = composition(stated_composition(fields)?)?;
        let per_atom = match number(fields, "energy")? {
            Some(energy) => (energy + stated_correction(fields)?) / composition.num_atoms(),
            None => number(fields, "energy_per_atom")?.ok_or("it has no `energy`")?,
        };
        let entry = Entry::new(composition, per_atom, id).map_err(|e| e.to_string())?;
        Ok(Row { entry, run_type })
    };
    read().map_err(|reason: String| format!("{reason}{name}"))
}

/// The composition; or a formula, which may be a reduced one, where nothing depends on how many formula units there are.
fn stated_composition(fields: &Map<String, Value>) -> Result<&Value, String> {
    let formula =
        || stated(fields, "formula").or(stated(fields, "formula_pretty")).filter(|formula| formula.is_string());
    let missing = || "it has no `composition`".to_owned();
    match (stated(fields, "composition"), stated(fields, "energy")) {
        (Some(composition), _) => Ok(composition),
        (None, None) => formula().ok_or_else(missing),
        (None, Some(_)) if formula().is_none() => Err(missing()),
        (None, Some(_)) => Err("it has no `composition`, and `energy` is that of all its atoms".to_owned()),
    }
}

fn stated<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}

fn number(fields: &Map<String, Value>, key: &str) -> Result<Option<f64>, String> {
    let number = |value: &Value| value.as_f64().ok_or_else(|| format!("`{key}` is {value}, not a number"));
    stated(fields, key).map(number).transpose()
}

/// A composition as pymatgen writes it: species to amounts; or a formula.
fn composition(value: &Value) -> Result<Composition, String> {
    match value {
        Value::String(formula) => formula.parse().map_err(|e| format!("`composition`: {e}")),
        Value::Object(amounts) => {
            let amount = |(species, amount): (&String, &Value)| {
                let element = Element::from_species(species).ok_or_else(|| format!("`{species}` is not an element"))?;
                let amount = amount.as_f64().ok_or_else(|| format!("the amount of {species} is not a number"))?;
                Ok((element, amount))
            };
            let amounts = amounts.iter().map(amount).collect::<Result<Vec<_>, String>>()?;
            Composition::new(amounts).map_err(|e| e.to_string())
        }
        _ => Err("`composition` is neither an object nor a formula".into()),
    }
}
